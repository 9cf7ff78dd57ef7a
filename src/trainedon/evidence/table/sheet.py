"""A table of scores as text (CSV and its kin): what separates, what is the decimal mark. Nothing is guessed.

Each row must have as many values as the header, and numbers one way of writing; what could be read in two ways is
refused with its row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from trainedon.errors import UserError
from trainedon.reading import open_regular

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LONGEST = 1 << 20  # characters of a line; one that is longer is no row of a table
MOST_BLANK = 1 << 21  # lines without a row; programs for sheets write a million below the last
LISTED = 8  # columns that a message names
PACKED = {
    b"PK\x03\x04": "an Excel file, or another packed one",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"\x1f\x8b": "compressed (gzip)",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ": "compressed (xz)",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)",
}
MARKS = (b"\xff\xfe", b"\xfe\xff")  # how UTF-16 begins
SAVE = "save it as CSV in UTF-8"
# a comma in 1,234 may set thousands apart; in 0,234 and 1,23 and 1234,567 it cannot
EITHER = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
# so may a point where semicolons separate, for commas are decimal there
DOTTED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
THOUSANDS = re.compile(r"[+-]?\d+([.,' \u00a0\u202f]\d+){2,}")
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
POINT = re.compile(r"[+-]?\d*\.\d*([eE][+-]?\d+)?")


def column_name(name: str) -> str:
    """A column's name without capitals and blanks, by which it is known."""
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def known_columns(names: Sequence[str], wanted: Collection[str], required: Sequence[str], path: Path) -> dict[str, int]:
    """Where the columns are that are wanted. Raises UserError when a required one is missing, or one comes twice."""
    found: dict[str, int] = {}
    for place, name in enumerate(map(column_name, names)):
        if name in wanted and name in found:
            raise UserError(f"{path} has two columns {name}; keep one")
        if name in wanted:
            found[name] = place
    missing = [name for name in required if name not in found]
    if missing:
        listed = [" ".join(name.split())[:40] or "(no name)" for name in names[:LISTED]]
        more = ", ..." if len(names) > LISTED else ""
        seen = f"; it has {', '.join(listed)}{more}" if any(name.strip() for name in names) else ""
        needs = f"a table of scores needs {', '.join(required)}"
        columns = "column" if len(missing) == 1 else "columns"
        raise UserError(f"{path} lacks the {columns} {', '.join(missing)}: {needs}{seen}")
    return found


def read_sheet(
    path: Path, wanted: Collection[str], required: Sequence[str], numbers: Collection[str]
) -> Iterator[dict[str, str]]:
    """The rows of a text table, a few columns of them. numbers: columns of numbers, given with a decimal point.

    The file is read twice: once to see how its numbers are written. Rows in which nothing stands are passed over, as
    are lines with `#` before the header. Raises UserError for a table that is packed, no text, or not clear.
    """
    encoding = _encoding(path)
    separator, names = _header(path, encoding, required)
    columns, width = known_columns(names, wanted, required, path), len(names)
    nameless = [place for place, name in enumerate(names) if place and not name.strip()]  # the first may number rows
    at = [columns[name] for name in numbers if name in columns]
    comma = _has_decimal_commas(path, encoding, separator, width, at)
    for where, row in _body(path, encoding, separator, width):
        if any(row[place].strip() for place in nameless):
            raise UserError(f"{path}: {where} has a value in a column without a name: name it, or is it half a number?")
        if comma:
            row = [value.replace(",", ".") if place in at else value for place, value in enumerate(row)]
        yield {name: row[place] for name, place in columns.items()}


def _encoding(path: Path) -> str:
    with open_regular(path) as file:
        head = file.read(4096)
    for mark, kind in PACKED.items():
        if head.startswith(mark):
            raise UserError(f"{path} is {kind}: unpack it, or {SAVE}")
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        raise UserError(f"{path} is UTF-32 text: {SAVE}")
    if head.startswith(MARKS):
        return "utf-16"
    if b"\0" in head:
        raise UserError(f"{path} is no text, or UTF-16 that does not say so: {SAVE}")
    return "utf-8-sig"


def _header(path: Path, encoding: str, required: Sequence[str]) -> tuple[str, list[str]]:
    """What separates, and the names of the columns."""
    headers, errors = {}, []
    for one in SEPARATORS:
        try:
            headers[one] = next((row for _, row in _rows(path, encoding, one)), [])
        except UserError as error:  # quotes may make no sense with another separator
            errors.append(error)
    if not headers:
        raise errors[0]
    fitting = {one: sum(column_name(name) in required for name in names) for one, names in headers.items()}
    separator = max(fitting, key=lambda one: (fitting[one], len(headers[one])))
    return separator, headers[separator]


