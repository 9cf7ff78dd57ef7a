"""Where files lie: on the local disk, or in a store that fsspec reaches by a URL (`s3://`, `gs://`, ...)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

import fsspec

from trainedon.errors import PictureError, UserError
from trainedon.pictures.pixels.decoding import MAX_BYTES
from trainedon.pictures.pixels.names import is_hidden
from trainedon.pictures.pixels.sniffing import HEAD
from trainedon.pictures.places.disk import FILE, HIDDEN, Disk
from trainedon.pictures.places.faults import explanation
from trainedon.pictures.places.ours import made_here
from trainedon.redact import redacted, redacted_address

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_URL = re.compile(r"([\w.+-]+::)*[\w.+-]{2,}://")  # one letter before the colon is a drive
_PROTOCOL = re.compile(r"([\w.+-]+):(?::|//)")
_LOCAL = ("file", "local")
_PACKAGES = {  # protocol -> what to install for it
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "sftp": "paramiko",
    "ssh": "paramiko",
}
_BLOCK = 4 * 2**20  # bytes asked for at once where a large file is read in parts


class Place(Protocol):
    """What holds files, each under a path of its own spelling. Methods raise OSError or UserError."""

    @property
    def shared(self) -> bool:
        """Whether another process on this machine finds the same files."""

    def is_folder(self, path: str) -> bool:
        """Whether `path` is a folder. Raises FileNotFoundError where there is nothing."""

    def walk(self, folder: str) -> Iterator[tuple[str, str]]:
        """Everything below: its name relative to `folder`, with `/`, and what it is: FILE, HIDDEN, BROKEN (a link),
        OUTSIDE (a link that is not followed), TOO_DEEP, OTHER, which is not to be opened, or what `own.made_here` says.
        Of a folder that is not entered the name, with `/` behind it, and not what is in it. In no order."""

    def within(self, folder: str, name: str) -> str:
        """The path of what `walk` named."""

    def stamp(self, path: str) -> str:
        """What differs once the file was changed, as far as it can be told without reading it."""

    def open(self, path: str) -> IO[bytes]:
        """A stream to be read anywhere."""

    def read(self, path: str, most: int = MAX_BYTES) -> bytes:
        """A whole file, or its first `most` + 1 bytes. Raises PictureError when this file cannot be read."""

    def head(self, path: str) -> bytes:
        """The first HEAD bytes of a file, without waiting for any. Raises PictureError when it cannot be read."""

    def show(self, path: str) -> str:
        """The path as a person would write it."""


@dataclass(frozen=True, slots=True)
class Store:
    """A file system of fsspec's. url: any of its URLs; where it is and how it is entered follows from that.

    A file that is missing or forbidden has a fault of its own; what else goes wrong is the store's, and a UserError.
    """

    url: str

    @property
    def shared(self) -> bool:
        return all(protocol in _PACKAGES for protocol in _PROTOCOL.findall(self.url))  # not what lies in memory

    def is_folder(self, path: str) -> bool:
        with self.asked() as files:
            return bool(files.info(path)["type"] == "directory")

    def walk(self, folder: str) -> Iterator[tuple[str, str]]:
        """Folder by folder, so that no more than one folder's listing is held."""
        todo = [folder]
        while todo:
            here = todo.pop()
            with self.asked() as files:
                listed = [
                    (info["name"].rstrip("/"), info["type"] == "directory") for info in files.ls(here, detail=True)
                ]
                files.invalidate_cache()  # fsspec would keep a kilobyte a file, and never look again
            names = {_leaf(path) for path, is_folder in listed if not is_folder}
            if here != folder and (own := made_here(names, self._heads(here))):
                yield here[len(folder.rstrip("/")) + 1 :] + "/", own
                continue
            for path, is_folder in listed:
                if path == here.rstrip("/"):  # a folder may have an object of its name
                    continue
                name = path[len(folder.rstrip("/")) + 1 :]
                if is_hidden(_leaf(path)):
                    yield name + ("/" if is_folder else ""), HIDDEN
                elif is_folder:
                    todo.append(path)
                else:
                    yield name, FILE

    def within(self, folder: str, name: str) -> str:
        return f"{folder.rstrip('/')}/{name}"

    def stamp(self, path: str) -> str:
        with self.asked() as files:
            return str(files.ukey(path))

    def _heads(self, folder: str) -> Callable[[str], bytes]:
        return lambda name: self.head(self.within(folder, name))

    def open(self, path: str) -> IO[bytes]:
        with self.asked() as files:
            return cast("IO[bytes]", _Stream(self, files.open(path, "rb", block_size=_BLOCK)))

    def read(self, path: str, most: int = MAX_BYTES) -> bytes:
        try:
            with self.asked() as files:
                return _read(files, path, most)
        except FileNotFoundError:
            raise PictureError("cannot be read (no such file or directory)") from None
        except PermissionError:
            raise PictureError("cannot be read (permission denied)") from None

    def head(self, path: str) -> bytes:
        return self.read(path, HEAD - 1)

    def show(self, path: str) -> str:
        with self.asked() as files:
            return shown(files.unstrip_protocol(path))

    @contextmanager
    def asked(self) -> Iterator[Any]:
        """fsspec's file system, while it is asked for something: whatever goes wrong is raised as the class says."""
        try:
            yield _file_system(self.url)[0]
        except (PermissionError, UserError):
            raise
        except FileNotFoundError as error:
            known = explanation(error.__cause__) if error.__cause__ is not None else None
            if known is None:
                raise
            raise UserError(f"{shown(self.url)} {known}") from None  # of the web, which has other reasons too
        except Exception as error:  # noqa: BLE001 (each store has errors of its own, which derive from nothing common)
            reason = redacted(" ".join(str(error).split())[:200]) or type(error).__name__
            if known := explanation(error):
                raise UserError(f"{shown(self.url)} {known} ({reason})") from None
            raise UserError(
                f"{shown(self.url)} cannot be read now ({reason}): check address, credentials and network, "
                "and run the same command again"
            ) from None


