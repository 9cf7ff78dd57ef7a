"""Plain `.tar` files, webdataset's among them: indexed once by their headers, then read member by member.

Nothing is unpacked, and nothing but pictures, class numbers, captions and the first bytes of other files is read.
"""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from itertools import groupby
from typing import IO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import PictureError, UserError
from trainedon.pictures.containers.headers import members
from trainedon.pictures.listing import captions
from trainedon.pictures.listing.columns import Column, each, repeated
from trainedon.pictures.listing.entries import DATA, READ, Listing, Passed
from trainedon.pictures.listing.strays import Strays
from trainedon.pictures.pixels.decoding import MAX_BYTES
from trainedon.pictures.pixels.names import TAR, has, is_picture, number, picture_stem, raw, text
from trainedon.pictures.pixels.picture import MAX_ROWS, Entry
from trainedon.pictures.pixels.sniffing import HEAD, HIDDEN, NO_FILE, Seems, seems
from trainedon.pictures.places.stores import File, readable

_CLASS = ".cls"  # of webdataset: the class number of the members that have its name up to the first dot
_DATA = ".json"  # of img2dataset: where a member came from; not read
_COMPANIONS = {captions.SUFFIX: READ, _CLASS: "class numbers, read", _DATA: DATA}
_MOST_DIGITS = 32  # bytes of such a member
_MOST_NAMES = 2**28  # characters of all names
_NO_FILE = -1  # as an offset: a link, or something else without content of its own
_DAMAGE = (tarfile.TarError, OSError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError)
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


@dataclass(frozen=True, slots=True)
class TarEntry(Entry):
    """A picture file inside a tar. offset, size: bytes. words: offset and size of the member with its caption; told:
    its caption, where there is none."""

    name: str
    label: int | None
    file: File
    offset: int
    size: int
    words: tuple[int, int] | None = None
    told: str | None = None

    def data(self) -> bytes:
        """The member's bytes. Raises PictureError when it is no file, too large, or not there any more."""
        if self.offset == _NO_FILE:
            raise PictureError("not a regular file")
        if self.size > MAX_BYTES:
            raise PictureError(f"larger than {MAX_BYTES // 2**20} MiB")
        return self._part(self.offset, self.size)

    @property
    def caption(self) -> str | None:
        if self.words is None:
            return self.told
        if self.words[1] > captions.MOST_BYTES:
            raise PictureError(f"caption: larger than {captions.MOST_BYTES // 2**20} MiB")
        return captions.decoded(self._part(*self.words))

    @property
    def shared(self) -> bool:
        return self.file.shared

    @property
    def worded(self) -> bool:
        return self.words is not None

    def _part(self, offset: int, size: int) -> bytes:
        try:
            stream = _LATEST.stream(self.file)
            stream.seek(offset)
            data = stream.read(size)
        except (OSError, ValueError):
            _LATEST.close()
            raise PictureError("the tar file cannot be read here") from None
        if len(data) < size:
            raise PictureError("truncated: the tar file ends too early")
        return data


class _Latest(threading.local):
    """The tar that was read last stays open; one a thread."""

    file: File | None = None

    def stream(self, file: File) -> IO[bytes]:
        if self.file != file:
            self.close()
            self._stream = file.open()
            self.file = file
        return self._stream

    def close(self) -> None:
        if self.file is not None:
            self.file = None
            self._stream.close()


_LATEST = _Latest()


class Tells(Protocol):
    """A table that names captions."""

    def rows(self) -> Iterator[tuple[str, str]]:
        """(name or key, caption)."""


