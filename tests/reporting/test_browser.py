"""The page in a real browser: wide and phone-wide, light and dark, with and without JavaScript."""

import re
from contextlib import ExitStack

import pytest
from chromium import visit

pytestmark = pytest.mark.slow
NAME = "a-very-long-name-without-any-place-to-break-" * 12 + "<b>.png"


@pytest.fixture(params=["demo", "evaluation", "crowd"])
def address(request):
    from trainedon.reporting import render

    build = request.getfixturevalue(request.param)
    for row in (*build.rows, *build.inventory):
        row["picture"] = row["picture"].replace("suspect-0.png", NAME).replace("member-00.png", NAME)
    build.exclude(NAME, "unseen", "r" * 300)
    return render(build.write()).as_uri()


def overflow(tab):
    """By how many pixels the page is wider than the window."""
    return tab.evaluate("document.documentElement.scrollWidth - innerWidth")


def ground(tab):
    return tab.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows_and_nothing_is_loaded(browser, address, width):
    with visit(browser, address, viewport={"width": width, "height": 900}, color_scheme="light") as tab:
        assert overflow(tab) <= 0
        tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert overflow(tab) <= 0
        assert tab.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length") == 0
        light = ground(tab)
        tab.emulate_media(color_scheme="dark")
        assert ground(tab) != light  # the style sheet applies, and follows the scheme
        assert tab.messages == []
        assert [url for url in tab.asked if not url.startswith("data:")] == [address]


@pytest.mark.parametrize("language", ["de", "fr"])
def test_longer_words_do_not_overflow_on_a_small_phone(browser, demo, language):
    from trainedon.reporting import render

    demo.run["language"] = language
    with visit(browser, render(demo.write()).as_uri(), viewport={"width": 360, "height": 800}) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert overflow(tab) <= 0


@pytest.fixture
def visited(browser):
    """visited(address): a tab, closed after the test."""
    with ExitStack() as open_tabs:
        yield lambda address, **options: open_tabs.enter_context(visit(browser, address, **options))


def test_twenty_curves_have_twenty_strokes(visited, crowd):
    """Read from the browser, since colours and dashes come from the style sheet."""
    from trainedon.reporting import render

    tab = visited(render(crowd.write()).as_uri())
    strokes = tab.evaluate(
        "[...document.querySelectorAll('.legend .swatch path')].map(e => getComputedStyle(e))"
        ".map(s => s.stroke + ' ' + s.strokeDasharray)"
    )
    heat = tab.evaluate(
        "new Set([...document.querySelectorAll('.heat td')].map(e => getComputedStyle(e).backgroundColor)).size"
    )
    inside = tab.evaluate("document.querySelector('.heat').getBoundingClientRect().right <= innerWidth")
    assert len(strokes) == len(set(strokes)) == 20
    assert heat > 6
    assert inside  # twenty columns fit on a desk


SEEN = "[...document.querySelectorAll('#every tbody tr')].filter(e => e.checkVisibility())"


@pytest.mark.parametrize("media", ["screen", "print"])
def test_no_script_is_needed(visited, audit, media):
    """Without the script all rows are there to be seen, and nothing that would do nothing."""
    from trainedon.reporting import render

    tab = visited(render(audit.write()).as_uri(), java_script_enabled=False, media=media)
    if media == "screen":
        tab.locator("#all summary").click()
    rows = tab.locator("#every tbody tr")
    assert rows.count() == 47 and all(row.is_visible() for row in rows.all())
    assert not tab.locator("#tools").is_visible() and not tab.locator("#pager").is_visible()
    assert tab.locator("button:visible").count() == 0 and tab.messages == []


