"""Parquet files with a column of pictures, read forward in small batches of rows."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainedon.errors import PictureError, UserError
from trainedon.pictures.listing import captions
from trainedon.pictures.listing.cells import (
    DAMAGE,
    Bare,
    intact,
    is_text,
    is_text_column,
    open_table,
    page_size,
    small,
    text_size,
)
from trainedon.pictures.listing.columns import each, repeated
from trainedon.pictures.listing.entries import Listing
from trainedon.pictures.pixels.decoding import MAX_BYTES
from trainedon.pictures.pixels.picture import MAX_ROWS, Entry
from trainedon.pictures.places.stores import File

KEYED_COLUMNS = ("jpg", "png", "webp")  # of img2dataset and webdataset, whose pictures have a key for a name
IMAGE_COLUMNS = ("image", "img", "picture", *KEYED_COLUMNS)
NAME_COLUMNS = ("name", "file_name", "filename", "path")
KEY_COLUMNS = ("key", "__key__")
SOURCE_COLUMNS = ("source", "artist", "author")
_BATCH_ROWS = 4
_LARGE = 2**26  # bytes of a page, beyond which its rows are taken one by one, as each may be as large


@dataclass(frozen=True, slots=True)
class ParquetEntry(Entry):
    """A row of a parquet file. column: as pyarrow selects it. row: within the group. words: the column of captions.
    place: the row within the file. sources: the column that says whose work it is.
    """

    name: str
    label: int | None
    file: File
    column: str
    group: int
    row: int
    words: str | None = None
    place: int = 0
    sources: str | None = None

    def data(self) -> bytes:
        """The cell's bytes. Raises PictureError when it holds none, or cannot be read."""
        value = self._cell(self.column, MAX_BYTES)
        if value is None:
            raise PictureError("the row holds no picture, at most the path of one")
        return value

    @property
    def caption(self) -> str | None:
        value = None if self.words is None else self._cell(self.words, captions.MOST_BYTES)
        return None if value is None else captions.paragraph(value.decode())

    @property
    def shared(self) -> bool:
        return self.file.shared

    @property
    def source(self) -> str | None:
        found: str | None = None if self.sources is None else _texts(self.file, self.sources)[self.place].as_py()
        return found

    def _cell(self, column: str, most: int) -> bytes | None:
        try:
            cell = _READER.cell(self, column)
            if cell is not None and cell.size > most:
                raise PictureError(f"larger than {most // 2**20} MiB")
            return None if cell is None else cell.to_pybytes()
        except (*DAMAGE, StopIteration):
            _READER.forget()
            raise PictureError("the parquet file is damaged here") from None


class _Reader(threading.local):
    """Cells of pictures and captions. One file is open at a time; to read backward, a row group is started again."""

    _place: tuple[File, str, int] | None = None
    _file: tuple[File, str | None] | None = None
    _start: int
    _batch: pa.RecordBatch

    def cell(self, entry: ParquetEntry, column: str) -> pa.Buffer | None:
        """What a row has in a column, not copied; None where that is nothing."""
        if self._place != (entry.file, entry.column, entry.group) or entry.row < self._start:
            self.open_table(entry)
        while entry.row >= self._start + len(self._batch):
            self._start += len(self._batch)
            self._batch = next(self._batches)
        name = column if column in self._batch.schema.names else column.removesuffix(".bytes")
        value = self._batch.column(name)[entry.row - self._start]
        if pa.types.is_struct(value.type):
            value = value["bytes"] if value.is_valid else None
        if isinstance(value, pa.DictionaryScalar):
            value = value.value
        return value.as_buffer() if value is not None and value.is_valid else None

    def forget(self) -> None:
        """After a failure, the next cell starts anew."""
        self._place = self._file = None

    def open_table(self, entry: ParquetEntry) -> None:
        self._place = None
        if self._file != (entry.file, entry.words):  # its list of groups may be long: it is read once
            self._opened, self._file = open_table(entry.file, entry.words), (entry.file, entry.words)
        columns = [entry.column] if entry.words is None else [entry.column, entry.words]
        texts = 0 if entry.words is None else text_size(entry.file, entry.group, entry.words)
        largest = max(texts, page_size(entry.file, entry.group, [entry.column]))
        rows = 1 if largest > _LARGE else _BATCH_ROWS
        self._batches = self._opened.iter_batches(rows, row_groups=[entry.group], columns=columns, use_threads=False)
        self._start, self._batch = 0, ()
        self._place = (entry.file, entry.column, entry.group)


_READER = _Reader()


@dataclass(frozen=True)
class Table:
    """The rows of one parquet file. ends: rows up to the end of each group. names, labels: None where there are none.

    column: as pyarrow selects it: "image", or "image.bytes" inside a struct. words: the column of captions.
    sources: the column that says whose works they are.
    """

    shown: str
    file: File
    column: str
    ends: tuple[int, ...]
    names: pa.ChunkedArray | None
    labels: pa.ChunkedArray | None
    words: str | None
    sources: str | None = None

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, place: int, /) -> ParquetEntry:
        group = bisect_right(self.ends, place)
        row = place - (self.ends[group - 1] if group else 0)
        name = f"{self.shown}#{place}" if self.names is None else self.names[place].as_py()
        label = None if self.labels is None else self.labels[place].as_py()
        return ParquetEntry(name, label, self.file, self.column, group, row, self.words, place, self.sources)

    def apart(self) -> Table:
        """The same, named by file and number."""
        return replace(self, names=None)

    def each_name(self) -> Iterator[str]:
        """The names of all entries."""
        return (f"{self.shown}#{place}" for place in range(len(self))) if self.names is None else each(self.names)


