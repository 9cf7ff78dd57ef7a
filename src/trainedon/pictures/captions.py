"""What pictures are called in words: where their captions are looked for, and what counts as one."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from posixpath import dirname, join, normpath

import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import PictureError, UserError
from trainedon.pictures.columns import Column, each
from trainedon.pictures.names import raw, spelled
from trainedon.pictures.stores import File, Place

MOST = 10_000  # characters; what is longer is no caption
MOST_BYTES = 2**20  # of a file of text
COLUMNS = ("caption", "text")  # in tables, and in METADATA
METADATA = "metadata.jsonl"  # of Hugging Face's imagefolder
SUFFIX = ".txt"


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


def read_beside(place: Place, path: str) -> str | None:
    """The caption in a file of its own. Raises PictureError as `decoded` does, and when it cannot be read."""
    try:
        data = place.read(path, MOST_BYTES)
    except PictureError as error:
        raise PictureError(f"caption: {error}") from None
    return decoded(data)


def beside(name: str) -> str:
    """Where the caption of a picture file would be, were it in a file of its own."""
    return name.rpartition(".")[0] + SUFFIX


def told(place: Place, folder: str, listed: Iterable[bytes], pictures: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """What the METADATA files of a folder say about its pictures: string (n,), null where they are silent.

    listed: the names of these files; pictures: those of the pictures, binary (n,); all relative to the folder. Of
    several captions of a picture the first counts, in the file that lies nearest to it. None where there is no file.
    Raises UserError, with the line, where a file is not what it should be.
    """
    nearest_first = sorted(listed, key=lambda name: (-name.count(b"/"), name))
    if not nearest_first:
        return None
    names, captions = Column(pa.binary()), Column(pa.string())
    for metadata in nearest_first:
        path = spelled(metadata)
        for name, caption in _lines(File.at(place, place.within(folder, path))):
            names.append(raw(normpath(join(dirname(path), name))))
            captions.append(caption)
    return captions.array().take(pc.index_in(pictures, value_set=names.array()))


def _lines(file: File) -> Iterator[tuple[str, str]]:
    """(name of a picture, its caption), for each line that has both."""
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


def have_beside(pictures: pa.ChunkedArray, texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which pictures, binary (n,), have one of the files of text, binary (k,), beside them: bool (n,)."""
    wanted = Column(pa.binary())
    for name in each(pictures):
        wanted.append(name.rpartition(b".")[0] + SUFFIX.encode())
    return pc.is_in(wanted.array(), value_set=texts)