@dataclass(frozen=True)
class _Tar:
    """The pictures of one tar, in the order in which it stores them. prefix: of their names; None numbers them."""

    shown: str
    prefix: str | None
    file: File
    names: pa.ChunkedArray
    offsets: pa.ChunkedArray
    sizes: pa.ChunkedArray
    labels: pa.ChunkedArray
    words: pa.ChunkedArray  # offsets of captions
    lengths: pa.ChunkedArray  # of these, in bytes
    told: pa.ChunkedArray | None  # captions that a table beside the tar names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: int, /) -> TarEntry:
        name = f"{self.shown}#{place}" if self.prefix is None else self.prefix + self.names[place].as_py()
        columns = (self.offsets, self.sizes, self.labels, self.words, self.lengths)
        offset, size, label, words, length = (column[place].as_py() for column in columns)
        told = None if self.told is None else self.told[place].as_py()
        return TarEntry(name, label, self.file, offset, size, None if words is None else (words, length), told)

    def apart(self) -> _Tar:
        """The same, named by the tar too."""
        return self if self.prefix is None else replace(self, prefix=f"{self.shown}/")

    def each_name(self) -> Iterator[str]:
        """The names of all entries."""
        if self.prefix is None:
            return (f"{self.shown}#{place}" for place in range(len(self)))
        return (self.prefix + name for name in each(self.names))


def tar_entries(
    tars: list[tuple[str, File]],
    limit: int | None,
    passed: Passed | None = None,
    told: Mapping[str, Tells] | None = None,
) -> Listing:
    """Entries of the picture files in tars (name to show, file), tar by tar, as they are stored; hidden ones are not.

    A member is a picture by its name or by its first bytes; what is none is counted in `passed`. Names are the members'
    paths, behind the name of their tar where there are several tars; `file.tar#12` in a tar that holds a name twice, or
    one that is blank. Labels are the whole numbers of neighbouring members `KEY.cls`, captions the texts of `KEY.txt`,
    where KEY is what precedes the first dot, or of a text anywhere in the tar that has the picture's path but for the
    suffixes, or else those that a table, `told` by the name of a tar, has for that name, or KEY, without folder.
    Raises UserError when a tar is compressed, damaged or cut short.
    """
    parts: list[_Tar] = []
    passed = Passed() if passed is None else passed
    for shown, file in tars:
        left = None if limit is None else limit - sum(map(len, parts))
        if left is None or left > 0:
            parts.append(_index(shown, file, len(tars) > 1, left, passed, (told or {}).get(shown)))
            if not len(parts[-1]):
                passed.over(shown, Seems("tar without pictures"))
    return Listing(*parts)[:limit]


def no_members(file: File) -> UserError:
    """That a tar has no pictures in it."""
    return UserError(f"{file} holds no picture files; give a tar of JPEG, PNG, WebP, GIF, BMP or TIFF files")


class _Index:
    """The pictures of one tar, as its headers are gone through."""

    def __init__(self, shown: str, passed: Passed) -> None:
        self.names, self.numbers = Column(pa.string()), [Column(pa.int64()) for _ in range(5)]
        self.count, self._shown, self._passed, self.strays = 0, shown, passed, Strays()

    def hidden(self, name: str) -> None:
        """A hidden member is passed over."""
        self._passed.over(self._name(name), HIDDEN)

    def _name(self, name: str) -> str:
        return f"{self._shown}/{_path(name)}"

    def add(self, key: str, group: Iterable[tarfile.TarInfo], stream: IO[bytes]) -> None:
        """Neighbours with one key: pictures, and what belongs to them."""
        offsets, sizes, labels, words, lengths = self.numbers
        label, pictures = None, 0
        caption: tuple[int, int] | tuple[None, None] = (None, None)
        others: list[tarfile.TarInfo] = []
        for member in group:
            if member.isdir():
                continue
            if member.name == key + _CLASS:
                label = _class_number(stream, member)
                others.append(member)
            elif member.name == key + captions.SUFFIX and _is_plain(member):
                caption = member.offset_data, member.size
                others.append(member)
            elif is_picture(member.name) or (member.name != key + _DATA and self._is_picture(stream, member)):
                self.names.append(_path(member.name))
                offsets.append(member.offset_data if _is_plain(member) else _NO_FILE)
                sizes.append(member.size)
                pictures += 1
            elif member.name == key + _DATA:
                others.append(member)
        for _ in range(pictures):
            labels.append(label)
            words.append(caption[0])
            lengths.append(caption[1])
        self.count += pictures
        for member in others:
            if pictures:
                self._passed.companions[_COMPANIONS[member.name.removeprefix(key)]] += 1
            elif self._is_picture(stream, member):  # without a picture beside it, no name says what it is
                self.names.append(_path(member.name))
                for column, value in zip(self.numbers, (member.offset_data, member.size, None, None, None)):
                    column.append(value)
                self.count += 1

    def _is_picture(self, stream: IO[bytes], member: tarfile.TarInfo) -> bool:
        """By its first bytes; what is none is passed over, or may be the caption of a picture elsewhere."""
        if not _is_plain(member):
            self._passed.over(self._name(member.name), NO_FILE)
            return False
        stream.seek(member.offset_data)
        what = seems(stream.read(min(HEAD, member.size)), member.name)
        if not what.picture and member.name.endswith(captions.SUFFIX):
            self.strays.add(_path(member.name), member.offset_data, member.size, what)
        elif not what.picture:
            self._passed.over(self._name(member.name), what)
        return what.picture