def describe(shown: str, file: File) -> Table | Bare:
    """A parquet file, whose pictures are listed by `table_entries`. Raises UserError as that does."""
    with intact(file), open_table(file) as opened:
        schema = opened.schema_arrow
        if any(_holds_files(field.type) for field in schema):
            return _describe(shown, file, opened)
        columns = ("file_name", "filename", *KEY_COLUMNS)
        names = next((name for name in columns if is_text_column(schema, name)), None)
        return Bare(file, names, names in KEY_COLUMNS, _words(schema))


def no_pictures(table: Bare) -> UserError:
    """That a parquet file has no pictures in it."""
    with intact(table.file), open_table(table.file) as opened:
        return _unclear(opened.schema_arrow, table.file)


def table_entries(tables: list[Table], limit: int | None) -> Listing:
    """Entries of the rows of parquet files, as `describe` gives them, file by file, in row order.

    The picture column holds files as bytes, or structs {bytes, path} as Hugging Face datasets write them; it is called
    image, img or picture, or is the only such column. Names come from a column name, file_name, filename or path, or
    from the struct's path, if every row has its own; otherwise `file.parquet#12`. Integers in a column `label`, and
    texts in a column `caption` or `text`, and in `source`, `artist` or `author`, stay. A column `jpg`, `png` or `webp`
    has names in `key` or `__key__`.
    Raises UserError when there are too many rows.
    """
    rows = sum(map(len, tables))
    if rows > MAX_ROWS:
        raise UserError(f"{tables[0].file} and those beside it hold {rows} rows; split them into parts of {MAX_ROWS}")
    if not _own([table.names for table in tables], rows):
        tables = [table.apart() for table in tables]
    return Listing(*tables)[:limit]


def _own(names: list[pa.ChunkedArray | None], rows: int) -> bool:
    """Whether every row has a name of its own."""
    held = [column for column in names if column is not None]
    if len(held) < len(names):
        return False
    joined = pa.chunked_array([chunk for column in held for chunk in column.chunks], pa.string())
    return all(name and name.strip() for name in each(joined)) and not repeated(joined, np.arange(rows))


def _describe(shown: str, file: File, opened: pq.ParquetFile) -> Table:
    """The layout of one file, its names and its labels; no picture is read."""
    schema, meta = opened.schema_arrow, opened.metadata
    image = _image_column(schema, file)
    if meta.num_rows > MAX_ROWS:
        raise UserError(f"{file} holds {meta.num_rows} rows; split it into parts of {MAX_ROWS}")
    names = _name_column(schema, image)
    with open_table(file, names) as texts:
        return Table(
            shown=shown,
            file=file,
            column=f"{image.name}.bytes" if pa.types.is_struct(image.type) else image.name,
            ends=tuple(accumulate(meta.row_group(group).num_rows for group in range(meta.num_row_groups))),
            names=None if names is None else small(texts, names, pa.string(), file),
            labels=_labels(opened, schema, file),
            words=_words(schema),
            sources=next((name for name in SOURCE_COLUMNS if is_text_column(schema, name)), None),
        )


@lru_cache(maxsize=4)
def _texts(file: File, column: str) -> pa.ChunkedArray:
    """A column of a file, read when it is first asked for."""
    with intact(file), open_table(file, column) as opened:
        return small(opened, column, pa.string(), file)


def _words(schema: pa.Schema) -> str | None:
    return next((name for name in captions.COLUMNS if is_text_column(schema, name)), None)


def _image_column(schema: pa.Schema, file: File) -> pa.Field:
    named = [schema.field(name) for name in IMAGE_COLUMNS if schema.get_field_index(name) >= 0]
    fitting = [field for field in named if _holds_files(field.type)]
    candidates = fitting or [field for field in schema if _holds_files(field.type)]
    if fitting or len(candidates) == 1:
        return candidates[0]
    raise _unclear(schema, file)


def _unclear(schema: pa.Schema, file: File) -> UserError:
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    return UserError(
        f"{file} has no clear picture column among: {columns}; "
        "name the one that holds encoded picture files as bytes 'image'"
    )


def _holds_files(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        kind = kind.field(index).type if index >= 0 else kind
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _name_column(schema: pa.Schema, image: pa.Field) -> str | None:
    for name in NAME_COLUMNS:
        if is_text_column(schema, name):
            return name
    at = image.type.get_field_index("path") if pa.types.is_struct(image.type) else -1
    if at >= 0 and is_text(image.type.field(at).type):
        return f"{image.name}.path"
    keys = KEY_COLUMNS if image.name in KEYED_COLUMNS else ()
    return next((name for name in keys if is_text_column(schema, name)), None)


def _labels(file: pq.ParquetFile, schema: pa.Schema, where: File) -> pa.ChunkedArray | None:
    if schema.get_field_index("label") < 0 or not pa.types.is_integer(schema.field("label").type):
        return None
    if not pa.types.is_uint64(schema.field("label").type):
        return small(file, "label", pa.int64(), where)
    labels = small(file, "label", pa.uint64(), where)
    largest = pc.max(labels).as_py()
    if largest is not None and largest > np.iinfo(np.int64).max:
        raise UserError(f"{where}: label holds {largest}, which is no class; repair or leave it out")
    return labels.cast(pa.int64())
