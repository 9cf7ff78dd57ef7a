"""Parquet files as strangers may have left them: what a few kilobytes claim is looked at before any of it is unpacked.

A page of a file says how large it becomes, and a dictionary lets a million rows stand for one long text. Both are read
here as the format has them, so that what a file would take is known before Arrow takes it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainedon.reading import open_regular

BATCH = 4096  # rows
BUFFER = 1 << 16  # bytes of a column
MOST_FOOTER = 2**25  # bytes; that of a hundred million rows of ours has half of it
MOST_PAGE = 2**26  # bytes that a page becomes; more only where it is a hundredth of that in the file
LARGEST_PAGE = 2**28
MOST_HELD = 2**26  # numbers in all lists of a column
FREE_ROWS = 2**20  # and beyond, one for every two bytes of the file
SHORT = 2**16  # bytes of a dictionary that may stand for each row of a batch
MOST_TEXT = 2**28  # bytes of all texts of a batch
FREE_TEXT, TEXT_SHARE = 2**29, 500  # bytes of all texts of a file, and as many times its size
_DICTIONARY, _DELTA_BYTES = 2, 7  # a kind of page, and an encoding whose texts may grow without a dictionary


@dataclass(frozen=True)
class Reader:
    """An open file that was looked through. rows: how many of it may be read at once."""

    file: pq.ParquetFile
    rows: int
    size: int

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    @property
    def names(self) -> list[str]:
        return self.file.schema_arrow.names

    def batches(self, columns: Sequence[str], rows: int = BATCH) -> Iterator[pa.RecordBatch]:
        """Some columns, at most so many rows at a time. Raises ArrowException where texts become endless."""
        text = 0
        for batch in self.file.iter_batches(min(rows, self.rows), columns=list(columns), use_threads=False):
            text += sum(map(_length, batch.columns))
            if text > FREE_TEXT + TEXT_SHARE * self.size:
                raise pa.ArrowInvalid("its texts are longer than such a file can mean")
            batch = pa.RecordBatch.from_arrays([*map(_decoded, batch.columns)], batch.schema.names)
            batch.validate(full=True)  # texts are texts
            yield batch

    def table(self, schema: pa.Schema) -> pa.Table:
        """All rows of these columns, as these types; the file's own metadata. Raises ArrowException and KeyError."""
        told = schema.with_metadata(self.file.schema_arrow.metadata)
        parts = [pa.Table.from_batches([batch]).cast(schema) for batch in self.batches(schema.names)]
        return pa.concat_tables([told.empty_table(), *(part.replace_schema_metadata(told.metadata) for part in parts)])


def opened(path: Path) -> Reader:
    """The file, of which nothing is read ahead.

    Raises OSError or ArrowException when it is none, or claims more than it can hold, and UserError when it is no
    regular file.
    """
    with open_regular(path) as stream:
        told = os.fstat(stream.fileno())
        size = told.st_size
        coded, rows = _looked_at(path, (told.st_dev, told.st_ino, size, told.st_mtime_ns, told.st_ctime_ns))
    file = pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False, read_dictionary=coded)
    return Reader(file, rows, size)


@lru_cache(maxsize=64)  # statistics open the same file for each of its columns
def _looked_at(path: Path, which: tuple[int, ...]) -> tuple[list[str], int]:
    """What `_look_through` finds in a file as it is now. which: tells it from what may lie there later."""
    with open_regular(path) as stream:
        size = stream.seek(0, 2)
        _check_footer(stream, size)
        with pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as plain:
            return _look_through(stream, size, plain.metadata)


def _check_footer(stream: IO[bytes], size: int) -> None:
    stream.seek(max(0, size - 8))
    length, mark = struct.unpack("<I4s", stream.read(8).rjust(8, b"\0"))
    if mark != b"PAR1" or length > min(size, MOST_FOOTER):
        raise pa.ArrowInvalid("it does not end as a parquet file does")


