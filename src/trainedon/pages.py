"""How large the pages of a parquet file say that they are, read before they are unpacked: a few bytes can claim 2 GB.

Of a page no part can be read alone, so a reader unpacks all of it. Only headers are read here (Apache Parquet's
`PageHeader`, in Thrift's compact protocol).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from trainedon.errors import UserError

MOST_FOOTER = 2**27  # bytes; a million small pictures in groups of a hundred, with their statistics, have 50 MB
MOST_ITEMS = 100_000  # columns, or groups of rows
MOST_PAGE = 3 * 2**29  # bytes; writers put up to a thousand pictures into one
_HEADERS = (2**12, 2**24)  # bytes that are read for a header: at first, and where statistics in it are long
_DEEPEST = 16
_DICTIONARY = 2  # a kind of page
_INNER = (5, 7, 8)  # what a header says of a page of values, of a dictionary, and of values in the later way
_TEXTS = (6, 7)  # kinds of values
_DIFFERENCES = {6, 7}  # encodings: of lengths, and of texts
MOST_VALUES = 4_000_000  # of a list of columns; a hundred thousand groups of one column have half of that
_PER_VALUE = 1000  # bytes; a file may have one value more for each of them
MOST_REPEATED = 4096  # times a file's bytes that its rows may refer to; writers' dictionaries have some 1 000 values
SMALL = 2**24  # bytes of a file to which that does not apply
_BOOLEANS, _BYTE, _NUMBERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12


def check_footer(stream: IO[bytes], where: object) -> None:
    """Raise UserError for a file whose list of columns and groups is longer than an honest one has; the stream is at
    its beginning afterwards."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 8))
    tail = stream.read(8)
    stream.seek(0)
    if tail[4:] in (b"PAR1", b"PARE") and MOST_FOOTER < struct.unpack("<I", tail[:4])[0] < size:
        raise UserError(
            f"{where} describes itself in more than {MOST_FOOTER // 2**20} MiB: split it, or write it in fewer groups"
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where a column of a group of rows lies in the file. dictionary: where that is, or None. texts: whether its values
    have lengths of their own. rows: of the group. values: as many, or more where they are lists. differences: whether
    texts, or their lengths, are written as what differs from the one before."""

    start: int
    end: int
    dictionary: int | None
    texts: bool
    rows: int
    values: int
    differences: bool


@dataclass(frozen=True)
class Page:
    """What the header of a page says. unpacked, packed: bytes. after: where the next one begins."""

    dictionary: bool
    encoding: int
    unpacked: int
    packed: int
    values: int
    after: int


def chunks(stream: IO[bytes], where: object, most: int | None = None) -> list[dict[str, Chunk]]:
    """For each group of rows its columns, by their paths with dots. most: values that such a list may have in a file of
    any size.

    pyarrow's own list ends the process where it is damaged. Raises ArrowInvalid where it cannot be read, and UserError
    where it is longer than an honest one.
    """
    end = stream.seek(0, 2)
    stream.seek(max(0, end - 8))
    (size,) = struct.unpack("<I", stream.read(8)[:4].ljust(4, b"\0"))
    stream.seek(max(0, end - 8 - size))
    reader, found = _Reader(stream.read(size), max(most or MOST_VALUES, end // _PER_VALUE)), []

    def add(group: dict[int, Any]) -> None:
        found.append(dict(_chunk(column[3], group[3]) for column in group[1]))

    try:
        reader.struct(listed={4: add})
        return found
    except _TooMany:
        raise UserError(f"{where} has too many groups and columns for its size: write it in fewer groups") from None
    except (IndexError, KeyError, TypeError, ValueError, AttributeError):
        raise pa.ArrowInvalid("no list of columns") from None


def _chunk(told: dict[int, Any], rows: int) -> tuple[str, Chunk]:
    first, dictionary = told[9], told.get(11) or None
    start = first if dictionary is None else min(first, dictionary)
    end, texts, values = start + told[7], told[1] in _TEXTS, told[5]
    differences = not _DIFFERENCES.isdisjoint(told[2])
    if not 0 <= start <= end < 2**62 or min(rows, values) < 0:
        raise ValueError
    return ".".join(part.decode() for part in told[3]), Chunk(start, end, dictionary, texts, rows, values, differences)


def pages(stream: IO[bytes], chunk: Chunk) -> Iterator[Page]:
    """The pages of a column, from their headers alone. Raises ArrowInvalid."""
    at = chunk.start if chunk.rows or chunk.values else chunk.end  # of none, writers say that they lie at the beginning
    while at < chunk.end:
        page = _page(stream, at)
        yield page
        at = page.after


def largest_page(stream: IO[bytes], chunk: Chunk) -> int:
    """The most bytes that a page of a column takes, as the headers of its pages say. Raises ArrowInvalid."""
    return max((max(page.unpacked, page.packed) for page in pages(stream, chunk)), default=0)


def dictionary_size(stream: IO[bytes], chunk: Chunk) -> int:
    """The bytes that a column's dictionary takes; 0 where it has none. Raises ArrowInvalid."""
    return (
        0 if chunk.dictionary is None or not (chunk.rows or chunk.values) else _page(stream, chunk.dictionary).unpacked
    )


def _page(stream: IO[bytes], at: int) -> Page:
    for most in _HEADERS:
        stream.seek(at)
        reader = _Reader(stream.read(most), MOST_VALUES)
        try:
            told = reader.struct()
            kind, unpacked, packed = (int(told[number]) for number in (1, 2, 3))
            inner: dict[int, Any] = next((told[number] for number in _INNER if number in told), {})
            values, encoding = int(inner.get(1, 0)), int(inner.get(4 if 8 in told else 2, 0))
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, _TooMany):
            continue
        if min(unpacked, packed, values) >= 0:
            return Page(kind == _DICTIONARY, encoding, unpacked, packed, values, at + reader.at + packed)
    raise pa.ArrowInvalid("no header of a page")


class _TooMany(Exception):
    """There are more values than are gone through."""


class _Reader:
    """Values of Thrift's compact protocol, one after the other. Raises IndexError where they end too early."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data, self._left, self.at = data, most, 0

    def struct(self, depth: int = 0, listed: Mapping[int, Callable[[Any], None]] | None = None) -> dict[int, Any]:
        """The fields by their numbers: whole numbers, bytes, lists, and structs as this.

        listed: takes the values of a field that is a list, one by one, so that they are not held.
        """
        number, found = 0, {}
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._number()
            if listed and number in listed and head & 15 in _LISTS:
                self._list(depth, listed[number])
            else:
                found[number] = self._value(head & 15, depth, inside=False)
        return found

    def _value(self, kind: int, depth: int, inside: bool) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooMany
        if depth > _DEEPEST:
            raise ValueError
        if kind in _BOOLEANS:
            return self._byte() if inside else kind
        if kind in _NUMBERS:
            return self._number()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in _LISTS:
            return self._list(depth)
        if kind not in (_BYTE, _DOUBLE, _BINARY):
            raise ValueError
        size = self._varint() if kind == _BINARY else 8 if kind == _DOUBLE else 1
        if size > len(self._data) - self.at:
            raise IndexError
        self.at += size
        return self._data[self.at - size : self.at]

    def _list(self, depth: int, take: Callable[[Any], None] | None = None) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        values = (self._value(head & 15, depth + 1, inside=True) for _ in range(count))
        if take is None:
            return list(values)
        for value in values:
            take(value)
        return []

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError
