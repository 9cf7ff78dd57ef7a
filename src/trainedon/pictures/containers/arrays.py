"""Numpy `.npz` files of raw pixels, read row by row; nothing is unpickled, and nothing is loaded as a whole."""

from __future__ import annotations

import math
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from lzma import LZMAError
from tokenize import TokenError
from typing import IO

import numpy as np
import pyarrow as pa

from trainedon.errors import PictureError, UserError
from trainedon.pictures.listing import captions
from trainedon.pictures.listing.columns import AT_ONCE, Column
from trainedon.pictures.listing.entries import Listing
from trainedon.pictures.pixels.decoding import MAX_PIXELS
from trainedon.pictures.pixels.picture import MAX_ROWS, Entry
from trainedon.pictures.places.stores import File, readable

IMAGE_ARRAYS = ("images", "arr_0", "x")
LABEL_ARRAY, CAPTION_ARRAY = "labels", "captions"
_MOST_LIST = 2**20  # bytes of the list of members, of which some 10 000 have room
_MOST_HEADER = 2**14  # bytes of what an array says of itself; numpy believes 10 000 of them
_MOST_UNPACKED, _DENSEST = 2**32, 200  # bytes of an array; more only where it is a 200th of that in the file
_MOST_TEXT = 2**28  # characters of all captions
_LONGEST = 2**62  # of an array's sides
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    TokenError,
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    LookupError,
    TypeError,
    ArithmeticError,
    SyntaxError,
    MemoryError,
    SystemError,  # of texts with numbers that are no characters
)


@dataclass(frozen=True, slots=True)
class _Array:
    """The header of one array inside the archive, and where its values start."""

    file: File
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int  # bytes before the first value
    size: int  # bytes, header included


class _Reader(threading.local):
    """Rows of an array. One file is open at a time; compressed data is cheap to read forward, backward starts again."""

    _array: _Array | None = None

    def row(self, array: _Array, number: int) -> bytes:
        if self._array != array:
            self.close()
            with ExitStack() as opened:
                archive = opened.enter_context(_archive(array.file))
                self._stream = opened.enter_context(archive.open(f"{array.name}.npy"))
                self._opened = opened.pop_all()
            self._array = array
        size = math.prod(array.shape[1:])
        self._stream.seek(array.offset + number * size)
        return self._stream.read(size)

    def close(self) -> None:
        if self._array is not None:
            self._array = None
            self._opened.close()


_READER = _Reader()


@dataclass(frozen=True, slots=True)
class ArrayEntry(Entry):
    """A row of an array."""

    name: str
    label: int | None
    array: _Array
    row: int
    told: str | None = None

    @property
    def shared(self) -> bool:
        return self.array.file.shared

    @property
    def caption(self) -> str | None:
        return self.told

    def data(self) -> np.ndarray:
        """uint8 (h, w) or (h, w, c). Raises PictureError when it cannot be read."""
        try:
            values = _READER.row(self.array, self.row)
            return np.frombuffer(values, np.uint8).reshape(self.array.shape[1:])
        except _DAMAGE:
            _READER.close()
            raise PictureError("the .npz file is damaged here") from None


@dataclass(frozen=True)
class _Rows:
    """The rows of one array. labels: int64 (n,), or None. told: captions, string (n,), or None."""

    shown: str
    array: _Array
    labels: np.ndarray | None
    told: pa.ChunkedArray | None

    def __len__(self) -> int:
        return self.array.shape[0]

    def __getitem__(self, place: int, /) -> ArrayEntry:
        label = None if self.labels is None else int(self.labels[place])
        told = None if self.told is None else self.told[place].as_py()
        return ArrayEntry(f"{self.shown}#{place}", label, self.array, place, told)

    def apart(self) -> _Rows:
        """The same: file and number tell pictures apart."""
        return self

    def each_name(self) -> Iterator[str]:
        """The names of all entries."""
        return (f"{self.shown}#{place}" for place in range(len(self)))


class NoPictureArray(UserError):
    """An `.npz` file has no array that could be pictures."""


def array_entries(
    files: list[tuple[str, File]], limit: int | None, skip: Callable[[str, NoPictureArray], None] | None = None
) -> Listing:
    """Entries of the rows of `.npz` files (name to show, file), file by file, named `file.npz#12`.

    skip: called with the name of a file without any array of pictures, and why; without it that is raised.

    The pictures are the array `images`, `arr_0` or `x`, or the only one with four dimensions:
    uint8 (n, h, w, 1 | 3 | 4) or (n, h, w). An integer array `labels` (n,) and a text array
    `captions` (n,) are taken along.
    Raises UserError when there is no such array, or a file is damaged or empty.
    """
    parts: list[_Rows] = []
    for shown, file in files:
        if limit is None or sum(map(len, parts)) < limit:
            try:
                parts.append(_Rows(shown, *_describe(file)))
            except NoPictureArray as error:
                if skip is None:
                    raise
                skip(shown, error)
    return Listing(*parts)[:limit]


@contextmanager
def _archive(file: File) -> Iterator[zipfile.ZipFile]:
    with file.open() as stream:
        listed = _Listed(stream, file)
        with zipfile.ZipFile(listed) as archive:
            listed.most = math.inf
            yield archive


class _Listed:
    """A stream for zipfile, which reads the list of all members at once, however long it is."""

    def __init__(self, stream: IO[bytes], file: File) -> None:
        self.seek, self.tell, self.seekable, self._read = stream.seek, stream.tell, stream.seekable, stream.read
        self.most, self._file = float(_MOST_LIST), file

    def read(self, size: int = -1) -> bytes:
        if size > self.most:
            raise NoPictureArray(f"{self._file} holds thousands of arrays: save all pictures as one, called 'images'")
        return self._read(size)


