"""Parquet files with a column of pictures, read forward in small batches of rows."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainedon.errors import PictureError, UserError
from trainedon.pictures import captions
from trainedon.pictures.columns import AT_ONCE, Column, each, repeated
from trainedon.pictures.listing import Listing
from trainedon.pictures.picture import MAX_ROWS, Entry
from trainedon.pictures.stores import Disk, File, readable

KEYED_COLUMNS = ("jpg", "png", "webp")  # of img2dataset and webdataset, whose pictures have a key for a name
IMAGE_COLUMNS = ("image", "img", "picture", *KEYED_COLUMNS)
NAME_COLUMNS = ("name", "file_name", "filename", "path")
KEY_COLUMNS = ("key", "__key__")
MOST_NAME = 4096  # bytes
MOST_NAMES = 2**29  # bytes of all names of a table, and of all captions that a table names of others' pictures
_BATCH_ROWS = 4
_DAMAGE = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)
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
        except (*_DAMAGE, StopIteration):
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
        self._batches = _open(entry.file, entry.words).iter_batches(
            _BATCH_ROWS, row_groups=[entry.group], columns=columns, use_threads=False
        )
        self._start, self._batch = 0, ()
        self._place = (entry.file, entry.column, entry.group)


_READER = _Reader()


@dataclass(frozen=True)
class Table(Sequence[Entry]):
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

    def apart(self) -> Table:
        """The same, named by file and number."""
        return replace(self, names=None)

    def each_name(self) -> Iterator[str]:
        """The names of all entries."""
        return (f"{self.shown}#{place}" for place in range(len(self))) if self.names is None else each(self.names)


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
        with _readable(self.file), _open(self.file, self.names, self.words) as opened:
            names = _small(opened, self.names, pa.string(), self.file)
            words = _small(opened, self.words, pa.string(), self.file, 4 * captions.MOST)
        for row, (name, caption) in enumerate(zip(each(names), each(words), strict=True)):
            try:
                told = None if caption is None else captions.paragraph(caption)
            except PictureError as error:
                raise UserError(f"{self.file}, row {row}: {error}; repair or remove this row") from None
            if name and told is not None:
                yield name, told


def describe(shown: str, file: File) -> Table | Bare:
    """A parquet file, whose pictures are listed by `table_entries`. Raises UserError as that does."""
    with _readable(file), _open(file) as opened:
        schema = opened.schema_arrow
        if any(_holds_files(field.type) for field in schema):
            return _describe(shown, file, opened)
        columns = ("file_name", "filename", *KEY_COLUMNS)
        names = next((name for name in columns if _is_text_column(schema, name)), None)
        return Bare(file, names, names in KEY_COLUMNS, _words(schema))


def no_pictures(table: Bare) -> UserError:
    """That a parquet file has no pictures in it."""
    with _readable(table.file), _open(table.file) as opened:
        return _unclear(opened.schema_arrow, table.file)


def table_entries(tables: list[Table], limit: int | None) -> Listing:
    """Entries of the rows of parquet files, as `describe` gives them, file by file, in row order.

    The picture column holds files as bytes, or structs {bytes, path} as Hugging Face datasets write them; it is called
    image, img or picture, or is the only such column. Names come from a column name, file_name, filename or path, or
    from the struct's path, if every row has its own; otherwise `file.parquet#12`. Integers in a column `label`, and
    texts in a column `caption` or `text`, stay. A column `jpg`, `png` or `webp` has names in `key` or `__key__`.
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
    if any(column is None for column in names):
        return False
    joined = pa.chunked_array([chunk for column in names for chunk in column.chunks], pa.string())
    return all(name and name.strip() for name in each(joined)) and not repeated(joined, np.arange(rows))


def _readable(file: File) -> AbstractContextManager[None]:
    return readable(_DAMAGE, f"{file} is not a readable parquet file; write or download it again")


