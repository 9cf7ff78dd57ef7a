"""The page in a real browser: wide and phone-wide, light and dark, with and without JavaScript."""

import shutil

import pytest

pytestmark = pytest.mark.slow
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ARGS += ["--disable-sync"]
NAME = "a-very-long-name-without-any-place-to-break-" * 12 + "<b>.png"


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium on the PATH")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGS, timeout=0)
        yield running
        running.close()


@pytest.fixture(params=["demo", "evaluation", "crowd"])
def address(request):
    from trainedon.reporting import render

    build = request.getfixturevalue(request.param)
    for row in (*build.rows, *build.inventory):
        row["picture"] = row["picture"].replace("suspect-0.png", NAME).replace("member-00.png", NAME)
    build.exclude(NAME, "unseen", "r" * 300)
    return render(build.write()).as_uri()


def look(browser, address, width, scheme, script):
    """What the browser makes of the page: (facts, messages, requests, screenshot)."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
    )
    context.set_default_timeout(0)  # a busy machine is no fault of the page
    tab = context.new_page()
    messages, requests = [], []
    tab.on("console", lambda message: messages.append(message.text))
    tab.on("pageerror", lambda error: messages.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(address)
    facts = {}
    if script:
        for unfold in (False, True):
            if unfold:
                tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
            facts["overflow"] = max(
                facts.get("overflow", 0), tab.evaluate("document.documentElement.scrollWidth - innerWidth")
            )
        tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = false)")
        facts["background"] = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        facts["broken"] = tab.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length")
    try:
        shot = tab.screenshot(full_page=True)
    except pytest.importorskip("playwright.sync_api").Error:  # a browser that is short of time or memory may fail once
        shot = tab.screenshot(full_page=True)
    context.close()
    return facts, messages, requests, shot


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows_and_nothing_is_loaded(browser, address, width):
    backgrounds = set()
    for scheme in ("light", "dark"):
        facts, messages, requests, _ = look(browser, address, width, scheme, script=True)
        assert facts["overflow"] <= 0
        assert facts["broken"] == 0
        assert messages == []
        assert [url for url in requests if not url.startswith("data:")] == [address]
        backgrounds.add(facts["background"])
    assert len(backgrounds) == 2  # the style sheet applies, and follows the scheme


def test_twenty_curves_have_twenty_strokes(browser, crowd):
    """Read from the browser, since colours and dashes come from the style sheet."""
    from trainedon.reporting import render

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(0)  # a busy machine is no fault of the page
    tab = context.new_page()
    tab.goto(render(crowd.write()).as_uri())
    strokes = tab.evaluate(
        "[...document.querySelectorAll('.legend .swatch path')].map(e => getComputedStyle(e))"
        ".map(s => s.stroke + ' ' + s.strokeDasharray)"
    )
    heat = tab.evaluate(
        "new Set([...document.querySelectorAll('.heat td')].map(e => getComputedStyle(e).backgroundColor)).size"
    )
    inside = tab.evaluate("document.querySelector('.heat').getBoundingClientRect().right <= innerWidth")
    context.close()
    assert len(strokes) == len(set(strokes)) == 20
    assert heat > 6
    assert inside  # twenty columns fit on a desk


def test_no_script_is_needed(browser, address):
    with_script, without = (look(browser, address, 1280, "light", script)[3] for script in (True, False))
    assert with_script == without
