"""The program behind the page: it listens on 127.0.0.1 alone, tells nobody, and leaves nothing behind."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from trainedon.app.desk import BESIDE, FILES, MOST_BYTES, Desk
from trainedon.app.dropped import MOST_FILE
from trainedon.app.guard import Guard
from trainedon.app.models import Models
from trainedon.embedded import EMBEDDED
from trainedon.errors import UserError
from trainedon.reporting.page import script_digest
from trainedon.stopping import SIGNALS

HOST = "127.0.0.1"
NO_STORE = {"Cache-Control": "no-store"}  # the next run has the same addresses
SHUTTING_DOWN = 1  # second that open connections are given; a page that is open keeps one to the end
# The page in its frame: its one script in an origin of its own, no forms, and nothing is loaded.
SANDBOX = (
    f"sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    f"script-src '{script_digest()}'; frame-ancestors 'self'"
)
# A link that leads out of the page: files beside it are not there, and a frame cannot leave for the network.
OUTWARD = re.compile(r'(<a\b[^>]*?) href="(?!#)[^"]*"')
# Gradio asks its makers for news and tells them of use; both are looked up when it is imported.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False", "GRADIO_SSR_MODE": "False"}


def serve(models: Models, port: int, browser: bool, command: str, tell: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM; then what was dropped is removed.

    port: 0 for any that is free. browser: whether the page is opened in it. command: which starts it again. tell:
    called with the page's address.
    Raises UserError for a port that is taken.
    """
    with listening(port) as listener, tempfile.TemporaryDirectory(prefix="trainedon-app-") as folder:
        desk, key = Desk(Path(folder), models), secrets.token_urlsafe(24)
        at = listener.getsockname()[1]
        app = Guard(application(desk, command), at, key, lambda: MOST_BYTES - desk.bytes())
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=SHUTTING_DOWN))
        address = f"http://{HOST}:{at}/?key={key}"
        threading.Thread(target=_warm, args=(models,), daemon=True).start()
        try:
            _run(server, listener, lambda: tell(address), address if browser else None)
        finally:
            desk.close()


def application(desk: Desk, command: str = "trainedon app") -> FastAPI:
    """The page, with what it shows beside: the report of the run and its files. command: which starts it again."""
    os.environ |= QUIET | {"GRADIO_TEMP_DIR": str(desk.uploads)}
    import gradio

    from trainedon.app.forms import CSS, SCRIPT, page, theme

    routes: list[BaseRoute] = [Route("/report", partial(_report, desk)), Route("/run.zip", partial(_zipped, desk))]
    routes.append(Route("/alive", lambda request: PlainTextResponse(command, headers=NO_STORE)))
    routes += [Route(f"{BESIDE}{name}", partial(_file, desk, name)) for name in FILES]
    app = FastAPI(openapi_url=None, routes=routes)
    options: dict[str, Any] = {"allowed_paths": [], "show_error": False, "max_file_size": MOST_FILE}
    options |= {"footer_links": [], "run_history": False, "enable_monitoring": False, "pwa": False, "mcp_server": False}
    mounted: FastAPI = gradio.mount_gradio_app(app, page(desk), "/", HOST, css=CSS, js=SCRIPT, theme=theme(), **options)
    return mounted


def _warm(models: Models) -> None:
    """What takes long to import is there by the time that it is needed."""
    with suppress(UserError):  # which is said when the model is asked
        models.opened(EMBEDDED)


def _report(desk: Desk, request: Request) -> Response:
    if desk.result is None:
        return PlainTextResponse("there is no run that is done", 404)
    return HTMLResponse(without_links(desk.result.page), headers={"Content-Security-Policy": SANDBOX, **NO_STORE})


def without_links(page: str) -> str:
    """The page with links to places in itself alone. Others stay as text; pictures are enlarged, without their file."""
    return OUTWARD.sub(lambda link: f'{link[1]} href="#zoom"' if 'class="zoom"' in link[1] else link[1], page)


def _file(desk: Desk, name: str, request: Request) -> Response:
    """One file of the run, by a name of FILES and no other."""
    if desk.result is None or not (desk.run / name).is_file():
        return PlainTextResponse("there is no such file: no run is done", 404)
    return FileResponse(desk.run / name, filename=name, media_type="application/octet-stream", headers=NO_STORE)


def _zipped(desk: Desk, request: Request) -> Response:
    try:
        return FileResponse(desk.zipped(), filename="trainedon-run.zip", media_type="application/zip", headers=NO_STORE)
    except UserError as error:
        return PlainTextResponse(str(error), 404)


def _run(server: uvicorn.Server, listener: socket.socket, ready: Callable[[], None], address: str | None) -> None:
    """Until a signal comes, which ends this as something that is done; a second one does not wait. ready: called once
    signals are heard. address: what is opened in the browser once the server answers."""
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)

    def end(number: int, frame: object) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # that it cuts off open pages is no fault
        server.force_exit = server.should_exit
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        thread.start()
        ready()
        while thread.is_alive():
            thread.join(0.2)
            if address is not None and server.started:
                with suppress(webbrowser.Error):
                    webbrowser.open(address)
                address = None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listening(port: int) -> socket.socket:
    """A socket on 127.0.0.1. port: 0 for any that is free. Raises UserError for one that is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # who comes before the server has started waits for it
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--port {port} cannot be used ({reason}): give another one, or 0 for any") from None
    return listener
