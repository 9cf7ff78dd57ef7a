"""Ctrl-C, and the signal by which other programs end this one: at any moment one line, and no traceback."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

LINE = "trainedon: stopped; the same command goes on from here"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 30.0  # seconds for tidying up, where something holds on to the exception or has swallowed it


class Stop(KeyboardInterrupt):
    """One of SIGNALS came."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside the block a signal raises `Stop`; whatever comes out of the block then, the process ends with the line and
    the exit code that shells give (130, 143). A second signal does not wait for that.

    The line is written and the code kept even where a library turns the exception into one of its own. Handlers can be
    set in the main thread alone; in another one the block is as if it were not wrapped.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = _Caught(sys.unraisablehook)
    # what was ignored from the start stays so, as Ctrl-C where a script has put this into the background
    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, caught) for number in heeded}
    sys.unraisablehook = caught.lost
    try:
        yield
    except BaseException:  # an import or a callback that was cut short may end in any error
        if caught.number is None:
            raise
    finally:
        sys.unraisablehook = caught.hook
        for number, handler in before.items():  # what comes now changes nothing, also not while Python tidies up
            now: object = signal.getsignal(number)
            if now is caught:  # and no block inside this one has ended so
                signal.signal(number, handler if caught.number is None else signal.SIG_IGN)
    if caught.number is not None:
        caught.say()
        raise SystemExit(caught.code)


class _Caught:
    """The handler: remembers the first signal."""

    def __init__(self, hook: Callable[[Any], object]) -> None:
        self.number: int | None = None
        self.hook = hook  # `sys.unraisablehook` as it was
        self._said = self._again = False

    @property
    def code(self) -> int:
        return 128 + (self.number or 0)

    def __call__(self, number: int, frame: Any) -> None:
        if self._again:
            self._again = False
            raise Stop
        if self.number is not None:
            self._end()
        self.number = number
        timer = threading.Timer(GRACE, self._end)
        timer.daemon = True
        timer.start()
        raise Stop

    def lost(self, unraisable: Any) -> None:
        """`sys.unraisablehook`: where `Stop` met code that cannot fail, such as a finaliser, it is raised once more."""
        if not isinstance(unraisable.exc_value, Stop):
            self.hook(unraisable)
            return
        self._again = True
        threading.Timer(0.01, _thread.interrupt_main, [self.number]).start()  # not in here, which cannot fail either

    def say(self) -> None:
        if not self._said:
            self._said = True
            # past all buffers and consoles, which the signal may have found in the middle of a line
            shown = "\x1b[?25h\n" if sys.stderr is not None and sys.stderr.isatty() else ""
            with suppress(OSError):  # nobody listens
                os.write(2, f"{shown}{LINE}\n".encode())

    def _end(self) -> None:
        self.say()
        os._exit(self.code)
