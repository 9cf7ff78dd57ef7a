"""What a command writes into a page of the docs, between two marks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from trainedon.errors import UserError
from trainedon.files import write_text


def tell(parts: Sequence[str], page: Path | None, begin: str, end: str) -> None:
    """Print paragraphs and the lines of tables, which stand together, and write them into the page, if one is given."""
    text = ""
    for before, line in zip(["", *parts], parts, strict=False):
        text += ("\n" if line.startswith("|") and before.startswith("|") else "\n\n") + line
    sys.stdout.write(text + "\n")
    if page:
        write_between(page, begin, end, f"{text}\n\n")


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