def _look_through(stream: IO[bytes], size: int, told: pq.FileMetaData) -> tuple[list[str], int]:
    """Columns whose texts are to be read as a dictionary, and how many rows may be read at once."""
    if told.num_rows > FREE_ROWS + size // 2:
        raise pa.ArrowInvalid("it claims more rows than it can hold")
    coded: dict[str, None] = {}
    rows, flat = BATCH, [told.schema.column(i).max_repetition_level == 0 for i in range(told.num_columns)]
    held = [0] * told.num_columns
    for number in range(told.num_row_groups):
        group = told.row_group(number)
        for place in range(told.num_columns):
            column = group.column(place)
            for kind, encoding, large, values in _pages(stream, size, column, flat[place], group.num_rows):
                held[place] += 0 if flat[place] or kind == _DICTIONARY else values
                if held[place] > MOST_HELD:
                    raise pa.ArrowInvalid("its lists are longer than it can hold")
                if column.physical_type == "BYTE_ARRAY" and large > SHORT:
                    if kind == _DICTIONARY:
                        coded[column.path_in_schema] = None
                    elif encoding == _DELTA_BYTES:
                        rows = min(rows, max(1, MOST_TEXT // large))
    return list(coded), rows


def _pages(stream: IO[bytes], size: int, column: Any, flat: bool, rows: int) -> Iterator[tuple[int, int, int, int]]:
    """(kind, encoding, bytes that it becomes, values) of each page of one column of a row group."""
    starts = [one for one in (column.dictionary_page_offset, column.data_page_offset) if one]
    at, left = min(starts, default=size), rows if flat else column.num_values
    while left > 0:
        stream.seek(at)
        head, length = _header(stream.read(1024))
        kind, large, small = head.get(1, 0), head.get(2, -1), head.get(3, -1)
        told = head.get(5) or head.get(7) or head.get(8) or {}
        values = told.get(1, 0)
        encoding = told.get(4 if 8 in head else 2, 0)
        most = LARGEST_PAGE if small >= large // 100 else MOST_PAGE
        if not (0 <= large <= most and 0 <= small <= size - at - length and values >= 0):
            raise pa.ArrowInvalid("a page of it claims more than it can hold")
        yield kind, encoding, large, values
        if kind != _DICTIONARY and not values and not small:
            raise pa.ArrowInvalid("a page of it is empty")
        left -= 0 if kind == _DICTIONARY else values
        at += length + small


def _header(data: bytes) -> tuple[dict[int, Any], int]:
    """A page's header, as Thrift's compact protocol writes it: field -> number or fields; and its length in bytes."""
    try:
        return _fields(data, 0, 0)
    except IndexError:
        raise pa.ArrowInvalid("a page of it has no header") from None


def _fields(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    found: dict[int, Any] = {}
    field = 0
    while data[at]:
        step, kind, at = data[at] >> 4, data[at] & 15, at + 1
        if step:
            field += step
        else:
            field, at = _number(data, at)
        if kind in (1, 2):
            found[field] = kind == 1
        elif kind in (4, 5, 6):
            found[field], at = _number(data, at)
        elif kind == 8:  # text, such as a smallest value
            length, at = _varint(data, at)
            at += length
        elif kind == 12 and depth < 4:
            found[field], at = _fields(data, at, depth + 1)
        else:
            raise pa.ArrowInvalid("a page of it has no header that is known")
    return found, at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _length(column: pa.Array) -> int:
    """Bytes that the texts of a column read as a dictionary become. Raises ArrowInvalid where these are endless."""
    if not pa.types.is_dictionary(column.type):
        return 0
    if not (pa.types.is_string(column.type.value_type) or pa.types.is_binary(column.type.value_type)):
        return 0
    length = pc.sum(pc.take(pc.binary_length(column.dictionary).cast(pa.int64()), column.indices)).as_py() or 0
    if length > MOST_TEXT:
        raise pa.ArrowInvalid("its texts are longer than such a file can mean")
    return length


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
