"""Who is answered: this machine's own browser with the key, and for the page's own requests alone."""

import http.client
import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

pytest.importorskip("starlette", reason="needs the extra app: pip install -e '.[app]'")


class Inside:
    """The application, which counts what reaches it."""

    def __init__(self):
        self.reached = 0

    async def __call__(self, scope, receive, send):
        self.reached += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})


def asked(path="/", method="GET", query="", **headers):
    """Status, headers and whether the application was reached; headers None: without."""
    import asyncio

    from trainedon.app.guard import Guard

    inside, sent = Inside(), []
    every = {"host": "127.0.0.1:7000", "cookie": "trainedon-7000=secret"}
    every |= {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in every.items() if value is not None],
    }

    async def send(message):
        sent.append(message)

    asyncio.run(Guard(inside, 7000, "secret", lambda: 1000)(scope, None, send))
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert (sent[0]["status"] == 200) == bool(inside.reached)
    return sent[0]["status"], told


def test_the_key_opens_it_once_and_is_kept_where_no_page_can_read_it():
    status, headers = asked(query="key=secret", cookie=None)
    assert status == 303 and headers["location"] == "/"
    cookie = headers["set-cookie"].lower()
    assert "trainedon-7000=secret" in cookie and "httponly" in cookie and "samesite=strict" in cookie
    assert asked(query="key=guess", cookie=None)[0] == 403
    status, headers = asked()
    assert status == 200 and "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": None},
        {"cookie": "trainedon-7000=guess"},
        {"cookie": "trainedon-7001=secret"},
        {"host": None},
        {"host": "evil.example"},
        {"host": "evil.example:7000"},
        {"host": "127.0.0.1:7001"},
        {"host": "127.0.0.1.evil.example:7000"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:7000"},
        {"origin": "http://127.0.0.1:8000"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/", "/report", "/run.zip", "/gradio_api/queue/join"])
def test_forged_requests_are_refused(path, headers):
    assert asked(path, **headers)[0] == 403
    assert asked(path, "POST", content_length="2", **headers)[0] == 403


def test_a_link_elsewhere_may_open_it_but_shows_nothing_else():
    from_elsewhere = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert asked("/", **from_elsewhere)[0] == 200
    assert asked("/report", **from_elsewhere)[0] == 403


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/gradio_api/file=/etc/passwd", "GET"),
        ("/gradio_api/file=http://127.0.0.1:1/", "GET"),
        ("/gradio_api/proxy=http://127.0.0.1:1/", "GET"),
        ("/file=/etc/passwd", "GET"),
        ("/gradio_api/call/predict", "POST"),
        ("/gradio_api/run/predict", "POST"),
        ("/gradio_api/component_server", "POST"),
        ("/monitoring/x", "GET"),
        ("/docs", "GET"),
        ("/config", "OPTIONS"),
        ("/config", "DELETE"),
    ],
)
def test_what_the_page_does_not_ask_for_is_not_there(path, method):
    assert asked(path, method, content_length="2")[0] == 404


@pytest.mark.parametrize("path", ["/run/scores.csv", "/run/report.html", "/run/audit.json", "/alive"])
def test_the_files_that_a_page_names_are_there_one_by_one(path):
    assert asked(path)[0] == 200
    assert asked(path, cookie=None)[0] == 403


@pytest.mark.parametrize("path", ["/run/", "/run/truth.json", "/run/../run.json", "/run/restored/0/original.png"])
def test_and_no_others(path):
    assert asked(path)[0] == 404


def test_a_page_that_is_read_in_a_frame_has_no_link_that_leads_out_of_it():
    from trainedon.app.serving import without_links

    page = """<a href="#all">All</a> <a href="scores.csv" translate="no">scores.csv</a>
<a class="zoom" href="a/b.png"><img></a> <a href="https://arxiv.org/abs/1" rel="noreferrer">arXiv</a>
&lt;a href="x"&gt;"""
    assert (
        without_links(page)
        == """<a href="#all">All</a> <a translate="no">scores.csv</a>
<a class="zoom" href="#zoom"><img></a> <a rel="noreferrer">arXiv</a>
&lt;a href="x"&gt;"""
    )


