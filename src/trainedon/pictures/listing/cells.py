"""Small columns of a parquet file as a whole, and tables that have captions and no pictures."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainedon.errors import PictureError, UserError
from trainedon.pages import (
    MOST_ITEMS,
    MOST_PAGE,
    MOST_REPEATED,
    SMALL,
    Chunk,
    check_footer,
    chunks,
    dictionary_size,
    largest_page,
)
from trainedon.pictures.listing import captions
from trainedon.pictures.listing.columns import AT_ONCE, Column, each
from trainedon.pictures.places.disk import Disk
from trainedon.pictures.places.stores import File, readable

MOST_NAME = 4096  # bytes
MOST_NAMES = 2**29  # bytes of all names of a table, and of all captions that a table names of others' pictures
# Bytes. Without it a whole column chunk, often hundreds of MB, is read at once; with it, one page of the file.
_BUFFER = 2**20
_MOST_BATCH = 2**26  # bytes of texts written as differences, read at once: each may be as long as its page
DAMAGE = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)


@dataclass(frozen=True)
class Bare:
    """A parquet file without a column of pictures, which may tell of others. names, words: its columns; keyed: whether
    the names are keys, without folder and suffix."""

    file: File
    names: str | None
    keyed: bool
    words: str | None

    @property
    def tells(self) -> bool:
        """Whether it names captions of pictures."""
        return self.names is not None and self.words is not None

    def rows(self) -> Iterator[tuple[str, str]]:
        """(name or key, caption) of each row that has both. Raises UserError for a caption that is too long."""
        assert self.names is not None and self.words is not None, "a table that tells nothing was asked"
        with intact(self.file), open_table(self.file, self.names, self.words) as opened:
            names = small(opened, self.names, pa.string(), self.file)
            words = small(opened, self.words, pa.string(), self.file, 4 * captions.MOST)
        for row, (name, caption) in enumerate(zip(each(names), each(words), strict=True)):
            try:
                told = None if caption is None else captions.paragraph(caption)
            except PictureError as error:
                raise UserError(f"{self.file}, row {row}: {error}; repair or remove this row") from None
            if name and told is not None:
                yield name, told


def intact(file: File) -> AbstractContextManager[None]:
    return readable(DAMAGE, f"{file} is not a readable parquet file; write or download it again")


def open_table(file: File, *dictionaries: str | None) -> pq.ParquetFile:
    """dictionaries: columns of texts whose equal values are to be held once, however often the file has them, where
    Arrow can."""
    source = file.open()
    named = [name for name in dictionaries if name is not None]
    options = {"buffer_size": _BUFFER, "pre_buffer": False, "thrift_container_size_limit": MOST_ITEMS}
    try:
        check_footer(source, file)
        once = [name for name in named if not _differences(file, name)]
        opened = pq.ParquetFile(source, read_dictionary=once or None, **options)
    except BaseException:
        source.close()
        raise
    weakref.finalize(opened, source.close)
    return opened


def _differences(file: File, column: str) -> bool:
    """Whether texts of a column are written in a way that Arrow cannot read into a dictionary."""
    return any(group[column].differences for group in _chunks(file) if column in group)


@lru_cache(maxsize=4)
def _chunks(file: File) -> list[dict[str, Chunk]]:
    with file.open() as stream:
        return chunks(stream, file)


def page_size(file: File, group: int, columns: Sequence[str]) -> int:
    """The most bytes that a page of columns of a group takes; 0 where that is not known, as of a store, of which each
    look is a request.

    Raises UserError for more than can be held.
    """
    groups = _chunks(file) if isinstance(file.place, Disk) else []
    if group >= len(groups):
        return 0
    parts = [
        chunk for path, chunk in groups[group].items() if any(path == c or path.startswith(f"{c}.") for c in columns)
    ]
    with file.open() as stream:
        largest = max((largest_page(stream, chunk) for chunk in parts), default=0)
        size = MOST_REPEATED * max(SMALL, stream.seek(0, 2))
        repeated = any(dictionary_size(stream, chunk) * chunk.rows > size for chunk in parts)
    if largest > MOST_PAGE:
        raise UserError(f"{file}: {columns[0]} is in pages of more than {MOST_PAGE / 2**30:g} GiB: make them smaller")
    if repeated:
        raise UserError(f"{file}: a few values of {columns[0]} stand for {parts[0].rows} rows: write it without that")
    return largest


def small(
    opened: pq.ParquetFile, column: str, kind: pa.DataType, file: File, longest: int = MOST_NAME
) -> pa.ChunkedArray:
    """All values of a column, or of a field "struct.path", read a few rows at a time. longest: bytes of a text.

    A few bytes of a file can stand for a long text that is repeated: its length is looked at before it is.
    """
    values, total = Column(kind), 0
    largest = max((text_size(file, group, column) for group in range(opened.num_row_groups)), default=0)
    rows = AT_ONCE
    if _differences(file, column):
        rows = min(AT_ONCE, max(1, _MOST_BATCH // largest)) if largest else 1
    for batch in _batches(opened, column, rows):
        found = batch.column(0)
        found = found.flatten()[0] if pa.types.is_struct(found.type) else found
        if is_text(found.type):
            total += _checked(found, column, file, longest)
            if total > MOST_NAMES:
                raise UserError(f"{file}: {column} holds more than {MOST_NAMES // 2**20} MiB; split the file")
        for value in found.to_pylist():
            values.append(value)
    return values.array()


def text_size(file: File, group: int, column: str) -> int:
    """As `page_size`, of a column of texts. Raises UserError where a page takes more than all texts may."""
    size = page_size(file, group, [column])
    if size > MOST_NAMES:
        raise UserError(f"{file}: {column} holds more than {MOST_NAMES // 2**20} MiB; split the file")
    return size


def _batches(opened: pq.ParquetFile, column: str, rows: int) -> Iterator[pa.RecordBatch]:
    groups = [*range(opened.num_row_groups)]
    # of a field of a struct, Arrow holds equal texts once within one group alone
    for part in [[group] for group in groups] if "." in column else [groups]:
        yield from opened.iter_batches(rows, columns=[column], row_groups=part, use_threads=False)


def _checked(texts: pa.Array, column: str, file: File, longest: int) -> int:
    """The bytes that texts take when each is held by itself. Raises UserError where one is too long."""
    once = texts.dictionary if pa.types.is_dictionary(texts.type) else texts.cast(pa.large_string())
    sizes = pc.binary_length(once)
    if len(sizes) and pc.max(sizes).as_py() > longest:
        raise UserError(f"{file}: {column} holds texts of more than {longest} bytes; shorten or leave out that column")
    each_one = sizes.take(texts.indices) if pa.types.is_dictionary(texts.type) else sizes
    return pc.sum(each_one.cast(pa.int64())).as_py() or 0


def is_text_column(schema: pa.Schema, name: str) -> bool:
    return schema.get_field_index(name) >= 0 and is_text(schema.field(name).type)


def is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
