"""Captions that a folder keeps in one file for many pictures: `metadata.jsonl`, `.csv` or a table without pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from posixpath import dirname, join, normpath

import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import PictureError, UserError
from trainedon.pictures.captions import COLUMNS, METADATA, MOST_BYTES, paragraph
from trainedon.pictures.cells import Bare
from trainedon.pictures.columns import Column, each
from trainedon.pictures.names import raw, spelled, stem
from trainedon.pictures.stores import File, Place

SHEET = "metadata.csv"
FILES = (METADATA, SHEET)  # by what they are called


@dataclass(frozen=True)
class Metadata:
    """A file that may name captions. name: relative to the folder; table: where it is a parquet file."""

    name: str
    file: File
    table: Bare | None = None

    @property
    def rank(self) -> tuple[int, int, str]:
        """The nearest to the pictures first."""
        kind = 2 if self.table else FILES.index(self.name.rpartition("/")[2])
        return -self.name.count("/"), kind, self.name


class Told:
    """What such files say, in columns: by path, and, of tables that name keys, by path without suffix."""

    def __init__(self) -> None:
        self._paths, self._by_path = Column(pa.binary()), Column(pa.string())
        self._stems, self._by_stem = Column(pa.binary()), Column(pa.string())
        self._any = False

    def read(self, files: Iterable[Metadata]) -> None:
        """Read files. Raises UserError, with the line, where one is not what it should be."""
        for one in sorted(files, key=lambda one: one.rank):
            self._any = True
            here = dirname(one.name)
            for name, caption in _rows(one):
                if one.table is not None and one.table.keyed:
                    for folder in (here, spelled(stem(raw(one.name)))):
                        self._stems.append(raw(join(folder, name)))
                        self._by_stem.append(caption)
                else:
                    self._paths.append(raw(normpath(join(here, name))))
                    self._by_path.append(caption)

    def of(self, pictures: pa.ChunkedArray) -> pa.ChunkedArray | None:
        """What is said about pictures, binary (n,) relative to the folder: string (n,), null where nothing is.

        Of several captions of a picture the first counts, in the file that lies nearest to it. None without a file.
        """
        if not self._any:
            return None
        found = self._by_path.array().take(pc.index_in(pictures, value_set=self._paths.array()))
        known = self._stems.array()
        if not len(known):
            return found
        stems = Column(pa.binary())
        for name in each(pictures):
            stems.append(stem(name))
        return pc.coalesce(found, self._by_stem.array().take(pc.index_in(stems.array(), value_set=known)))


def sheet(place: Place, path: str) -> bool:
    """Whether a `metadata.csv` is one that names captions: it has a column file_name, and one of captions."""
    with io.BufferedReader(place.open(path)) as stream:
        head = stream.readline(MOST_BYTES).decode("utf-8-sig", "replace").strip()
    columns = next(csv.reader([head]), [])
    return "file_name" in columns and any(name in columns for name in COLUMNS)


def _rows(one: Metadata) -> Iterator[tuple[str, str]]:
    """(name of a picture, its caption), for each row that has both."""
    if one.table is not None:
        return one.table.rows()
    return _sheet(one.file) if one.name.rpartition("/")[2] == SHEET else _lines(one.file)


def _lines(file: File) -> Iterator[tuple[str, str]]:
    with io.BufferedReader(file.open()) as stream:  # a store's own would be read byte by byte
        for number, line in enumerate(iter(lambda: stream.readline(MOST_BYTES), b""), start=1):
            if not line.strip():
                continue
            try:
                name, caption = _line(line)
            except (ValueError, PictureError, RecursionError) as error:
                reason = error if isinstance(error, PictureError) else "not an object with a file_name"
                raise UserError(f"{file}, line {number}: {reason}; repair or remove this line") from None
            if caption is not None:
                yield name, caption


def _line(line: bytes) -> tuple[str, str | None]:
    row = json.loads(line.decode("utf-8-sig"))
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise ValueError
    raw(row["file_name"])  # a UnicodeEncodeError is a ValueError
    words = next((row[column] for column in COLUMNS if isinstance(row.get(column), str)), None)
    return row["file_name"], None if words is None else paragraph(words)


def _sheet(file: File) -> Iterator[tuple[str, str]]:
    with io.TextIOWrapper(io.BufferedReader(file.open()), encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        try:
            column = next(name for name in COLUMNS if name in (reader.fieldnames or ()))
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError("it has not as many cells as the first line")
                caption = paragraph(row[column])
                if caption is not None:
                    yield row["file_name"], caption
        except (csv.Error, ValueError, PictureError) as error:
            reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error
            raise UserError(f"{file}, line {reader.line_num}: {reason}; repair or remove this line") from None
