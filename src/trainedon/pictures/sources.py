"""A path or URL -> entries in a fixed order. Nothing is decoded here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from trainedon.errors import PictureError, UserError
from trainedon.formats.reasons import PASSED
from trainedon.pictures.containers.shards import Shards, distinctly_named
from trainedon.pictures.folders import TABLES, FolderContents, contents, found_captions, note_repeats
from trainedon.pictures.listing import captions
from trainedon.pictures.listing.columns import each
from trainedon.pictures.listing.entries import METADATA, Listing, Passed, Single
from trainedon.pictures.listing.metadata import CaptionColumns, Metadata
from trainedon.pictures.pixels.names import has, is_picture, is_text, number, raw, spelled, text
from trainedon.pictures.pixels.picture import Entry
from trainedon.pictures.pixels.sniffing import OUTSIDE, Seems, seems, unreadable
from trainedon.pictures.places.disk import Disk
from trainedon.pictures.places.ours import EVIDENCE, MARKS, OWN_MIXED, made_here, seems_own
from trainedon.pictures.places.stores import File, Place, locate, shown


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
        return self.told if self.words is None else captions.read_sidecar(self.place, self.words)

    @property
    def shared(self) -> bool:
        return self.place.shared

    @property
    def worded(self) -> bool:
        return self.words is not None


@dataclass(frozen=True)
class _Folder:
    """The picture files of a folder. names: binary, relative to it. forms: int8, which of the places of `captions`
    holds its own caption, null for none; told: string, the captions that other files name. None where there are none.
    """

    place: Place
    path: str
    names: pa.ChunkedArray
    forms: pa.ChunkedArray | None
    told: pa.ChunkedArray | None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: int, /) -> FileEntry:
        name = self.names[place].as_py()
        path = self.place.within(self.path, spelled(name))
        form = None if self.forms is None else self.forms[place].as_py()
        words = None if form is None else captions.beside(path)[form]
        told = None if self.told is None else self.told[place].as_py()
        return FileEntry(text(name), _label(text(name)), self.place, path, words, told)

    def each_name(self) -> Iterator[str]:
        """The names of all entries."""
        return map(text, each(self.names))

    def apart(self) -> _Folder:
        """The same: paths tell pictures apart."""
        return self

    def first(self, limit: int | None) -> _Folder:
        """The first of them."""
        forms, told = (None if column is None else column[:limit] for column in (self.forms, self.told))
        return replace(self, names=self.names[:limit], forms=forms, told=told)

    def without(self) -> Iterator[bool]:
        """For each picture, whether it has no caption."""
        columns = (repeat(None, len(self)) if column is None else each(column) for column in (self.forms, self.told))
        return (form is None and told is None for form, told in zip(*columns, strict=True))


def scan(source: str | Path, limit: int | None = None, follow_links: bool = False) -> Listing:
    """List the pictures of a folder, a parquet, `.npz` or `.tar` file or a picture file: the first `limit` in order.

    source: a local path, or a URL that fsspec reads. A folder is walked through with its sub-folders, sorted by name.
    Links within it are followed once, those that lead out of it only with `follow_links`. What this program wrote (a
    run, a draw, a model) is left out where it lies below the source. What is a picture is known by its suffix or else
    by its first bytes. Behind the picture files come the rows of the parquet and `.npz` files and the members of the
    `.tar` files in it, in their own order. Everything else is counted, by what it seems to be, in `Listing.passed`.
    A picture directly inside a sub-folder whose name is a number takes it as its label, which may be something else
    than a class: `runs.labels` decides. The caption of `NAME.png` is the text of `NAME.txt`, `NAME.png.txt`,
    `NAME.caption` or `NAME.png.caption` beside it, or else what a `metadata.jsonl`, `metadata.csv` or a table without
    pictures says, in the folder or above the picture.
    Raises UserError when there is nothing to list, two pictures have one name, something may not be read, or what reads
    the URL is not installed.
    """
    if limit is not None and limit < 1:
        raise UserError(f"a limit of {limit} pictures leaves nothing to look at; give 1 or more")
    where = shown(source)
    try:
        entries = _scan(*locate(source), where, limit, follow_links)
    except FileNotFoundError:
        raise UserError(f"{where} does not exist; check the spelling") from None
    except PermissionError as error:
        raise UserError(f"no permission to read {error.filename or where}; ask its owner for access") from None
    except OSError as error:
        raise UserError(f"{where} cannot be read ({error.strerror or error}); check the path") from None
    if not entries:
        raise UserError(f"{where} holds no rows; give a table that has pictures in it")
    return entries[:limit]


def _scan(place: Place, path: str, where: str, limit: int | None, follow: bool) -> Listing:
    if place.is_folder(path):
        if isinstance(place, Disk) and not follow:
            place = Disk(os.path.realpath(path))
        _refuse_own(place, path, where)
        return _scan_folder(place, path, where, limit)
    name, passed = Path(shown(path)).name, Passed()
    if has(name, *TABLES):
        shards = Shards([(raw(name), File.at(place, path))], passed)
        listing = Listing(*shards.listed(limit), passed=passed)
        if not listing and (refusal := shards.refusal()):
            raise refusal
        return listing
    if not is_picture(name):
        what = _look(place, path, name)
        if not what.picture:
            seen = what.reason.removeprefix(PASSED)
            raise UserError(
                f"{where} is no picture, parquet, .npz or .tar file, but seems to be: {seen}; "
                "give one of these, or a folder of pictures"
            )
    words = None
    for beside in captions.beside(path):
        if _is_there(place, beside):
            if follow or not _leads_out(place, beside, path):
                words = beside
                break
            passed.over(text(raw(Path(beside).name)), OUTSIDE)
    return Listing(Single(FileEntry(text(raw(name)), None, place, path, words)), passed=passed)


def _refuse_own(place: Place, folder: str, where: str) -> None:
    """Raise UserError for a run and its evidence, which is none of anybody's pictures, and for a draw, whose two halves
    are not one set."""
    if not isinstance(place, Disk):
        return
    here = Path(folder).absolute()
    for above in (here, *(one.parent for one in (here, here.parent) if one.name == EVIDENCE)):
        own = made_here(MARKS, _heads(place, above))
        if own in OWN_MIXED and (above == here or own == OWN_MIXED[0]):
            within = "is" if above == here else "lies in"
            raise UserError(f"{where} {within} a {seems_own(own).kind}: {seems_own(own).remedy}")


def _leads_out(place: Place, file: str, beside: str) -> bool:
    """Whether a file on this disk is a link out of the folder in which it lies beside another one."""
    folder = os.path.realpath(Path(beside).parent)
    return isinstance(place, Disk) and not Path(os.path.realpath(file)).is_relative_to(folder)


def _look(place: Place, path: str, name: str) -> Seems:
    try:
        return seems(place.head(path), name)
    except PictureError as error:
        return unreadable(str(error))


def _scan_folder(place: Place, folder: str, where: str, limit: int | None) -> Listing:
    holds = contents(place, folder)
    passed = holds.passed
    shards = Shards(
        [(name, File.at(place, place.within(folder, spelled(name)))) for name in each(holds.tables)], passed
    )
    parts: list[Listing] = []
    if len(holds.pictures):
        parts.append(Listing(_pictures(place, folder, holds, shards).first(limit)))
    parts += shards.listed(None if limit is None else limit - sum(map(len, parts)))
    shards.account(holds.pictures)
    if not parts:
        raise _no_pictures(where, shards, passed)
    if len(parts) > 1 or not all(map(is_text, each(holds.pictures))):
        parts = list(distinctly_named(parts))
    return Listing(*parts, passed=passed)


def _pictures(place: Place, folder: str, holds: FolderContents, shards: Shards) -> _Folder:
    forms, told = found_captions(holds), CaptionColumns()
    files = [Metadata(text(name), File.at(place, place.within(folder, spelled(name)))) for name in each(holds.metadata)]
    told.read([*files, *shards.metadata(holds.pictures)])
    holds.passed.companions[METADATA] += len(files)
    found = _Folder(place, folder, holds.pictures, forms, told.of(holds.pictures, forms))
    note_repeats(holds.pictures, found.without(), holds.passed)
    return found


def _no_pictures(where: str, shards: Shards, passed: Passed) -> UserError:
    """Why there is nothing to list: what the folder holds instead."""
    if links := passed.kinds[OUTSIDE.kind]:
        told = f"{links} {'link leads' if links == 1 else 'links lead'} out of it"
        return UserError(f"{where} holds no picture of its own; {told}: add --follow-links if that is meant")
    held = [(kind, n) for kind, n, _ in passed.groups() if kind in passed.remedies]
    refusal = shards.refusal()
    if refusal is not None:
        return refusal
    if held:
        kinds = ", ".join(f"{n} {kind}{' files' if n > 1 else ''}" for kind, n in held)
        return UserError(f"{where} holds {kinds} and no picture that can be opened; {passed.remedies[held[0][0]]}")
    return UserError(
        f"{where} holds no pictures; give a folder with JPEG, PNG, WebP, GIF, BMP or TIFF files, "
        "or a parquet, .npz or .tar file"
    )


def _heads(place: Place, folder: Path) -> Callable[[str], bytes]:
    return lambda name: place.head(str(folder / name))


def _is_there(place: Place, path: str) -> bool:
    try:
        return not place.is_folder(path)
    except (OSError, UserError):  # some web servers have other answers than that there is none
        return False


def _label(name: str) -> int | None:
    return number(name.rpartition("/")[0].rpartition("/")[2])