def _has_decimal_commas(path: Path, encoding: str, separator: str, width: int, at: Sequence[int]) -> bool:
    """Whether numbers have decimal commas. Raises UserError where they may as well set thousands apart."""
    comma = point = either = dotted = None  # the first number of a kind, and its row
    for where, row in _body(path, encoding, separator, width):
        for value in (row[place].strip() for place in at):
            if THOUSANDS.fullmatch(value):
                raise UserError(f"{path}: {where} has the number {value!r}: write it without marks between thousands")
            if EITHER.fullmatch(value):
                either = either or (where, value)
            elif COMMA.fullmatch(value):
                comma = comma or (where, value)
            elif separator == ";" and DOTTED.fullmatch(value):
                dotted = dotted or (where, value)
            elif POINT.fullmatch(value):
                point = point or (where, value)
    point = point or (dotted if comma or either else None)
    other = comma or either
    if point and other:
        raise UserError(
            f"{path}: {other[0]} has the number {other[1]!r}, and {point[0]} {point[1]!r}: write all with a point"
        )
    if either and not comma:
        raise UserError(
            f"{path}: {either[0]} has the number {either[1]!r}, whose comma may be a decimal one or set thousands "
            "apart: write all numbers with a point"
        )
    if dotted and not point:
        raise UserError(
            f"{path}: {dotted[0]} has the number {dotted[1]!r}, whose point may be a decimal one or set thousands "
            "apart: separate columns by commas if it is decimal, and leave it out if not"
        )
    return comma is not None


def _body(path: Path, encoding: str, separator: str, width: int) -> Iterator[tuple[str, list[str]]]:
    """The rows below the header, and how a message calls each. Raises UserError for one of another length."""
    rows = _rows(path, encoding, separator)
    next(rows, None)
    for number, (line, row) in enumerate(rows, start=1):
        where = f"row {number} (line {line})"
        if len(row) != width:
            said = f"{path}: {where} has {len(row)} values, and the header {width} columns"
            raise UserError(f"{said}; {_hint(row, width, separator)}")
        yield where, row


def _hint(row: Sequence[str], width: int, separator: str) -> str:
    if len(row) < width:
        return f"the columns are separated by {SEPARATORS[separator]}: complete the row, or take it out"
    if separator == ",":
        return "a comma inside a value needs quotes around it: write numbers with a point, or separate by semicolons"
    return f"the columns are separated by {SEPARATORS[separator]}: put a value that holds one into quotes"


def _rows(path: Path, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Every row in which something stands, header first, with the number of its last line."""
    with TextIOWrapper(open_regular(path), encoding=encoding, newline="") as file:
        reader = csv.reader(_lines(file, path), delimiter=separator, skipinitialspace=separator != "\t", strict=True)
        begun, blank = False, 0
        try:
            for row in reader:
                # no row, a comment, or Excel's own word for what separates
                if not any(map(str.strip, row)) or (not begun and row[0].lower().startswith(("#", "sep="))):
                    blank += 1
                    if blank > MOST_BLANK:
                        raise UserError(f"{path} has more than {MOST_BLANK} lines without a row: remove them")
                    continue
                begun = True
                # bars are drawn with a blank on either side; elsewhere a name may end with one
                yield reader.line_num, [value.strip() for value in row] if separator == "|" else row
        except UnicodeDecodeError:
            said = f"{path} is not {encoding.removesuffix('-sig').upper()} text{_undecoded(path, encoding)}"
            raise UserError(f"{said}: {SAVE}") from None
        except csv.Error as error:
            raise UserError(f"{path} cannot be read as a table of scores: line {reader.line_num}: {error}") from None


def _undecoded(path: Path, encoding: str) -> str:
    """In which line the first bytes stand that are no such text, where that can be told."""
    with open_regular(path) as file:
        lines = iter(lambda: file.readline(4 * LONGEST), b"") if encoding.startswith("utf-8") else ()
        for number, line in enumerate(lines, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return f" (line {number})"
    return ""


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """The lines, none of which is held when it is too long for a row."""
    while line := file.readline(LONGEST):
        if len(line) == LONGEST:
            raise UserError(f"{path} has a line of more than {LONGEST} characters: it is no table of scores")
        yield line
