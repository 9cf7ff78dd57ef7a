"""What a command writes into a page of the docs, between two marks."""

from __future__ import annotations

from pathlib import Path

from trainedon.errors import UserError
from trainedon.files import write_text


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between the marks, which stay. Raises UserError for a page without them."""
    before, after = around(page, begin, end)
    write_text(page, f"{before}{text}{after}")


def around(page: Path, begin: str, end: str) -> tuple[str, str]:
    """The page up to its first mark and from its last one on, marks included. Raises UserError where one is missing."""
    before, first, rest = page.read_text("utf-8").partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise UserError(f"{page} has no lines {begin} and {end} to write between: add them")
    return before + first, last + after
