"""The page as it is served, in this process, on a port of its own."""

from __future__ import annotations

import gc
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

KEY = "the-key"
COMMAND = "trainedon app 'a model'"
NEEDS = "needs the extra app: pip install -e '.[app]'"


@dataclass
class Served:
    """desk: what the page works at. port: where it is served."""

    desk: object
    port: int
    cookie: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?key={KEY}"

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body, asked with the key; headers: `Sec_Fetch_Site` for `Sec-Fetch-Site`, None: without."""
        every = {"Host": f"127.0.0.1:{self.port}", "Cookie": f"trainedon-{self.port}={KEY}"}
        every |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(method, path, body, {name: value for name, value in every.items() if value is not None})
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found


@pytest.fixture
def desk(tmp_path: Path, overtrained: Path):
    from trainedon.app.desk import Desk
    from trainedon.app.models import Models

    folder = tmp_path / "desk"
    folder.mkdir(mode=0o700)
    desk = Desk(folder, Models((str(overtrained),)))
    yield desk
    desk.close()


@pytest.fixture
def served(desk) -> Iterator[Served]:
    uvicorn = pytest.importorskip("uvicorn", reason=NEEDS)
    pytest.importorskip("gradio", reason=NEEDS)
    from trainedon.app.guard import Guard
    from trainedon.app.serving import application, listening

    with listening(0) as listener:
        port = listener.getsockname()[1]
        app = Guard(application(desk, COMMAND), port, KEY, lambda: 2**24)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.05)
        yield Served(desk, port)
        server.should_exit = True
        thread.join()
    gc.collect()  # what Gradio leaves open is told of here, where the tests that use this pass it over
