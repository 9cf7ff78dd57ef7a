"""What the terminal shows: progress and plain lines. File names are never obeyed, only shown."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trainedon.redact import redacted_argument, without_secrets

out_console = Console(emoji=False, highlight=False)
progress_console = Console(emoji=False, stderr=True)


class Bars:
    """How far each thing is that is said to progress: bars on a terminal, lines elsewhere (`Lines`)."""

    def __init__(self) -> None:
        self._lines = None if progress_console.file.isatty() else Lines()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=progress_console,
            disable=self._lines is not None,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: float, total: int) -> None:
        if self._lines is not None:
            self._lines(what, done, total)
            return
        key = _stage(what)
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(plain(what), total=total)
        self._progress.update(self._tasks[key], completed=done, description=plain(what))


def say_passed(set_name: str, groups: Iterable[tuple[str, int, Sequence[str]]]) -> None:
    """What was passed over in the source of one set, (kind, how many, first names) each, if anything was."""
    told, total = [], 0
    for kind, n, names in groups:
        total += n
        told.append(f"{n} {kind} ({', '.join(names)}{', ...' if n > len(names) else ''})")
    if told:
        say(f"{set_name}: {total} {'file' if total == 1 else 'files'} passed over: {', '.join(told)}")


def say_besides(source: str, follow_links: bool) -> None:
    """What is passed over in a source of pictures, and what is assumed about it."""
    from trainedon.pictures import scan

    passed = scan(source, follow_links=follow_links).passed
    say_passed("pictures", passed.groups())
    for note in passed.notes:
        say(f"note: {note}")


class Lines:
    """For a file: a line when something begins, and one every `interval` seconds; written at once, without control
    characters. What is left of a stage goes by the time spent on it, not on others in between."""

    def __init__(self, interval: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._clock = interval, clock
        self._begun: dict[str, tuple[float, float]] = {}  # stage -> seconds spent on it, and what was done before
        self._now = ("", self._clock())  # stage at work, and when something was last told
        self._told = float("-inf")

    def __call__(self, what: str, done: float, total: int) -> None:
        stage, now = _stage(what), self._clock()
        new = stage not in self._begun
        spent, had = self._begun.setdefault(stage, (0.0, done))
        spent += now - self._now[1] if stage == self._now[0] else 0.0
        self._begun[stage], self._now = (spent, had), (stage, now)
        if not new and (now - self._told < self._interval or done <= had):
            return
        self._told = now
        left = "" if new or done >= total or not spent else f", {_left(spent / (done - had) * (total - done))}"
        count = f": {int(done)} of {total}" if total > 1 else ""
        progress_console.file.write(f"{printable(what)}{count}{left}\n")
        progress_console.file.flush()


def _stage(what: str) -> str:
    return what.partition(", loss")[0]


def _left(seconds: float) -> str:
    for unit, size, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48), ("days", 86400, float("inf"))):
        if seconds / size < most:
            return f"about {max(1, round(seconds / size))} {unit} left"
    raise AssertionError(seconds)


def plain(text: str) -> str:
    """Without control characters, which a file name may hold and a terminal would obey, and without markup."""
    from rich.markup import escape

    return escape(printable(text))


def printable(text: str) -> str:
    """Without control characters, and without what nobody may read of addresses."""
    return "".join(character if character.isprintable() else "?" for character in without_secrets(text))


def say(text: str) -> None:
    out_console.print(plain(text), soft_wrap=True)


def typed() -> str:
    """The command that was typed, without secrets."""
    return shlex.join(["trainedon", *map(redacted_argument, sys.argv[1:])])


def stop(text: str) -> None:
    """Why the program stops, to standard error."""
    Console(emoji=False, stderr=True, highlight=False).print(f"trainedon: {plain(text)}", soft_wrap=True)


@contextmanager
def heard() -> Iterator[None]:
    """Inside the block, what the package logs goes to standard error, a line each."""
    log, handler = logging.getLogger("trainedon"), _Handler()
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        progress_console.print(plain(record.getMessage()), soft_wrap=True, highlight=False)