def _index(shown: str, file: File, several: bool, limit: int | None, passed: Passed, told: Tells | None) -> _Tar:
    found = _Index(shown, passed)
    with _readable(file), closing(file.open()) as stream:
        _check_plain(file, stream)
        listed = _short(members(stream, found.hidden), file)
        for key, group in groupby(listed, key=lambda member: _key(member.name)):
            found.add(key, group, stream)
            if found.count > MAX_ROWS:
                raise UserError(f"{file} holds more than {MAX_ROWS} pictures; split it")
            if limit is not None and found.count >= limit:
                break
    names, *columns = [column.array() for column in (found.names, *found.numbers)]
    columns[3:] = found.strays.given(names, columns[3], columns[4], passed, f"{shown}/")
    own = not repeated(names, np.arange(found.count)) and all(map(str.strip, each(names)))
    prefix = (f"{shown}/" if several else "") if own else None
    offsets, sizes, labels, words, lengths = columns
    named = _told(names, told) if told is not None and words.null_count else None
    return _Tar(shown, prefix, file, names, offsets, sizes, labels, words, lengths, named)


def _short(listed: Iterable[tarfile.TarInfo], file: File) -> Iterator[tarfile.TarInfo]:
    """The members. Raises UserError where their names are too long to be held."""
    total = 0
    for member in listed:
        total += len(member.name)
        if total > _MOST_NAMES:
            raise UserError(f"{file}: the names of its members have more than {_MOST_NAMES} characters; split it")
        yield member


def _told(names: pa.ChunkedArray, told: Tells) -> pa.ChunkedArray:
    """The captions of members by their names without suffix, or else by their keys, without folder: string (n,)."""
    keys, words = Column(pa.binary()), Column(pa.string())
    for key, caption in told.rows():
        keys.append(_bare(key))
        words.append(caption)
    known, places = keys.array(), []
    for cut in (_bare, lambda name: raw(_key(name).rpartition("/")[2])):
        wanted = Column(pa.binary())
        for name in each(names):
            wanted.append(cut(name))
        places.append(pc.index_in(wanted.array(), value_set=known))
    return words.array().take(pc.coalesce(*places))


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isreg() and not member.issparse()


def _path(name: str) -> str:
    return text(raw(name.removeprefix("./")))


def _bare(name: str) -> bytes:
    return picture_stem(raw(name.rpartition("/")[2]))


def _key(name: str) -> str:
    folder, slash, leaf = name.rpartition("/")
    return folder + slash + leaf.partition(".")[0]


def _class_number(stream: IO[bytes], member: tarfile.TarInfo) -> int | None:
    """The whole number that a member holds as text, if it does."""
    if not member.isreg() or member.size > _MOST_DIGITS:
        return None
    stream.seek(member.offset_data)
    return number(stream.read(member.size).decode("ascii", "replace").strip())


def _check_plain(file: File, stream: IO[bytes]) -> None:
    magic = stream.read(6)
    stream.seek(0)
    if magic.startswith(_COMPRESSED) or not has(str(file), TAR):
        raise UserError(
            f"{file} is compressed, so that no member can be read alone: unpack it, or store it as plain .tar"
        )


def _readable(file: File) -> AbstractContextManager[None]:
    return readable(_DAMAGE, f"{file} is damaged or ends too early; pack or download it again")
