"""What is said when a store cannot be read: what it is, and what to do."""

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from threading import Thread

import pytest

from trainedon.errors import UserError
from trainedon.pictures import scan
from trainedon.pictures.places.faults import explanation


class Answered(Exception):
    def __init__(self, **carried):
        super().__init__("no")
        self.__dict__ |= carried


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Answered(status=401), "needs a login"),
        (Answered(response={"ResponseMetadata": {"HTTPStatusCode": 403}}), "refuses access"),
        (Answered(status_code=503), "server is failing now (HTTP 503)"),
        (Answered(code=429), "asked too often"),
        (socket.gaierror(-2, "who?"), "no host of this name"),
        (ConnectionRefusedError(111, "Connection refused"), "does not answer there"),
        (TimeoutError(), "does not answer in time"),
    ],
)
def test_each_fault_says_what_to_do(error, says):
    assert says in explanation(error)
    try:
        raise RuntimeError("made of another") from error
    except RuntimeError as outer:
        assert explanation(outer) == explanation(error)


def test_what_is_not_known_is_none():
    assert explanation(RuntimeError("odd")) is None


@pytest.mark.skipif(find_spec("aiohttp") is None, reason="aiohttp is not installed")
@pytest.mark.parametrize(
    ("status", "says"), [(401, "needs a login"), (403, "refuses"), (404, "does not exist"), (500, "500")]
)
def test_a_web_server_is_told_by_its_answer(status, says):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(status)

        do_HEAD = do_GET

        def log_message(self, *_):
            """Nothing is printed."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(UserError, match=says) as error:
            scan(f"http://me:secret@127.0.0.1:{server.server_port}/a.png?token=secret")
        assert "secret" not in str(error.value)
    finally:
        server.shutdown()
        server.server_close()
