"""The page as a person uses it, in a headless browser."""

import io
from time import monotonic

import pytest
from chromium import PATIENCE, visit
from droppable import bomb, png
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of Gradio, which leaves sockets open
HOSTILE = ["<img src=x onerror=document.title=1>.png", "${document.title=1}{{7*7}}.png", "..\\..\\evil.png"]


@pytest.fixture
def tab(served, browser):
    with visit(browser, served.address, viewport={"width": 1100, "height": 900}) as tab:
        tab.wait_for_selector("#ask")
        yield tab
        own = (f"http://127.0.0.1:{served.port}/", "data:", "blob:")
        assert [url for url in tab.asked if not url.startswith(own)] == []


def drop(tab, name, files, says):
    tab.set_input_files(f"#{name} input[type=file]", files)
    tab.wait_for_selector(f"#{name}-heap >> text={says}")


def colours(png):
    return {colour for _, colour in Image.open(io.BytesIO(png)).convert("RGB").getcolors(2**24)}


def until(tab, there):
    """Wait until it is so, no longer than for anything else in a browser."""
    end = monotonic() + PATIENCE / 1000
    while not there():
        assert monotonic() < end, "it never came to be"
        tab.wait_for_timeout(100)


def of_folder(folder):
    return sorted(str(path) for path in folder.iterdir())


def test_pictures_are_dropped_and_the_verdict_is_read(tab, served, toy_pictures):
    drop(tab, "suspects", of_folder(toy_pictures["members"]), "24 pictures")
    tab.click("text=I have some")
    drop(tab, "unseen", of_folder(toy_pictures["unseen"]), "24 pictures")
    tab.click("#ask")
    tab.wait_for_selector("#start", state="visible")
    assert "no single picture can get a p-value below 0.040" in tab.inner_text("#forecast")
    tab.click("#start")
    tab.wait_for_selector("#verdict iframe")
    assert f"Done: claim level {served.desk.result.claim.grade} of 4" in tab.inner_text("#verdict")
    frame = tab.query_selector("#verdict iframe")
    assert frame.get_attribute("sandbox") == "allow-scripts", "in an origin of its own"
    inside = frame.content_frame()
    inside.wait_for_selector("h1")
    assert served.desk.result.claim.sentence in " ".join(inside.inner_text("#answer").split())
    assert inside.text_content("#told").startswith("1 to "), "its one script runs"
    outward = "[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href')).filter(h => h[0] !== '#')"
    assert inside.evaluate(outward) == [], "there is nothing beside a page that is read in a frame"
    inside.evaluate("document.querySelector('#pictures a.zoom').click()")
    assert inside.is_visible("#zoom img") and not inside.is_visible("#zoom a")
    for link, name in (("Download everything", "trainedon-run.zip"), ("scores.csv", "scores.csv")):
        with tab.expect_download() as download:
            tab.click(f"#verdict >> text={link}")
        assert download.value.suggested_filename == name
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.evaluate("document.querySelector('#verdict iframe').scrollIntoView()")
    until(tab, lambda: len(colours(frame.screenshot())) >= 3)  # what is out of sight is not drawn until it is seen
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert len([url for url in tab.asked if "/queue/data" in url]) == 1, "a stream of answers that is closed loses some"
    tab.set_viewport_size({"width": 1100, "height": 900})
    tab.reload()  # what lies on the desk is there again
    tab.wait_for_selector("#verdict iframe")
    tab.click("#reset")
    tab.wait_for_selector("#suspects-heap >> text=No pictures yet")
    assert not [path for path in served.desk.folder.rglob("*") if path.is_file()]


def test_hostile_names_and_files_end_in_sentences(tab, served):
    files = [{"name": name, "mimeType": "image/png", "buffer": png(i)} for i, name in enumerate(HOSTILE)]
    files += [{"name": "bomb.png", "mimeType": "image/png", "buffer": bomb()}]
    page = b"<script>document.title=1</script>"
    files += [{"name": "<b>page${document.title=1}{{7*7}}.html", "mimeType": "text/html", "buffer": page}]
    drop(tab, "suspects", files, "3 pictures")
    said = tab.inner_text("#suspects-heap")
    assert "bomb.png" in said and "page" in said
    assert (
        tab.title() == "trainedon" and "page49" not in said and not tab.query_selector("#suspects-heap b b, img[src=x]")
    )
    assert {path.parent for path in served.desk.folder.rglob("*.png")} == {served.desk.suspects.folder}
    tab.click("#ask")
    tab.wait_for_selector("#start", state="visible")
    assert "No claim above level 0" in tab.inner_text("#forecast")