def test_uploads_are_bounded():
    upload = "/gradio_api/upload"
    assert asked(upload, "POST", content_length="1000")[0] == 200
    assert asked(upload, "POST", content_length="1001")[0] == 413
    assert asked(upload, "POST")[0] == 411
    assert asked(upload, "POST", content_length="-5")[0] == 411
    assert asked("/gradio_api/queue/join", "POST", content_length=str(2**20 + 1))[0] == 413


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Gradio, which leaves sockets open
def test_nothing_outside_is_read_through_the_served_page(served, tmp_path):
    """What Gradio itself would answer, with the key."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    assert served.ask("/")[0] == served.ask("/config")[0] == 200
    assert served.ask("/", Cookie=None)[0] == served.ask("/config", Host="evil.example")[0] == 403
    for path in (f"/gradio_api/file={secret}", f"/static/..%2f..%2f..{secret}", f"/assets/../../../../..{secret}"):
        status, body = served.ask(path)
        assert status in (403, 404) and b"secret" not in body
    assert served.ask("/report")[0] == served.ask("/run.zip")[0] == 404
    config = json.loads(served.ask("/config")[1])
    assert config["analytics_enabled"] is False and not config.get("is_space")
    assert not [one for one in config["dependencies"] if one["api_visibility"] != "private"]
    drops = [one["id"] for one in config["dependencies"] if [name for _, name in one["targets"]] == ["upload"]]
    for number in drops:
        file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
        body = {"data": [[file]], "fn_index": number, "session_hash": "s", "trigger_id": 1}
        answer = served.ask(
            "/gradio_api/queue/join", "POST", json.dumps(body).encode(), Content_Type="application/json"
        )
        assert answer[0] in (200, 400, 422, 500)
    events = served.ask("/gradio_api/queue/data?session_hash=s")[1]  # until all of them are done
    assert b"process_completed" in events and b'secret"' not in events
    assert secret.read_bytes() == b"secret" and not len(served.desk.suspects)


def ended(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_without_the_extra_a_sentence_says_what_to_install():
    code = """
import sys
sys.modules["gradio"] = None
from importlib import util
found = util.find_spec
util.find_spec = lambda name, *rest: None if name == "gradio" else found(name, *rest)
sys.argv[1:] = ["app"]
from trainedon.cli import main
main()
"""
    end = ended(code)
    assert end.returncode == 2 and end.stderr == (
        "trainedon: the page in the browser is an extra: pip install 'trainedon[app]'\n"
    )


@contextmanager
def opened(address):
    """A page that a browser has open: it waits for answers."""
    place, key = address.removeprefix("http://").split("/?key=")
    connection = http.client.HTTPConnection(place)
    headers = {"Cookie": f"trainedon-{place.partition(':')[2]}={key}", "Content-Type": "application/json"}
    connection.request("GET", "/config", headers=headers)
    (load,) = (
        one["id"]
        for one in json.loads(connection.getresponse().read())["dependencies"]
        if one["targets"][0][1] == "load"
    )
    asked = json.dumps({"data": [], "fn_index": load, "session_hash": "s", "trigger_id": 0})
    connection.request("POST", "/gradio_api/queue/join", asked, headers)
    connection.getresponse().read()
    connection.request("GET", "/gradio_api/queue/data?session_hash=s", headers=headers)
    answers = connection.getresponse()
    while b"process_completed" not in answers.readline():
        pass
    yield
    connection.close()


@pytest.mark.slow
def test_the_command_ends_by_a_signal_and_leaves_nothing(tmp_path):
    import os
    import signal

    pytest.importorskip("gradio", reason="needs the extra app")
    command = [sys.executable, "-m", "trainedon", "app", "--no-browser"]
    place = os.environ | {"TMPDIR": str(tmp_path)}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=place)
    try:
        line = running.stdout.readline()
        assert line.startswith("The page: http://127.0.0.1:") and "?key=" in line
        (folder,) = tmp_path.glob("trainedon-app-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        with opened(line.split()[-1]):
            running.send_signal(signal.SIGINT)
            out, err = running.communicate()
        assert running.returncode == 0 and "What was dropped is removed." in out and "Traceback" not in err, err
    finally:
        running.kill()
    assert not list(tmp_path.glob("trainedon-app-*"))


def test_a_port_that_is_taken_is_said():
    from commandline import call

    pytest.importorskip("gradio", reason="needs the extra app")
    from trainedon.app.serving import listening

    with listening(0) as taken:
        end = call("app", "--no-browser", "--port", taken.getsockname()[1])
    assert end.returncode == 2 and "give another one, or 0 for any" in end.stderr
