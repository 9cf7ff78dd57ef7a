"""Parquet files with a column of pictures, read forward in small batches of rows."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainedon.errors import PictureError, UserError
from trainedon.pictures import captions
from trainedon.pictures.columns import AT_ONCE, Column, each, repeated
from trainedon.pictures.listing import Listing
from trainedon.pictures.picture import MAX_ROWS, Entry
from trainedon.pictures.stores import Disk, File, readable

IMAGE_COLUMNS = ("image", "img", "picture")
NAME_COLUMNS = ("name", "file_name", "filename", "path")
_BATCH_ROWS = 4
# Bytes. Without it a whole column chunk, often hundreds of MB, is read at once; with it, one page of the file.
_BUFFER = 2**20


@dataclass(frozen=True, slots=True)
class ParquetEntry(Entry):
    """A row of a parquet file. column: as pyarrow selects it. row: within the group. words: the column of captions."""

    name: str
    label: int | None
    file: File
    column: str
    group: int
    row: int
    words: str | None = None

    def data(self) -> bytes:
        """The cell's bytes. Raises PictureError when it holds none, or cannot be read."""
        cell = self._cell(self.column)
        value = cell.get("bytes") if isinstance(cell, dict) else cell
        if value is None:
            raise PictureError("the row holds no picture, at most the path of one")
        return value

    @property
    def caption(self) -> str | None:
        value = None if self.words is None else self._cell(self.words)
        return None if value is None else captions.paragraph(value)

    def _cell(self, column: str) -> object:
        try:
            return _READER.cell(self, column)
        except (pa.ArrowException, OSError, ValueError, StopIteration):
            _READER.forget()
            raise PictureError("the parquet file is damaged here") from None


class _Reader(threading.local):
    """Cells of pictures and captions. One file is open at a time; to read backward, a row group is started again."""

    _place: tuple[File, str, int] | None = None

    def cell(self, entry: ParquetEntry, column: str) -> object:
        if self._place != (entry.file, entry.column, entry.group) or entry.row < self._start:
            self._open(entry)
        while entry.row >= self._start + len(self._batch):
            self._start += len(self._batch)
            self._batch = next(self._batches)
        name = column if column in self._batch.schema.names else column.removesuffix(".bytes")
        return self._batch.column(name)[entry.row - self._start].as_py()

    def forget(self) -> None:
        """After a failure, the next cell starts anew."""
        self._place = None

    def _open(self, entry: ParquetEntry) -> None:
        self.forget()
        columns = [entry.column] if entry.words is None else [entry.column, entry.words]
        self._batches = _open(entry.file).iter_batches(
            _BATCH_ROWS, row_groups=[entry.group], columns=columns, use_threads=False
        )
        self._start, self._batch = 0, ()
        self._place = (entry.file, entry.column, entry.group)


_READER = _Reader()


@dataclass(frozen=True)
class _Table(Sequence[Entry]):
    """The rows of one parquet file. ends: rows up to the end of each group. names, labels: None where there are none.

    column: as pyarrow selects it: "image", or "image.bytes" inside a struct. words: the column of captions.
    """

    shown: str
    file: File
    column: str
    ends: tuple[int, ...]
    names: pa.ChunkedArray | None
    labels: pa.ChunkedArray | None
    words: str | None

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, place: int) -> ParquetEntry:
        group = bisect_right(self.ends, place)
        row = place - (self.ends[group - 1] if group else 0)
        name = f"{self.shown}#{place}" if self.names is None else self.names[place].as_py()
        label = None if self.labels is None else self.labels[place].as_py()
        return ParquetEntry(name, label, self.file, self.column, group, row, self.words)


