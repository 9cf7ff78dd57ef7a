"""Parquet files with a column of pictures, read forward in small batches of rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainedon.errors import PictureError, UserError
from trainedon.pictures.picture import MAX_ROWS, Entry

IMAGE_COLUMNS = ("image", "img", "picture")
NAME_COLUMNS = ("name", "file_name", "filename", "path")
_BATCH_ROWS = 4
# Bytes. Without it a whole column chunk, often hundreds of MB, is read at once; with it, one page of the file.
_BUFFER = 2**20


@dataclass(frozen=True)
class _Table:
    """Where the pictures of one parquet file are, and what its small columns say about each row."""

    path: Path
    column: str  # as pyarrow selects it: "image", or "image.bytes" inside a struct
    group_rows: tuple[int, ...]
    names: list[str | None]
    labels: list[int | None]


class _Reader:
    """Cells of the picture column. One file is open at a time; to read backward, a row group is started again."""

    def __init__(self) -> None:
        self._place: tuple[Path, int] | None = None

    def cell(self, table: _Table, group: int, row: int) -> object:
        if self._place != (table.path, group) or row < self._start:
            self._open(table, group)
        while row >= self._start + len(self._batch):
            self._start += len(self._batch)
            self._batch = next(self._batches).column(0)
        return self._batch[row - self._start].as_py()

    def forget(self) -> None:
        """After a failure, the next cell starts anew."""
        self._place = None

    def _open(self, table: _Table, group: int) -> None:
        self.forget()
        file = _open(table.path)
        self._batches = file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=[table.column], use_threads=False)
        self._start, self._batch = 0, ()
        self._place = (table.path, group)


@dataclass(frozen=True)
class _RowEntry(Entry):
    name: str
    label: int | None
    reader: _Reader
    table: _Table
    group: int
    row: int  # within the group

    def data(self) -> bytes:
        try:
            cell = self.reader.cell(self.table, self.group, self.row)
        except (pa.ArrowException, OSError, ValueError, StopIteration):
            self.reader.forget()
            raise PictureError("the parquet file is damaged here") from None
        value = cell.get("bytes") if isinstance(cell, dict) else cell
        if value is None:
            raise PictureError("the row holds no picture, at most the path of one")
        return value


def table_entries(tables: list[tuple[str, Path]], limit: int | None) -> list[Entry]:
    """Entries of the rows of parquet files (name to show, path), file by file, in row order.

    The picture column holds files as bytes, or structs {bytes, path} as Hugging Face datasets write them; it is called
    image, img or picture, or is the only such column. Names come from a column name, file_name, filename or path, or
    from the struct's path, if every row has its own; otherwise `file.parquet#12`. Integers in a column `label` stay.
    Raises UserError when there is no such column, or a file is damaged or empty.
    """
    opened = [(shown, _describe(path)) for shown, path in tables]
    names = [name for _, table in opened for name in table.names]
    if len(names) > MAX_ROWS:
        raise UserError(f"{tables[0][1].parent} holds {len(names)} rows; split it into parts of {MAX_ROWS}")
    own = all(names) and len(set(names)) == len(names)
    reader = _Reader()
    entries: list[Entry] = []
    for shown, table in opened:
        places = ((group, row) for group, rows in enumerate(table.group_rows) for row in range(rows))
        for number, (group, row) in enumerate(places):
            if len(entries) == limit:
                return entries
            name = table.names[number] if own else f"{shown}#{number}"
            entries.append(_RowEntry(name, table.labels[number], reader, table, group, row))
    return entries


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError, ValueError):
        raise UserError(f"{path} is not a readable parquet file; write or download it again") from None


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def _describe(path: Path) -> _Table:
    """The layout of one file, its names and its labels; no picture is read."""
    with _readable(path), _open(path) as file:
        schema, meta = file.schema_arrow, file.metadata
        image = _image_column(schema, path)
        if meta.num_rows > MAX_ROWS:
            raise UserError(f"{path} holds {meta.num_rows} rows; split it into parts of {MAX_ROWS}")
        struct = pa.types.is_struct(image.type)
        nothing = [None] * meta.num_rows
        return _Table(
            path=path,
            column=f"{image.name}.bytes" if struct else image.name,
            group_rows=tuple(meta.row_group(group).num_rows for group in range(meta.num_row_groups)),
            names=_names(file, schema, image) or nothing,
            labels=_labels(file, schema) or nothing,
        )


def _image_column(schema: pa.Schema, path: Path) -> pa.Field:
    named = [schema.field(name) for name in IMAGE_COLUMNS if schema.get_field_index(name) >= 0]
    fitting = [field for field in named if _holds_files(field.type)]
    candidates = fitting or [field for field in schema if _holds_files(field.type)]
    if fitting or len(candidates) == 1:
        return candidates[0]
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise UserError(
        f"{path} has no clear picture column among: {columns}; "
        "name the one that holds encoded picture files as bytes 'image'"
    )


def _holds_files(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_files(kind.field(index).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _names(file: pq.ParquetFile, schema: pa.Schema, image: pa.Field) -> list[str | None] | None:
    for name in NAME_COLUMNS:
        if schema.get_field_index(name) >= 0 and _is_text(schema.field(name).type):
            return file.read(columns=[name]).column(name).to_pylist()
    if pa.types.is_struct(image.type) and image.type.get_field_index("path") >= 0:
        structs = file.read(columns=[f"{image.name}.path"]).column(image.name).to_pylist()
        return [struct and struct["path"] for struct in structs]
    return None


def _labels(file: pq.ParquetFile, schema: pa.Schema) -> list[int | None] | None:
    if schema.get_field_index("label") < 0 or not pa.types.is_integer(schema.field("label").type):
        return None
    return file.read(columns=["label"]).column("label").to_pylist()


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