class _Stream(io.RawIOBase):
    """A file of a store, whose errors are told apart from damage to what is in the file."""

    def __init__(self, store: Store, stream: IO[bytes]) -> None:
        self._store, self._inner = store, stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        room = memoryview(buffer).cast("B")
        with self._store.asked():
            data = self._inner.read(len(room))
        room[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def close(self) -> None:
        self._inner.close()
        super().close()


def _read(files: Any, path: str, most: int) -> bytes:
    if "://" in path:  # a web server may send more than it was asked for
        with files.open(path, "rb", block_size=0) as stream:
            return bytes(stream.read(most + 1))
    try:
        return bytes(files.cat_file(path, start=0, end=most + 1))
    except Exception:
        if files.info(path)["size"] == 0:  # of nothing, some stores give no part
            return b""
        raise


@lru_cache(maxsize=32)
def _file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path within."""
    try:
        files, path = fsspec.core.url_to_fs(url)
        return files, path
    except ImportError as error:
        packages = [_PACKAGES[protocol] for protocol in _PROTOCOL.findall(url) if protocol in _PACKAGES]
        remedy = f"pip install {' '.join(packages)}" if packages else "install what reads it"
        raise UserError(f"{shown(url)} needs a package that is not here ({error}): {remedy}") from None
    except ValueError as error:
        raise UserError(
            f"{shown(url)} is no address that can be read ({redacted(str(error))}); check the spelling"
        ) from None


def is_url(text: str) -> bool:
    """Whether a text is a URL, not a path of the local disk."""
    return _URL.match(text) is not None


def locate(source: str | Path) -> tuple[Place, str]:
    """Where a path or URL leads: a place, and the path there."""
    text = str(source)
    if isinstance(source, Path) or not is_url(text):
        return Disk(), text
    if _PROTOCOL.findall(text)[0] in _LOCAL:
        return Disk(), fsspec.core.strip_protocol(text)
    store = Store(text)
    with store.asked():
        return store, _file_system(text)[1]


def shown(source: str | Path) -> str:
    """A path or URL as it may be printed and kept: passwords, tokens and signatures of addresses are left out."""
    text = str(source)
    return redacted_address(text) if is_url(text) else text


def _leaf(path: str) -> str:
    return path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class File:
    """A file that holds many pictures. stamp: tells it from what was, or will be, under the same path."""

    place: Place
    path: str
    stamp: str

    @classmethod
    def at(cls, place: Place, path: str) -> File:
        """The file as it is now. Raises OSError or UserError when it is none or cannot be reached."""
        return cls(place, path, place.stamp(path))

    @property
    def shared(self) -> bool:
        """Whether several processes can read their parts of it; from a store each would fetch most of it."""
        return isinstance(self.place, Disk)

    def open(self) -> IO[bytes]:
        """A stream to be read anywhere."""
        return self.place.open(self.path)

    def __str__(self) -> str:
        return self.place.show(self.path)


@contextmanager
def readable(damage: tuple[type[Exception], ...], remedy: str) -> Iterator[None]:
    """Errors of a reader that say a file is damaged become a UserError; a missing or forbidden file stays its own."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except damage:
        raise UserError(remedy) from None
