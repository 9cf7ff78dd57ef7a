"""Tables as CSV (RFC 4180, UTF-8), which a spreadsheet can open without taking a stranger's text for a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

# A cell that begins so is a formula to a spreadsheet. Where its list separator is another one than ours, a cell may
# also begin behind that, inside of a text; quotes that follow are then taken off, and space may be. Apostrophes
# that stand before one already get another, so that taking off one gives the text.
_BEGINS = r"((?:^|[;,|\t\r\n])[\s\"]*)"
_RUN = r"(?='*[=+\-@\t\r\n＝＋－＠])"
_FORMULA = re.compile(f"{_BEGINS}{_RUN}")
_MARKED = re.compile(f"{_BEGINS}'{_RUN}")

Cell = str | int | float | None


def csv_parts(rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """The text of a table, a part for each row. Texts are made harmless; numbers are written so that they are read
    back bit for bit; None is an empty cell."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for row in rows:
        writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in row])
        yield stream.getvalue()
        stream.seek(0)
        stream.truncate()


def harmless(text: str) -> str:
    """The text with an apostrophe before everything that a spreadsheet would take for the beginning of a formula."""
    return _FORMULA.sub(r"\1'", text)


def as_it_was(cell: str) -> str:
    """The text of which `harmless` made a cell."""
    return _MARKED.sub(r"\1", cell)