def _open(file: File, *dictionaries: str | None) -> pq.ParquetFile:
    """dictionaries: columns of texts whose equal values are to be held once, however often the file has them."""
    source = file.path if isinstance(file.place, Disk) else file.open()
    named = [name for name in dictionaries if name is not None]
    return pq.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False, read_dictionary=named or None)


def _describe(shown: str, file: File, opened: pq.ParquetFile) -> Table:
    """The layout of one file, its names and its labels; no picture is read."""
    schema, meta = opened.schema_arrow, opened.metadata
    image = _image_column(schema, file)
    if meta.num_rows > MAX_ROWS:
        raise UserError(f"{file} holds {meta.num_rows} rows; split it into parts of {MAX_ROWS}")
    names = _name_column(schema, image)
    with _open(file, names) as texts:
        return Table(
            shown=shown,
            file=file,
            column=f"{image.name}.bytes" if pa.types.is_struct(image.type) else image.name,
            ends=tuple(accumulate(meta.row_group(group).num_rows for group in range(meta.num_row_groups))),
            names=None if names is None else _small(texts, names, pa.string(), file),
            labels=_labels(opened, schema, file),
            words=_words(schema),
        )


def _words(schema: pa.Schema) -> str | None:
    return next((name for name in captions.COLUMNS if _is_text_column(schema, name)), None)


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
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _name_column(schema: pa.Schema, image: pa.Field) -> str | None:
    for name in NAME_COLUMNS:
        if _is_text_column(schema, name):
            return name
    at = image.type.get_field_index("path") if pa.types.is_struct(image.type) else -1
    if at >= 0 and _is_text(image.type.field(at).type):
        return f"{image.name}.path"
    keys = KEY_COLUMNS if image.name in KEYED_COLUMNS else ()
    return next((name for name in keys if _is_text_column(schema, name)), None)


def _labels(file: pq.ParquetFile, schema: pa.Schema, where: File) -> pa.ChunkedArray | None:
    if schema.get_field_index("label") < 0 or not pa.types.is_integer(schema.field("label").type):
        return None
    return _small(file, "label", pa.int64(), where)


def _small(
    opened: pq.ParquetFile, column: str, kind: pa.DataType, file: File, longest: int = MOST_NAME
) -> pa.ChunkedArray:
    """All values of a column, or of a field "struct.path", read a few rows at a time. longest: bytes of a text.

    A few bytes of a file can stand for a long text that is repeated: its length is looked at before it is.
    """
    values, total = Column(kind), 0
    for batch in _batches(opened, column):
        found = batch.column(0)
        found = found.flatten()[0] if pa.types.is_struct(found.type) else found
        if pa.types.is_dictionary(found.type):
            total += _checked(found, column, file, longest)
            if total > MOST_NAMES:
                raise UserError(f"{file}: {column} holds more than {MOST_NAMES // 2**20} MiB; split the file")
        for value in found.to_pylist():
            values.append(value)
    return values.array()


def _batches(opened: pq.ParquetFile, column: str) -> Iterator[pa.RecordBatch]:
    groups = [*range(opened.num_row_groups)]
    # of a field of a struct, Arrow holds equal texts once within one group alone
    for part in [[group] for group in groups] if "." in column else [groups]:
        yield from opened.iter_batches(AT_ONCE, columns=[column], row_groups=part, use_threads=False)


def _checked(texts: pa.DictionaryArray, column: str, file: File, longest: int) -> int:
    """The bytes that texts take when each is held by itself. Raises UserError where one is too long."""
    sizes = pc.binary_length(texts.dictionary)
    if len(sizes) and pc.max(sizes).as_py() > longest:
        raise UserError(f"{file}: {column} holds texts of more than {longest} bytes; shorten or leave out that column")
    return pc.sum(sizes.take(texts.indices).cast(pa.int64())).as_py() or 0


def _is_text_column(schema: pa.Schema, name: str) -> bool:
    return schema.get_field_index(name) >= 0 and _is_text(schema.field(name).type)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
