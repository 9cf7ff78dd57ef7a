"""Captions that a folder keeps in one file for many pictures: `metadata.jsonl`, `.csv` or a table without pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from posixpath import dirname, join, normpath
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import PictureError, UserError
from trainedon.pictures.listing.captions import COLUMNS, METADATA, MOST_BYTES, paragraph
from trainedon.pictures.listing.cells import MOST_NAMES, Bare
from trainedon.pictures.listing.columns import Column, each
from trainedon.pictures.pixels.names import picture_stem, raw, spelled, stem, text
from trainedon.pictures.pixels.sniffing import Seems
from trainedon.pictures.places.stores import File, Place

SHEET = "metadata.csv"
FILES = (METADATA, SHEET)  # by what they are called
_MOST_BLANK = 1_000_000  # lines; as many as sheets have rows
_OTHERWISE = Seems("captions not separated by commas", remedy="separate it by commas, with columns file_name and text")


@dataclass(frozen=True)
class Metadata:
    """A file that may name captions. name: relative to the folder; table: where it is a parquet file; apart: whether
    there is a folder or a tar of its name, whose pictures its keys are, and not those beside it."""

    name: str
    file: File
    table: Bare | None = None
    apart: bool = False

    @property
    def rank(self) -> tuple[int, int, str]:
        """The nearest to the pictures first."""
        kind = 2 if self.table else FILES.index(self.name.rpartition("/")[2])
        return -self.name.count("/"), kind, self.name


class CaptionColumns:
    """What such files say, in columns: by path, and, of tables that name keys, by path without suffix."""

    def __init__(self) -> None:
        self._by_path, self._by_stem = _Rows(), _Rows()
        self._files: list[Metadata] = []

    def read(self, files: Iterable[Metadata]) -> None:
        """Read files. Raises UserError, with the line, where one is not what it should be."""
        total = 0
        for number, one in enumerate(sorted(files, key=lambda one: one.rank)):
            self._files.append(one)
            here, below = dirname(one.name), spelled(stem(raw(one.name)))
            for name, caption in _rows(one):
                total += len(name) + len(caption)
                if total > MOST_NAMES:
                    raise UserError(f"{one.file} holds more than {MOST_NAMES // 2**20} MiB; split the folder")
                if one.table is not None and one.table.keyed:
                    for folder in (below,) if one.apart else (here, below):
                        self._by_stem.add(raw(join(folder, name)), caption, number)
                else:
                    self._by_path.add(raw(normpath(join(here, name))), caption, number)

    def of(self, pictures: pa.ChunkedArray, own: pa.ChunkedArray | None = None) -> pa.ChunkedArray | None:
        """What is said about pictures, binary (n,) relative to the folder: string (n,), null where nothing is.

        Of several captions of a picture the first counts, in the file that lies nearest to it. None without a file.
        own: (n,), not null where a picture has a caption of its own. Raises UserError where two tables that lie equally
        near have different captions for a picture without one.
        """
        if not self._files:
            return None
        stems = Column(pa.binary())
        for name in each(pictures):
            stems.append(picture_stem(name))
        found = None
        for rows, names in ((self._by_path, pictures), (self._by_stem, stems.array())):
            self._check(rows, names if own is None else names.filter(own.is_null()))
            captions = rows.of(names)
            found = captions if found is None else pc.coalesce(found, captions)
        return found

    def _check(self, rows: _Rows, names: pa.ChunkedArray) -> None:
        if sum(one.table is not None for one in self._files) < 2:
            return
        for name, first, other in rows.differing(names):
            one, two = self._files[first], self._files[other]
            if one.table and two.table and one.rank[:2] == two.rank[:2]:
                keyed = one.table.keyed and two.table.keyed
                folders = ", or put the pictures of each into a folder of its name" if keyed else ""
                raise UserError(
                    f"{one.file} and {two.file} have different captions for {text(name)!r}: take away the one that "
                    f"does not speak of this picture{folders}"
                )


class _Rows:
    """Rows of several files, in columns: what is spoken of, its caption, and the number of the file."""

    def __init__(self) -> None:
        self._names, self._captions, self._files = Column(pa.binary()), Column(pa.string()), Column(pa.int32())

    def add(self, name: bytes, caption: str, file: int) -> None:
        self._names.append(name)
        self._captions.append(caption)
        self._files.append(file)

    def of(self, names: pa.ChunkedArray) -> pa.ChunkedArray:
        """The first caption of each name, null where there is none."""
        return self._captions.array().take(pc.index_in(names, value_set=self._names.array()))

    def differing(self, names: pa.ChunkedArray) -> Iterator[tuple[bytes, int, int]]:
        """(name, first file, other file) of rows that say something else than the first row of the same name."""
        known, captions, files = self._names.array(), self._captions.array(), self._files.array()
        asked = np.flatnonzero(pc.is_in(known, value_set=names))
        first = pc.index_in(known.take(asked), value_set=known)
        differ = pc.and_(*(pc.not_equal(column.take(asked), column.take(first)) for column in (captions, files)))
        for row, earlier in zip(asked[np.asarray(differ)], np.asarray(first)[np.asarray(differ)]):
            yield known[int(row)].as_py(), files[int(earlier)].as_py(), files[int(row)].as_py()


def _buffered(stream: IO[bytes]) -> io.BufferedReader:
    return io.BufferedReader(cast("io.RawIOBase", stream))  # all have `readinto`, which IO does not promise


def misfit(place: Place, path: str) -> Seems | None:
    """What a `metadata.csv` is that names no captions; None where it has a column file_name, and one of captions."""
    with _buffered(place.open(path)) as stream:
        head = stream.readline(MOST_BYTES).decode("utf-8-sig", "replace").strip()
    for mark in ",;\t|":
        columns = next(csv.reader([head], delimiter=mark), [])
        if "file_name" in columns and any(name in columns for name in COLUMNS):
            return None if mark == "," else _OTHERWISE
    return Seems("CSV table", "without columns file_name and caption")


def _rows(one: Metadata) -> Iterator[tuple[str, str]]:
    """(name of a picture, its caption), for each row that has both."""
    if one.table is not None:
        return one.table.rows()
    return _sheet(one.file) if one.name.rpartition("/")[2] == SHEET else _lines(one.file)


def _lines(file: File) -> Iterator[tuple[str, str]]:
    blank = 0
    with _buffered(file.open()) as stream:  # a store's own would be read byte by byte
        for number, line in enumerate(iter(lambda: stream.readline(MOST_BYTES), b""), start=1):
            if not line.strip():
                blank += 1
                if blank > _MOST_BLANK:
                    raise UserError(f"{file} has more than {_MOST_BLANK} lines in which nothing stands; remove them")
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
    with io.TextIOWrapper(_buffered(file.open()), encoding="utf-8-sig", newline="") as stream:
        lines = _Short(stream)
        reader = csv.DictReader(lines)
        try:
            column = next(name for name in COLUMNS if name in (reader.fieldnames or ()))
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError("it has not as many cells as the first line")
                caption = paragraph(row[column])
                if caption is not None:
                    yield row["file_name"], caption
        except (csv.Error, ValueError, PictureError) as error:
            reason, number = str(error), lines.number
            if isinstance(error, UnicodeDecodeError):  # met in what was read ahead of this line's end
                reason, number = "not UTF-8", number + error.object[: error.start].count(b"\n")
            raise UserError(f"{file}, line {number}: {reason}; repair or remove this line") from None


class _Short:
    """The lines of a sheet, none of which is held when it is too long. number: of the last one asked for, from 1."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream, self._blank, self.number = stream, 0, 0

    def __iter__(self) -> _Short:
        return self

    def __next__(self) -> str:
        """Raises ValueError."""
        self.number += 1
        line = self._stream.readline(MOST_BYTES)
        if not line:
            raise StopIteration
        if len(line) == MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} characters")
        self._blank += line.isspace()
        if self._blank > _MOST_BLANK:
            raise ValueError(f"it is one of more than {_MOST_BLANK} in which nothing stands")
        return line
