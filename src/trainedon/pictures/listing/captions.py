"""What pictures are called in words: where their captions are looked for, and what counts as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import PictureError
from trainedon.pictures.listing.columns import Column, each
from trainedon.pictures.pixels.names import picture_stem, raw, spelled
from trainedon.pictures.places.stores import Place

MOST = 10_000  # characters; what is longer is no caption
MOST_BYTES = 2**20  # of a file of text
COLUMNS = ("caption", "text")  # in tables, and in METADATA
METADATA = "metadata.jsonl"  # of Hugging Face's imagefolder
SUFFIX = ".txt"  # of a caption in a file of its own
SUFFIXES = (SUFFIX, ".caption")  # the first is the stronger one


def paragraph(words: str) -> str | None:
    """A caption as it is kept: one paragraph, without white space at its ends; None where nothing is left.

    Raises PictureError when it is too long, or cannot be written as UTF-8.
    """
    if len(words) > MOST:
        raise PictureError(f"caption: more than {MOST} characters")
    try:
        words.encode("utf-8")
    except UnicodeEncodeError:
        raise PictureError("caption: no text that can be written") from None
    return " ".join(words.split()) or None


def decoded(data: bytes) -> str | None:
    """The caption in a file of text. Raises PictureError as `paragraph` does, and for other bytes than UTF-8."""
    try:
        return paragraph(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise PictureError("caption: not UTF-8") from None


def read_sidecar(place: Place, path: str) -> str | None:
    """The caption in a file of its own. Raises PictureError as `decoded` does, and when it cannot be read."""
    try:
        data = place.read(path, MOST_BYTES)
    except PictureError as error:
        raise PictureError(f"caption: {error}") from None
    return decoded(data)


def beside(name: str) -> list[str]:
    """Where the caption of a picture file may be, in files of their own: the first that is there counts."""
    return [spelled(_place(raw(name), form)) for form in range(2 * len(SUFFIXES))]


@dataclass(frozen=True)
class Sidecars:
    """Which files of text lie beside pictures.

    forms: int8 (n,), which of `beside` a picture's caption is, null for none. read, owned: bool (k,), whether a file of
    text is a picture's caption, and whether it lies beside one at all: of two captions one is read.
    """

    forms: pa.ChunkedArray
    read: pa.ChunkedArray
    owned: pa.ChunkedArray


def sought(pictures: pa.ChunkedArray, texts: pa.ChunkedArray) -> Sidecars:
    """Look for the captions of pictures, binary (n,), among files of text, binary (k,)."""
    forms, chosen = pa.chunked_array([pa.nulls(len(pictures), pa.int8())]), Column(pa.binary())
    endings = [suffix for suffix in SUFFIXES if pc.any(pc.ends_with(texts, suffix)).as_py()]
    for suffix in reversed(endings):
        for form in (2 * SUFFIXES.index(suffix) + 1, 2 * SUFFIXES.index(suffix)):
            there = pc.is_in(_column(_place(name, form) for name in each(pictures)), value_set=texts)
            forms = pc.if_else(there, pa.scalar(form, pa.int8()), forms)
    for name, form in zip(each(pictures), each(forms), strict=True):
        if form is not None:
            chosen.append(_place(name, form))
    return Sidecars(forms, pc.is_in(texts, value_set=chosen.array()), are_beside_pictures(texts, pictures))


def are_beside_pictures(files: pa.ChunkedArray, pictures: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which files, binary (k,), are called as a picture, binary (n,), but for a suffix: bool (k,)."""
    bare = _column(name.rpartition(b".")[0] for name in each(files))
    stems = pc.is_in(bare, value_set=_column(map(picture_stem, each(pictures))))
    return pc.or_(stems, pc.is_in(bare, value_set=pictures))


def _place(picture: bytes, form: int) -> bytes:
    return (picture if form % 2 else picture_stem(picture)) + SUFFIXES[form // 2].encode()


def _column(names: Iterable[bytes]) -> pa.ChunkedArray:
    column = Column(pa.binary())
    for name in names:
        column.append(name)
    return column.array()