def _readable(file: File) -> AbstractContextManager[None]:
    return readable(_DAMAGE, f"{file} is not a readable .npz file; save it again with numpy.savez")


def _describe(file: File) -> tuple[_Array, np.ndarray | None, pa.ChunkedArray | None]:
    """The checked picture array of a file, its labels, int64 (n,) or None, and its captions, string (n,) or None."""
    with _readable(file), _archive(file) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        arrays = {array.name: array for array in (_header(archive, info, file) for info in members)}
        images = _choose(arrays, file)
        _check(images)
        labels, told = arrays.get(LABEL_ARRAY), arrays.get(CAPTION_ARRAY)
        return (
            images,
            None if labels is None else _labels(archive, labels, images),
            None if told is None else _captions(archive, told, images),
        )


def _check_beside(array: _Array, images: _Array, kinds: str, what: str) -> None:
    """Raise UserError unless an array holds one thing of such a kind for each picture."""
    if array.shape != images.shape[:1] or array.dtype.kind not in kinds:
        raise UserError(
            f"{array.file}: {array.name} must be {images.shape[0]} {what}, one a picture, "
            f"not {array.dtype} {array.shape}; save them so, or leave them out"
        )
    _check_whole(array)


def _check_whole(array: _Array) -> None:
    if array.size != array.offset + math.prod(array.shape) * array.dtype.itemsize:
        raise UserError(f"{array.file} is damaged: {array.name} is shorter or longer than it says; save it again")


def _labels(archive: zipfile.ZipFile, labels: _Array, images: _Array) -> np.ndarray:
    _check_beside(labels, images, "iu", "whole numbers")
    with archive.open(f"{labels.name}.npy") as stream:
        values = np.lib.format.read_array(stream, allow_pickle=False)
    if values.dtype.kind == "u" and values.max(initial=0) > np.iinfo(np.int64).max:
        raise UserError(f"{labels.file}: {labels.name} holds {values.max()}, which is no class; repair or leave it out")
    return values.astype(np.int64)


def _captions(archive: zipfile.ZipFile, told: _Array, images: _Array) -> pa.ChunkedArray:
    _check_beside(told, images, "U", "texts")
    if told.dtype.itemsize > 4 * captions.MOST:
        raise UserError(f"{told.file}: {told.name} has texts of more than {captions.MOST} characters; shorten them")
    found, count, total = Column(pa.string()), told.shape[0], 0
    with archive.open(f"{told.name}.npy") as stream:
        stream.seek(told.offset)
        for start in range(0, count, AT_ONCE):  # as they are stored, they take four bytes a character
            size = min(AT_ONCE, count - start) * told.dtype.itemsize
            for words in np.frombuffer(stream.read(size), told.dtype).tolist():
                found.append(_paragraph(words, told))
                total += len(words)
            if total > _MOST_TEXT:
                raise UserError(f"{told.file}: {told.name} holds more than {_MOST_TEXT} characters; split the file")
    return found.array()


def _paragraph(words: str, told: _Array) -> str | None:
    try:
        return captions.paragraph(words)
    except PictureError as error:
        raise UserError(f"{told.file}: {error}; repair the array {told.name}, or leave it out") from None


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: File) -> _Array:
    if info.file_size > max(_MOST_UNPACKED, _DENSEST * info.compress_size):
        raise UserError(f"{file}: {info.filename} would unpack to far more than pictures do: save it again unpacked")
    with archive.open(info) as stream:
        head = BytesIO(stream.read(_MOST_HEADER))
    with warnings.catch_warnings(action="ignore"):  # of odd ways to write a shape
        shape, fortran, dtype = _read_header(head)
    if any(side > _LONGEST for side in shape):
        raise ValueError
    return _Array(file, info.filename[:-4], shape, dtype, fortran, head.tell(), info.file_size)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _choose(arrays: dict[str, _Array], file: File) -> _Array:
    for name in IMAGE_ARRAYS:
        if name in arrays:
            return arrays[name]
    four = [array for array in arrays.values() if len(array.shape) == 4]
    if len(four) == 1:
        return four[0]
    found = ", ".join(f"{array.name} {array.dtype} {array.shape}" for array in arrays.values()) or "nothing"
    unclear = any(array.dtype == np.uint8 and len(array.shape) >= 3 for array in arrays.values())
    raise (UserError if unclear else NoPictureArray)(
        f"{file} has no clear picture array among: {found}; name it 'images'"
    )


def _check(array: _Array) -> None:
    """Raise UserError unless the array is uint8 pictures of a usable size and as long as its header says."""
    where, shape = f"{array.file}: {array.name}", array.shape
    if array.dtype != np.uint8:
        raise (UserError if len(shape) in (3, 4) else NoPictureArray)(
            f"{where} holds {array.dtype}, whose scale is not known; save whole numbers from 0 to 255 as uint8 "
            "(from 0..1: (x * 255).round().astype('uint8'))"
        )
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3, 4)):
        raise UserError(f"{where} has shape {shape}; it must be (n, h, w, 1 or 3 or 4) or, for grey, (n, h, w)")
    if array.fortran and shape[0] > 0:
        raise UserError(f"{where} is stored in Fortran order; save numpy.ascontiguousarray of it")
    if min(shape) < 0:
        raise UserError(f"{array.file} is damaged: {array.name} says that its shape is {shape}; save it again")
    if math.prod(shape) == 0:
        raise UserError(f"{where} holds no pictures (shape {shape}); give one that does")
    if shape[0] > MAX_ROWS or shape[1] * shape[2] > MAX_PIXELS:
        raise UserError(
            f"{where} is too large (shape {shape}); split it into parts of up to {MAX_ROWS} pictures "
            f"of {MAX_PIXELS // 10**6} megapixels"
        )
    _check_whole(array)
