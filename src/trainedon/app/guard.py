"""Who may talk to the page: this machine's own browser, once it was given the key, and no other page in it."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trainedon.app.desk import BESIDE, FILES

UPLOAD = "/gradio_api/upload"
# All that the page itself asks for. What else Gradio serves, files by their path among it, is not there.
PATHS = frozenset(
    (
        "/",
        "/config",
        "/config/",
        "/theme.css",
        "/favicon.ico",
        "/manifest.json",
        "/report",
        "/run.zip",
        "/alive",
        UPLOAD,
    )
) | frozenset(("/gradio_api/info", "/gradio_api/startup-events", "/gradio_api/app_id", "/gradio_api/upload_progress"))
PATHS |= frozenset(BESIDE + name for name in FILES)
BELOW = ("/assets/", "/static/", "/svelte/", "/gradio_api/queue/", "/gradio_api/heartbeat/")
MOST_ASKED = 2**20  # bytes of a request that uploads nothing
OPEN = "open the address that `trainedon app` printed; it holds the key"
# Nothing but this page itself is ever loaded, whoever asks for it. Gradio's own code needs the two words in quotes.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


class Guard:
    """Around an application. port: on which it listens. key: what a browser must have been told once. room: how many
    bytes may still be uploaded."""

    def __init__(self, app: ASGIApp, port: int, key: str, room: Callable[[], int]) -> None:
        self._app, self._key, self._room = app, key, room
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"trainedon-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", POLICY)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
            await send(message)

        await self._app(scope, receive, sent)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """What is answered instead; None where the request may pass."""
        method, path = scope["method"], scope["path"]
        if headers.get("host") not in self._hosts:  # another name that was made to lead here
            return _no("this page answers to 127.0.0.1 alone")
        origin = headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return _no("another page must not use this one")
        opened = (method, path, headers.get("sec-fetch-mode")) == ("GET", "/", "navigate")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not opened:
            return _no("another page must not use this one")
        if path == "/" and (given := parse_qs(scope["query_string"].decode("latin-1")).get("key")):
            return self._let_in(given[0])
        if not self._knows(headers):
            return _no(OPEN)
        if method not in ("GET", "HEAD", "POST") or not (path in PATHS or path.startswith(BELOW)):
            return PlainTextResponse("there is nothing here", 404)
        return self._too_much(path, headers) if method == "POST" else None

    def _let_in(self, given: str) -> Response:
        """The browser keeps the key where no page can read it, and where no other page's requests carry it."""
        if not _same(given, self._key):
            return _no(OPEN)
        response = RedirectResponse("/", 303, headers={"Referrer-Policy": "no-referrer"})
        response.set_cookie(self._cookie, self._key, httponly=True, samesite="strict")
        return response

    def _knows(self, headers: Headers) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return cookie is not None and _same(cookie.value, self._key)

    def _too_much(self, path: str, headers: Headers) -> Response | None:
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return PlainTextResponse("say how long it is", 411)
        if int(length) > (self._room() if path == UPLOAD else MOST_ASKED):
            return PlainTextResponse("there is no room for so much: give fewer pictures at once", 413)
        return None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _no(why: str) -> Response:
    return PlainTextResponse(why, 403)
