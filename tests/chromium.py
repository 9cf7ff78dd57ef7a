"""Chromium without a window, and what every visit in it has in common."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ARGS += ["--disable-sync"]
PATIENCE = 120_000
"""Milliseconds that a busy machine is given for one step, after which its failure is told."""
SHOWN = 3000  # characters of the page, in what is told
_tabs: list[object] = []


@contextmanager
def started() -> Iterator[object]:
    """A running browser."""
    api = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs chromium on the PATH")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGS, timeout=PATIENCE)
        yield running
        running.close()


@contextmanager
def visit(browser, address: str, media: str | None = None, **options: object) -> Iterator[object]:
    """A tab at an address, forgotten afterwards. It has `messages` of the page, and addresses that it `asked` for.

    options: of a context of playwright, a window as wide as a desk where nothing else is said.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    tab.messages, tab.asked = [], []
    tab.on("console", lambda message: tab.messages.append(message.text))
    tab.on("pageerror", lambda error: tab.messages.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    if media:
        tab.emulate_media(media=media)
    _tabs.append(tab)
    try:
        tab.goto(address)
        yield tab
    finally:
        _tabs.remove(tab)
        context.close()


def shown() -> list[str]:
    """What the tabs that are open show, and what they said, for somebody who reads why a test failed."""
    return [f"{tab.url} said {tab.messages} and shows: {_text(tab)}" for tab in _tabs]


def _text(tab) -> str:
    try:
        return " ".join(tab.inner_text("body", timeout=5000).split())[:SHOWN]
    except Exception as error:  # noqa: BLE001 (this is said beside another error, and must not hide it)
        return f"nothing that can be read ({error})"