def test_the_table_is_searched_filtered_sorted_and_paged_by_keyboard(visited, audit):
    from trainedon.reporting import render

    for i in range(60):
        audit.score(f"extra-{i:02}.png", "unseen", 0.01 * i)
    nasty = '"><img src=x onerror=alert(1)>.png'
    for row in (*audit.rows, *audit.inventory):
        row["picture"] = row["picture"].replace("suspect-1.png", nasty)
    tab = visited(render(audit.write()).as_uri())
    told = tab.locator("#told")
    tab.locator("#all summary").focus()
    tab.keyboard.press("Enter")
    assert told.inner_text() == "1 to 50 of 107; 107 in the table" and tab.evaluate(f"{SEEN}.length") == 50
    tab.locator("#pager button").last.press("Enter")
    tab.locator("#pager button").last.press("Enter")
    assert told.inner_text().startswith("101 to 107") and tab.locator("#pager button").last.is_disabled()
    tab.locator("#every thead button").nth(1).press("Enter")  # by score, the lowest first
    assert tab.evaluate(f"{SEEN}[0].cells[0].textContent") == "extra-00.png"
    assert tab.locator("#every th[aria-sort=ascending]").count() == 1
    tab.locator("#every thead button").nth(1).press("Enter")
    assert tab.evaluate(f"{SEEN}[0].cells[0].textContent") == "suspect-0.png"
    tab.locator("#search").fill('"><img src=x')
    assert tab.evaluate(f"{SEEN}.map(e => e.cells[0].textContent)") == [nasty]
    tab.locator("#search").fill("")
    tab.locator("#tools select").first.select_option("suspect pictures")
    assert told.inner_text().endswith("of 7; 107 in the table")
    tab.locator("#tools select").nth(1).select_option("Stands out")
    assert told.inner_text().startswith("1 to 2 of 2;")
    assert tab.messages == []


@pytest.mark.parametrize("kind", ["audit", "evaluation"])
def test_on_a_phone_score_and_verdict_are_seen_without_scrolling(visited, kind, request):
    from trainedon.reporting import render

    build = request.getfixturevalue(kind)
    build.score("n" * 60, "unseen", None, reason="r" * 110)
    tab = visited(render(build.write()).as_uri(), viewport={"width": 390, "height": 844})
    tab.locator("#all summary").click()
    heads = tab.locator("#every thead th").all_inner_texts()
    assert heads[:2] == ["Picture", "Score"] and {"Set", "File"} < {*heads}
    right = "[...document.querySelectorAll('#every tr:not(.off)')].map(e => e.cells[2].getBoundingClientRect().right)"
    assert max(tab.evaluate(right)) <= 390
    assert tab.locator("#all .scroll").evaluate("e => e.scrollWidth > e.clientWidth"), "the others are to the right"


def test_an_address_opens_what_is_folded_away(visited, audit):
    from trainedon.reporting import render

    for i in range(80):
        audit.score(f"extra-{i:02}.png", "unseen", -1.0 - i)
    page = render(audit.write())
    anchor = re.findall(r'<tr id="(p-\w+)"><th scope="row"><span title="extra-79.png"', page.read_text("utf-8"))[0]
    tab = visited(f"{page.as_uri()}#{anchor}")
    row = tab.locator(f"#{anchor}")
    assert row.is_visible() and row.evaluate("e => { const b = e.getBoundingClientRect(); return b.top < innerHeight }")
    assert tab.messages == []


def test_a_picture_is_enlarged_by_click_and_by_key(visited, audit):
    from trainedon.reporting import render

    tab = visited(render(audit.write()).as_uri())
    tab.locator("article a.zoom").first.focus()
    tab.keyboard.press("Enter")
    shown = tab.locator("#zoom img")
    shown.evaluate("image => image.decode()")  # it has no size before
    small = tab.locator("article a.zoom img").first.bounding_box()["width"]
    assert shown.is_visible() and shown.bounding_box()["width"] > 2 * small
    assert tab.locator("#zoom p").inner_text() == "suspect-0.png: the original picture"
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#zoom p").inner_text() == "suspect-0.png: the part that was hidden, in colour"
    assert tab.locator("#zoom a").get_attribute("href").endswith("/region.png")
    tab.keyboard.press("Escape")
    assert not shown.is_visible() and tab.messages == []


def pages(pdf):
    """How many pages a PDF has."""
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf))


@pytest.mark.parametrize("kind", ["demo", "evaluation", "crowd"])
def test_the_first_printed_page_is_the_summary_and_nothing_else(visited, kind, request):
    from trainedon.reporting import render

    build = request.getfixturevalue(kind)
    tab = visited(render(build.write()).as_uri())
    assert not tab.locator("#summary").is_visible()
    tab.emulate_media(media="print")
    text = tab.locator("#summary").evaluate("e => e.textContent")
    whole = pages(tab.pdf(format="A4"))
    tab.locator("#summary").evaluate("e => e.replaceChildren('a line')")
    assert pages(tab.pdf(format="A4")) == whole, "it takes no more than the page that a line takes"
    tab.locator("#summary").evaluate("e => e.remove()")
    assert pages(tab.pdf(format="A4")) < whole, "what follows begins on another page"
    said = "The strongest of" if build.kind == "evaluate" else build.document["claim"]["sentence"]
    for part in (said, "What it rests on", "The pictures with the highest scores", "Controls", "Digests (SHA-256)"):
        assert part in text
    assert tab.messages == []
