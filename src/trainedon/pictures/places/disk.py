"""The local disk: what is in its folders, and its files, none of which is waited for or followed out of a folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from trainedon.errors import PictureError, UserError
from trainedon.pictures.pixels.decoding import MAX_BYTES
from trainedon.pictures.pixels.names import is_hidden
from trainedon.pictures.pixels.sniffing import HEAD
from trainedon.pictures.places.ours import MARKS, made_here
from trainedon.reading import open_regular

# what there can be in a folder, besides folders, and what `own` says of one
FILE, HIDDEN, BROKEN, OTHER, OUTSIDE, TOO_DEEP = "file", "hidden", "broken", "other", "outside", "too deep"
_LONGEST = 4000  # bytes of a path, of which systems open up to 4096
# what systems say of a link that was not to be followed
_IS_LINK = (errno.ELOOP, errno.EMLINK, getattr(errno, "EFTYPE", errno.ELOOP))


@dataclass(frozen=True, slots=True)
class Disk:
    """The local disk. No folder is entered twice. root: the real path of a folder out of which no link is followed;
    None where links may lead anywhere."""

    root: str | None = None

    @property
    def shared(self) -> bool:
        return True

    def is_folder(self, path: str) -> bool:
        return stat.S_ISDIR(Path(path).stat().st_mode)

    def walk(self, folder: str) -> Iterator[tuple[str, str]]:
        seen: set[tuple[int, int]] = set()
        todo = [(folder, "")]
        while todo:  # depth first, as a folder may lie deeper than functions can call each other
            here, prefix = todo.pop()
            status = Path(here).stat()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                yield from self._level(here, prefix, todo)

    def _level(self, folder: str, prefix: str, todo: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """What is in one folder; its folders are added to `todo`, the one that comes next at its end."""
        own = made_here(MARKS, lambda name: self.head(f"{folder}/{name}")) if prefix else None
        if own is not None:
            yield prefix, own
            return
        folders: list[tuple[bool, str]] = []
        yield from ((prefix + name, kind) for name, kind in self._children(folder, folders))
        for _, name in sorted(folders, reverse=True):  # real folders before links to them
            inside = os.path.join(folder, name)  # noqa: PTH118 (a Path for each of a million folders)
            if len(os.fsencode(inside)) < _LONGEST:
                todo.append((inside, f"{prefix}{name}/"))
            else:
                yield f"{prefix}{name}/", TOO_DEEP

    def _children(self, folder: str, folders: list[tuple[bool, str]]) -> Iterator[tuple[str, str]]:
        with os.scandir(folder) as listing:
            for child in listing:
                link = child.is_symlink()
                inside = os.path.isdir(child.path) if link else child.is_dir()  # noqa: PTH112
                if is_hidden(child.name):
                    yield child.name + ("/" if inside else ""), HIDDEN
                elif link and not os.path.exists(child.path):  # noqa: PTH110 (which a Path raises for long names)
                    yield child.name, BROKEN
                elif link and not self._holds(os.path.realpath(child.path)):
                    yield child.name + ("/" if inside else ""), OUTSIDE
                elif inside:
                    folders.append((link, child.name))
                else:
                    yield child.name, FILE if child.is_file() else OTHER

    def _holds(self, real: str) -> bool:
        return self.root is None or Path(real).is_relative_to(self.root)

    def within(self, folder: str, name: str) -> str:
        return str(Path(folder, name))

    def stamp(self, path: str) -> str:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is no regular file")  # a pipe would wait for ever
        return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"

    def open(self, path: str) -> IO[bytes]:
        """Raises UserError too for what is no regular file, or a link out of the folder, at the moment of opening."""
        try:
            return open_regular(Path(path), follow=self.root is None)
        except OSError as error:
            if self.root is None or error.errno not in _IS_LINK:
                raise
        real = os.path.realpath(path)  # a link within the folder, as far as its last part goes
        if not self._holds(real):
            raise UserError(f"{path} is a link that leads out of {self.root}: give --follow-links if that is meant")
        return open_regular(Path(real), follow=False)

    def read(self, path: str, most: int = MAX_BYTES) -> bytes:
        with self._picture(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > most:
                raise PictureError(f"larger than {most // 2**20} MiB")
            data = stream.read(size + 1)
        if len(data) > size:  # files that a system makes up, such as those of /proc, say that they have no bytes
            raise PictureError("grows while it is read, or is no regular file")
        return data

    def head(self, path: str) -> bytes:
        with self._picture(path, "{}") as stream:
            return stream.read(HEAD)

    @contextmanager
    def _picture(self, path: str, reason: str = "cannot be read ({})") -> Iterator[IO[bytes]]:
        """A file, open, whose faults are its own."""
        try:
            with self.open(path) as stream:
                yield stream
        except UserError:
            raise PictureError("not a regular file") from None
        except OSError as error:
            raise PictureError(reason.format((error.strerror or "unknown error").lower())) from None

    def show(self, path: str) -> str:
        return path