def test_own_code_typed_in_is_refused(tab, served, toy_pictures):
    drop(tab, "suspects", of_folder(toy_pictures["members"])[:1], "1 picture")
    tab.fill("#model input", "some_module:make")
    tab.press("#model input", "Enter")
    tab.click("#ask")
    tab.wait_for_selector("#forecast .fault")
    assert "would run code of your own" in tab.inner_text("#forecast")


def test_a_forecast_is_not_wiped_by_a_change_that_is_heard_later(tab, toy_pictures):
    drop(tab, "suspects", of_folder(toy_pictures["members"])[:1], "1 picture")
    held = []
    tab.route("**/queue/join*", lambda route: route.continue_() if held else held.append(route))
    tab.click("text=I have some")
    until(tab, lambda: held)
    tab.click("#ask")
    tab.wait_for_selector("#forecast .fault")
    held[0].continue_()
    tab.wait_for_selector("#unseen", state="visible")
    assert "pictures that the model cannot have seen" in tab.inner_text("#forecast .fault")
    tab.click("text=I have none")
    tab.wait_for_selector("#forecast .fault", state="detached")


def test_as_many_tabs_as_one_likes_are_answered(tab, served):
    """A browser has six connections to one address, for all its tabs."""
    tabs = [tab, *(tab.context.new_page() for _ in range(6))]
    for each in tabs[1:]:
        each.goto(served.address, wait_until="commit")
        each.wait_for_selector("#ask")
        each.click("#ask")
        each.wait_for_selector("#forecast .fault")
    tab.click("#ask")
    tab.wait_for_selector("#forecast .fault")


def test_it_is_stopped_and_goes_on(tab, served, toy_pictures):
    told = served.desk.job._told

    def slow(what, done, total):  # until the button is pressed
        if what.startswith("drc"):
            served.desk.job._stop.wait()
        told(what, done, total)

    served.desk.job._told = slow
    drop(tab, "suspects", of_folder(toy_pictures["members"]), "24 pictures")
    tab.click("#ask")
    tab.click("#start")
    tab.click("#stop")
    tab.wait_for_selector("#progress >> text=nothing is lost")
    served.desk.job._told = told
    tab.click("#go-on")
    tab.wait_for_selector("#verdict iframe")
    assert served.desk.count == 1 and served.desk.result is not None


def test_one_picture_is_looked_at(tab, toy_pictures):
    tab.click("button[role=tab]:has-text('One picture')")  # and no hidden copy, by which widths are measured
    tab.set_input_files("#one input[type=file]", of_folder(toy_pictures["members"])[0])
    tab.wait_for_selector("#look img")
    said = tab.inner_text("#look")
    assert "What the model painted from that" in said and "One picture alone proves nothing" in said
    tab.wait_for_function("[...document.querySelectorAll('#look img')].every(i => i.complete && i.naturalWidth)")


def test_the_page_says_that_its_program_has_ended(tab):
    with tab.expect_response("**/alive"):  # which tells the page how its program was started
        assert not tab.is_visible("#ended")
    tab.route("**/alive", lambda route: route.abort())
    tab.wait_for_selector("#ended >> text=has ended")
    assert tab.inner_text("#ended").endswith("Start it again with: trainedon app 'a model'")
    made = "document.body.append(Object.assign(document.createElement('div'), {className: 'toast-wrap', id: 'toast'}))"
    tab.evaluate(f"{made}; document.querySelector('#toast').textContent = 'Connection errored out'")
    assert not tab.is_visible("#toast"), "what Gradio says of it covers nothing"
    tab.unroute("**/alive")
    tab.wait_for_selector("#ended", state="hidden")
    tab.route("**/alive", lambda route: route.fulfill(status=403, body="another key"))
    tab.wait_for_selector("#ended >> text=started anew")
