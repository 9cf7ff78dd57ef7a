"""A path -> entries in a fixed order. Nothing is decoded here."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainedon.errors import PictureError, UserError
from trainedon.pictures.arrays import array_entries
from trainedon.pictures.decoding import MAX_BYTES
from trainedon.pictures.picture import Entry
from trainedon.pictures.tables import table_entries

READABLE = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
# Pictures too, of formats that are not opened: they are listed and named as unusable, never passed over in silence.
OTHER_PICTURES = {".avif", ".heic", ".heif", ".ico", ".jp2", ".jxl", ".ppm", ".pgm", ".psd", ".svg", ".tga"}
TABLES = {".parquet", ".npz"}
_LONGEST_LABEL = 9  # digits; a longer name of a folder is a number of something else


@dataclass(frozen=True)
class FileEntry(Entry):
    """A picture file."""

    name: str
    path: Path
    label: int | None

    def data(self) -> bytes:
        """The file's bytes. Raises PictureError when it is no regular file, too large, or cannot be read."""
        try:
            status = self.path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise PictureError("not a regular file")  # a pipe would wait for ever
            if status.st_size > MAX_BYTES:
                raise PictureError(f"larger than {MAX_BYTES // 2**20} MiB")
            return self.path.read_bytes()
        except OSError as error:
            raise PictureError(f"cannot be read ({(error.strerror or 'unknown error').lower()})") from None


def scan(path: Path, limit: int | None = None) -> list[Entry]:
    """List the pictures of a folder, a parquet file, an `.npz` file or a picture file: the first `limit` in order.

    A folder is walked through with its sub-folders, sorted by name; hidden files are left out, links are followed once.
    Only where it holds no picture files are the parquet and `.npz` files in it read. Rows of a table keep their order.
    A picture directly inside a sub-folder whose name is a number takes it as its label.
    Raises UserError when there is nothing to list or it may not be read.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise UserError(f"a limit of {limit} pictures leaves nothing to look at; give 1 or more")
    try:
        if path.is_dir():
            entries = _scan_folder(path, limit)
        elif path.suffix.lower() in READABLE | OTHER_PICTURES:
            path.stat()
            entries = [FileEntry(_text(path.name), path, None)]
        else:
            path.stat()
            entries = _scan_tables([(_text(path.name), path)], limit)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the spelling") from None
    except PermissionError as error:
        raise UserError(f"no permission to read {error.filename or path}; ask its owner for access") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); check the path") from None
    if not entries:
        raise UserError(f"{path} holds no rows; give a table that has pictures in it")
    return entries[:limit]


def _scan_folder(folder: Path, limit: int | None) -> list[Entry]:
    files = sorted((_text(path.relative_to(folder).as_posix()), path) for path in _walk(folder, set()))
    pictures = [(name, path) for name, path in files if path.suffix.lower() in READABLE | OTHER_PICTURES]
    if pictures:
        return [FileEntry(name, path, _label(name)) for name, path in pictures[:limit]]
    tables = [(name, path) for name, path in files if path.suffix.lower() in TABLES]
    if tables:
        return _scan_tables(tables, limit)
    raise UserError(
        f"{folder} holds no pictures; give a folder with JPEG, PNG, WebP, GIF, BMP or TIFF files, "
        "or a parquet or .npz file"
    )


def _scan_tables(tables: list[tuple[str, Path]], limit: int | None) -> list[Entry]:
    """Entries of parquet files, then of npz files, in the order given and then by row."""
    for _, path in tables:
        if path.suffix.lower() not in TABLES:
            raise UserError(f"{path} is no picture, parquet or .npz file; give one of these, or a folder of pictures")
    parquet = [table for table in tables if table[1].suffix.lower() == ".parquet"]
    arrays = [table for table in tables if table[1].suffix.lower() == ".npz"]
    entries = table_entries(parquet, limit)
    return entries + array_entries(arrays, None if limit is None else limit - len(entries))


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Every file below but the hidden ones; a folder that was entered before, through a link, is not entered again."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as listing:
        children = sorted((child for child in listing if not child.name.startswith(".")), key=lambda child: child.name)
    for child in sorted(children, key=lambda child: child.is_symlink()):  # real folders before links to them
        path = folder / child.name
        if path.is_dir():
            yield from _walk(path, seen)
        else:
            yield path


def _text(name: str) -> str:
    """A file name as text that can be stored: bytes that are no UTF-8 are spelled out as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _label(name: str) -> int | None:
    parent = name.rpartition("/")[0].rpartition("/")[2]
    return int(parent) if parent.isascii() and parent.isdigit() and len(parent) <= _LONGEST_LABEL else None
