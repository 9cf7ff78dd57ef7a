"""What is in a folder: picture files, files that hold many, what belongs to them, and everything else by what it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import PictureError
from trainedon.pictures.listing import captions
from trainedon.pictures.listing.columns import Column, each
from trainedon.pictures.listing.entries import DATA, READ, Passed
from trainedon.pictures.listing.metadata import FILES, SHEET, misfit
from trainedon.pictures.listing.strays import SECOND
from trainedon.pictures.pixels.names import (
    ARRAYS,
    COMPRESSED_TARS,
    PARQUET,
    TAR,
    has,
    is_picture,
    is_text,
    raw,
    spelled,
    text,
)
from trainedon.pictures.pixels.sniffing import (
    BLANK,
    BROKEN,
    HIDDEN,
    HIDDEN_FOLDER,
    NO_FILE,
    OUTSIDE,
    TOO_DEEP,
    UNASKED,
    Seems,
    by_suffix,
    seems,
    unreadable,
)
from trainedon.pictures.places import disk
from trainedon.pictures.places.disk import Disk
from trainedon.pictures.places.ours import OWN, seems_own
from trainedon.pictures.places.stores import Place

TABLES = (PARQUET, ARRAYS, TAR, *COMPRESSED_TARS)
# what is passed over for what it is, whatever it is called
_PASSED = {disk.BROKEN: BROKEN, disk.OTHER: NO_FILE, disk.OUTSIDE: OUTSIDE, disk.TOO_DEEP: TOO_DEEP}
_PASSED |= {kind: seems_own(kind) for kind in OWN}
_SORTS = ("picture", "table", "metadata", "text", "sidecar", "unknown", disk.HIDDEN, *_PASSED)
MOST_ASKED = 1000  # files of a store that are looked into, each of them a request
_SIDECARS = (".json", ".xmp", ".xml", ".yaml", ".yml")  # not read
_REPEATS = re.compile(r"\d+_.*[^\W\d_].*")  # how kohya's trainer has folders called: 10_sks dog


@dataclass
class FolderContents:
    """What a folder holds, by names relative to it, sorted. texts: those that lie beside pictures."""

    pictures: pa.ChunkedArray  # binary
    tables: pa.ChunkedArray  # binary
    metadata: pa.ChunkedArray  # binary
    texts: pa.ChunkedArray  # binary
    passed: Passed


def _walked(place: Place, folder: str) -> dict[str, Column]:
    """The names of everything in a folder, binary, by what they say: one of _SORTS."""
    found = {sort: Column(pa.binary()) for sort in _SORTS}
    for name, kind in place.walk(folder):
        found[_sort(name, kind)].append(raw(name))
    return found


def _sort(name: str, kind: str) -> str:
    if kind in (disk.HIDDEN, disk.OUTSIDE, disk.TOO_DEEP, *OWN):
        return kind
    if is_picture(name):
        return "picture"
    if kind != disk.FILE:
        return kind
    if has(name, *TABLES):
        return "table"
    if name.rpartition("/")[2] in FILES:
        return "metadata"
    if name.endswith(captions.SUFFIXES):
        return "text"
    return "sidecar" if has(name, *_SIDECARS) else "unknown"


class _Looker:
    """Looks into files whose names do not say that they are pictures."""

    def __init__(self, place: Place, folder: str, passed: Passed) -> None:
        self._place, self._folder, self._passed = place, folder, passed
        self._asked = 0

    def pictures(self, names: Iterable[bytes]) -> list[bytes]:
        """Those that are pictures; the others are passed over."""
        found = []
        for name in names:
            what = self._look(spelled(name))
            if what.picture and text(name).strip():
                found.append(name)
            else:
                self._passed.over(text(name), BLANK if what.picture else what)
        return found

    def _look(self, name: str) -> Seems:
        told = by_suffix(name)
        if not isinstance(self._place, Disk):  # each look is a request
            self._asked += told is None
            if told is not None or self._asked > MOST_ASKED:
                return told or UNASKED
        try:
            return seems(self._place.head(self._place.within(self._folder, name)), name)
        except PictureError as error:
            return unreadable(str(error))


def contents(place: Place, folder: str) -> FolderContents:
    """Go through a folder. Raises OSError or UserError where that cannot be done."""
    walked, passed = _walked(place, folder), Passed()
    kept = {sort: in_order(column.array()) for sort, column in walked.items() if sort != "picture"}
    for name in each(kept[disk.HIDDEN]):
        passed.over(text(name), HIDDEN_FOLDER if name.endswith(b"/") else HIDDEN)
    for kind, what in _PASSED.items():
        for name in each(kept[kind]):
            passed.over(text(name), what)
    pictures, looker = walked["picture"], _Looker(place, folder, passed)
    for name in looker.pictures(each(kept["unknown"])):
        pictures.append(name)
    known = pictures.array()
    texts, lonely = _parted(kept["text"], known)
    sidecars, others = _parted(kept["sidecar"], known)
    passed.companions[DATA] += len(sidecars)
    for names in (lonely, others):
        for name in looker.pictures(each(names)):
            pictures.append(name)
    metadata = Column(pa.binary())
    for name in each(kept["metadata"]):
        if _tells(place, folder, name, passed):
            metadata.append(name)
    return FolderContents(in_order(pictures.array()), kept["table"], metadata.array(), texts, passed)


def found_captions(holds: FolderContents) -> pa.ChunkedArray | None:
    """Which of `captions.beside` each picture's caption is, int8 (n,), null for none; None where none has any."""
    if not len(holds.texts):
        return None
    sought = captions.sought(holds.pictures, holds.texts)
    holds.passed.companions[READ] += pc.sum(sought.read).as_py() or 0
    for name in each(holds.texts.filter(pc.invert(sought.read))):
        holds.passed.over(text(name), SECOND)
    return sought.forms


def note_repeats(pictures: pa.ChunkedArray, without: Iterable[bool], passed: Passed) -> None:
    """Say that folders called as kohya's trainer has them were not taken for captions, where pictures have no other.

    without: for each picture, whether it has none.
    """
    folders: dict[str, None] = {}
    for name, bare in zip(each(pictures), without):
        folder = text(name).rpartition("/")[0].rpartition("/")[2]
        if bare and folder not in folders and _REPEATS.fullmatch(folder):
            folders[folder] = None
    if folders:
        first = next(iter(folders))
        more = f" and {len(folders) - 1} more" if len(folders) > 1 else ""
        passed.notes.append(
            f"folder names such as {first!r}{more} were not read as captions: "
            f"if they are, give --caption {first.partition('_')[2]!r}, or a file of text beside each picture"
        )


def in_order(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """By how they are shown: another order than that of the bytes where a name is no text."""
    order: Sequence[int] | np.ndarray = np.asarray(pc.sort_indices(names))
    if not all(map(is_text, each(names))):
        order = sorted(order, key=lambda place: text(names[int(place)].as_py()))
    found = Column(names.type)
    for place in order:
        found.append(names[int(place)].as_py())
    return found.array()


def _parted(files: pa.ChunkedArray, pictures: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Files that lie beside a picture, and the others."""
    if not len(files):
        return files, files
    beside = captions.are_beside_pictures(files, pictures)
    return files.filter(beside), files.filter(pc.invert(beside))


def _tells(place: Place, folder: str, name: bytes, passed: Passed) -> bool:
    """Whether a file of metadata can name captions; one that cannot is passed over."""
    path = spelled(name)
    what = misfit(place, place.within(folder, path)) if path.endswith(SHEET) else None
    if what is not None:
        passed.over(text(name), what)
    return what is None
