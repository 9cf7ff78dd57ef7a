"""Chromium without a window, and what every visit in it has in common."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ARGS += ["--disable-sync"]


@contextmanager
def started() -> Iterator[object]:
    """A running browser, which no slow machine makes fail."""
    api = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs chromium on the PATH")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGS, timeout=0)
        yield running
        running.close()


@contextmanager
def visit(browser, address: str, media: str | None = None, **options: object) -> Iterator[object]:
    """A tab at an address, forgotten afterwards. It has `messages` of the page, and addresses that it `asked` for.

    options: of a context of playwright, a window as wide as a desk where nothing else is said.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
    context.set_default_timeout(600_000)  # a busy machine is no fault of the page, and nothing waits for ever
    tab = context.new_page()
    tab.messages, tab.asked = [], []
    tab.on("console", lambda message: tab.messages.append(message.text))
    tab.on("pageerror", lambda error: tab.messages.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    if media:
        tab.emulate_media(media=media)
    tab.goto(address)
    yield tab
    context.close()
