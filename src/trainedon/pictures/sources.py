"""A path or URL -> entries in a fixed order. Nothing is decoded here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import UserError
from trainedon.pictures import captions
from trainedon.pictures.arrays import array_entries
from trainedon.pictures.columns import Column, each
from trainedon.pictures.listing import Listing
from trainedon.pictures.names import (
    ARRAYS,
    COMPRESSED_TARS,
    PARQUET,
    TAR,
    has,
    is_picture,
    is_text,
    number,
    raw,
    spelled,
    text,
)
from trainedon.pictures.picture import Entry
from trainedon.pictures.stores import File, Place, locate, shown
from trainedon.pictures.tables import table_entries
from trainedon.pictures.tars import tar_entries

# What holds many pictures, in the order in which it is read.
_READERS = (((PARQUET,), table_entries), ((ARRAYS,), array_entries), ((TAR, *COMPRESSED_TARS), tar_entries))
_TABLES = (PARQUET, ARRAYS, TAR, *COMPRESSED_TARS)


@dataclass(frozen=True, slots=True)
class FileEntry(Entry):
    """A picture file. words: the path of the file that holds its caption; told: its caption, where there is none."""

    name: str
    label: int | None
    place: Place
    path: str
    words: str | None = None
    told: str | None = None
    label_from: ClassVar[str] = "folders"

    def data(self) -> bytes:
        """The file's bytes. Raises PictureError when it is no regular file, too large, or cannot be read."""
        return self.place.read(self.path)

    @property
    def caption(self) -> str | None:
        return self.told if self.words is None else captions.read_beside(self.place, self.words)


@dataclass(frozen=True)
class _Folder(Sequence[Entry]):
    """The picture files of a folder. names: binary, relative to it. beside: bool, which have a caption in a file of
    its own; told: string, the captions that other files name. None where there are none."""

    place: Place
    path: str
    names: pa.ChunkedArray
    beside: pa.ChunkedArray | None
    told: pa.ChunkedArray | None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: int) -> FileEntry:
        name = self.names[place].as_py()
        path = self.place.within(self.path, spelled(name))
        words = captions.beside(path) if self.beside is not None and self.beside[place].as_py() else None
        told = None if self.told is None else self.told[place].as_py()
        return FileEntry(text(name), _label(text(name)), self.place, path, words, told)


def scan(source: str | Path, limit: int | None = None) -> Listing:
    """List the pictures of a folder, a parquet, `.npz` or `.tar` file or a picture file: the first `limit` in order.

    source: a local path, or a URL that fsspec reads. A folder is walked through with its sub-folders, sorted by name;
    hidden files are left out, links are followed once. Only where it holds no picture files are the parquet, `.npz` and
    `.tar` files in it read. Rows of a table and members of a tar keep their order.
    A picture directly inside a sub-folder whose name is a number takes it as its label, which may be something else
    than a class: `runs.labels` decides. The caption of `NAME.png` is
    the text of `NAME.txt` beside it, or else what a `metadata.jsonl` in the folder or above the picture says.
    Raises UserError when there is nothing to list, it may not be read, or what reads the URL is not installed.
    """
    if limit is not None and limit < 1:
        raise UserError(f"a limit of {limit} pictures leaves nothing to look at; give 1 or more")
    where = shown(source)
    try:
        entries = _scan(*locate(source), where, limit)
    except FileNotFoundError:
        raise UserError(f"{where} does not exist; check the spelling") from None
    except PermissionError as error:
        raise UserError(f"no permission to read {error.filename or where}; ask its owner for access") from None
    except OSError as error:
        raise UserError(f"{where} cannot be read ({error.strerror or error}); check the path") from None
    if not entries:
        raise UserError(f"{where} holds no rows; give a table that has pictures in it")
    return entries[:limit]


def _scan(place: Place, path: str, where: str, limit: int | None) -> Listing:
    if place.is_folder(path):
        return _scan_folder(place, path, where, limit)
    name = Path(shown(path)).name
    if is_picture(name):
        words = captions.beside(path)
        return Listing([FileEntry(text(raw(name)), None, place, path, words if _is_there(place, words) else None)])
    tables = _scan_tables(place, [(raw(name), path)], limit)
    if tables is None:
        raise UserError(
            f"{where} is no picture, parquet, .npz or .tar file; give one of these, or a folder of pictures"
        )
    return tables


def _scan_folder(place: Place, folder: str, where: str, limit: int | None) -> Listing:
    pictures, others, words = (Column(pa.binary()) for _ in range(3))
    metadata = []
    for name in place.walk(folder):
        if is_picture(name):
            pictures.append(raw(name))
        elif has(name, *_TABLES):
            others.append(raw(name))
        elif name.endswith(captions.SUFFIX):
            words.append(raw(name))
        elif name.rpartition("/")[2] == captions.METADATA:
            metadata.append(raw(name))
    names = _sorted(pictures.array())[:limit]
    if len(names):
        beside = captions.have_beside(names, words.array()) if len(words.array()) else None
        return Listing(_Folder(place, folder, names, beside, captions.told(place, folder, metadata, names)))
    files = [(name, place.within(folder, spelled(name))) for name in each(_sorted(others.array()))]
    found = _scan_tables(place, files, limit)
    if found is None:
        raise UserError(
            f"{where} holds no pictures; give a folder with JPEG, PNG, WebP, GIF, BMP or TIFF files, "
            "or a parquet, .npz or .tar file"
        )
    return found


def _scan_tables(place: Place, files: Sequence[tuple[bytes, str]], limit: int | None) -> Listing | None:
    """Entries of the files, name and path, that hold many pictures: in the order given, and then by row."""
    parts: list[Listing] = []
    for suffixes, entries in _READERS:
        tables = [(text(name), File.at(place, path)) for name, path in files if has(text(name), *suffixes)]
        left = None if limit is None else limit - sum(map(len, parts))
        if tables and (left is None or left > 0):
            parts.append(entries(tables, left))
    return Listing(*parts) if parts else None


def _sorted(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """By how they are shown: another order than that of the bytes where a name is no text."""
    order = np.asarray(pc.sort_indices(names))
    if not all(map(is_text, each(names))):
        order = sorted(order, key=lambda place: text(names[int(place)].as_py()))
    found = Column(names.type)
    for place in order:
        found.append(names[int(place)].as_py())
    return found.array()


def _is_there(place: Place, path: str) -> bool:
    try:
        return not place.is_folder(path)
    except (OSError, UserError):  # some web servers have other answers than that there is none
        return False


def _label(name: str) -> int | None:
    return number(name.rpartition("/")[0].rpartition("/")[2])