def table_entries(tables: list[tuple[str, File]], limit: int | None) -> Listing:
    """Entries of the rows of parquet files (name to show, file), file by file, in row order.

    The picture column holds files as bytes, or structs {bytes, path} as Hugging Face datasets write them; it is called
    image, img or picture, or is the only such column. Names come from a column name, file_name, filename or path, or
    from the struct's path, if every row has its own; otherwise `file.parquet#12`. Integers in a column `label`, and
    texts in a column `caption` or `text`, stay. Raises UserError when there is no such column, or a file is damaged or
    empty.
    """
    opened = [_describe(shown, file) for shown, file in tables]
    rows = sum(map(len, opened))
    if rows > MAX_ROWS:
        raise UserError(f"{tables[0][1]} and those beside it hold {rows} rows; split them into parts of {MAX_ROWS}")
    if not _own([table.names for table in opened], rows):
        opened = [replace(table, names=None) for table in opened]
    return Listing(*opened)[:limit]


def _own(names: list[pa.ChunkedArray | None], rows: int) -> bool:
    """Whether every row has a name of its own."""
    if any(column is None for column in names):
        return False
    joined = pa.chunked_array([chunk for column in names for chunk in column.chunks], pa.string())
    return all(each(joined)) and not repeated(joined, np.arange(rows))


def _readable(file: File) -> AbstractContextManager[None]:
    return readable(
        (pa.ArrowException, OSError, ValueError), f"{file} is not a readable parquet file; write or download it again"
    )


def _open(file: File) -> pq.ParquetFile:
    source = file.path if isinstance(file.place, Disk) else file.open()
    return pq.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False)


def _describe(shown: str, file: File) -> _Table:
    """The layout of one file, its names and its labels; no picture is read."""
    with _readable(file), _open(file) as opened:
        schema, meta = opened.schema_arrow, opened.metadata
        image = _image_column(schema, file)
        if meta.num_rows > MAX_ROWS:
            raise UserError(f"{file} holds {meta.num_rows} rows; split it into parts of {MAX_ROWS}")
        return _Table(
            shown=shown,
            file=file,
            column=f"{image.name}.bytes" if pa.types.is_struct(image.type) else image.name,
            ends=tuple(accumulate(meta.row_group(group).num_rows for group in range(meta.num_row_groups))),
            names=_names(opened, schema, image),
            labels=_labels(opened, schema),
            words=next((name for name in captions.COLUMNS if _is_text_column(schema, name)), None),
        )


def _image_column(schema: pa.Schema, file: File) -> pa.Field:
    named = [schema.field(name) for name in IMAGE_COLUMNS if schema.get_field_index(name) >= 0]
    fitting = [field for field in named if _holds_files(field.type)]
    candidates = fitting or [field for field in schema if _holds_files(field.type)]
    if fitting or len(candidates) == 1:
        return candidates[0]
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise UserError(
        f"{file} has no clear picture column among: {columns}; "
        "name the one that holds encoded picture files as bytes 'image'"
    )


def _holds_files(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_files(kind.field(index).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _names(file: pq.ParquetFile, schema: pa.Schema, image: pa.Field) -> pa.ChunkedArray | None:
    for name in NAME_COLUMNS:
        if _is_text_column(schema, name):
            return _small(file, name, pa.string())
    at = image.type.get_field_index("path") if pa.types.is_struct(image.type) else -1
    if at < 0 or not _is_text(image.type.field(at).type):
        return None
    return _small(file, f"{image.name}.path", pa.string())


def _labels(file: pq.ParquetFile, schema: pa.Schema) -> pa.ChunkedArray | None:
    if schema.get_field_index("label") < 0 or not pa.types.is_integer(schema.field("label").type):
        return None
    return _small(file, "label", pa.int64())


def _small(file: pq.ParquetFile, column: str, kind: pa.DataType) -> pa.ChunkedArray:
    """All values of a column, or of a field "struct.path", read a few rows at a time."""
    values = Column(kind)
    for batch in file.iter_batches(AT_ONCE, columns=[column], use_threads=False):
        for value in batch.column(0).to_pylist():
            values.append(value["path"] if isinstance(value, dict) else value)
    return values.array()


def _is_text_column(schema: pa.Schema, name: str) -> bool:
    return schema.get_field_index(name) >= 0 and _is_text(schema.field(name).type)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
