"""Parquet files as strangers may have left them: what a few kilobytes claim is looked at before any of it is unpacked.

A page of a file says how large it becomes, and a dictionary lets a million rows stand for one long text. Both are read
here as the format has them, so that what a file would take is known before Arrow takes it.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainedon.pages import Chunk, Page, chunks, pages
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
_DELTA_BYTES = 7  # an encoding whose texts may grow without a dictionary


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
        return list(self.file.schema_arrow.names)

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
    try:
        coded, rows = _looked_at(path, (told.st_dev, told.st_ino, size, told.st_mtime_ns, told.st_ctime_ns))
        reader = Reader(pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False, read_dictionary=coded), rows, size)
        reader.names  # noqa: B018 (they are decoded here)
    except UnicodeDecodeError:
        raise pa.ArrowInvalid("its columns have names that are no texts") from None
    return reader


@lru_cache(maxsize=64)  # statistics open the same file for each of its columns
def _looked_at(path: Path, which: tuple[int, ...]) -> tuple[list[str], int]:
    """What `_look_through` finds in a file as it is now. which: tells it from what may lie there later."""
    with open_regular(path) as stream:
        size = stream.seek(0, 2)
        _check_footer(stream, size)
        with pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as plain:
            return _look_through(stream, path, size, plain.metadata)


def _check_footer(stream: IO[bytes], size: int) -> None:
    stream.seek(max(0, size - 8))
    length, mark = struct.unpack("<I4s", stream.read(8).rjust(8, b"\0"))
    if mark != b"PAR1" or length > min(size, MOST_FOOTER):
        raise pa.ArrowInvalid("it does not end as a parquet file does")


def _look_through(stream: IO[bytes], where: Path, size: int, told: pq.FileMetaData) -> tuple[list[str], int]:
    """Columns whose texts are to be read as a dictionary, and how many rows may be read at once."""
    if told.num_rows > FREE_ROWS + size // 2:
        raise pa.ArrowInvalid("it claims more rows than it can hold")
    columns = [told.schema.column(place) for place in range(told.num_columns)]
    flat = {column.path for column in columns if column.max_repetition_level == 0}
    coded: dict[str, None] = {}
    held, rows = Counter[str](), BATCH
    for group in chunks(stream, where, MOST_FOOTER):
        for path, chunk in group.items():
            for page in _pages(stream, size, chunk):
                held[path] += 0 if path in flat or page.dictionary else page.values
                if held[path] > MOST_HELD:
                    raise pa.ArrowInvalid("its lists are longer than it can hold")
                if chunk.texts and page.unpacked > SHORT:
                    if page.dictionary:
                        coded[path] = None
                    elif page.encoding == _DELTA_BYTES:
                        rows = min(rows, max(1, MOST_TEXT // page.unpacked))
    return list(coded), rows


def _pages(stream: IO[bytes], size: int, chunk: Chunk) -> Iterator[Page]:
    """The pages of one column of a group of rows, as far as its values go."""
    left = chunk.values
    for page in pages(stream, chunk):
        most = LARGEST_PAGE if page.packed >= page.unpacked // 100 else MOST_PAGE
        if page.unpacked > most or page.after > size:
            raise pa.ArrowInvalid("a page of it claims more than it can hold")
        if not (page.dictionary or page.values or page.packed):
            raise pa.ArrowInvalid("a page of it is empty")
        yield page
        left -= 0 if page.dictionary else page.values
    if left > 0:
        raise pa.ArrowInvalid("a column of it ends too early")


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
