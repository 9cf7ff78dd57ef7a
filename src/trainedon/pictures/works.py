"""Whose work a picture is: pictures of one source have more in common than others, and count together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

from trainedon.errors import UserError, meant
from trainedon.pictures.pixels.picture import Entry
from trainedon.pictures.places.stores import shown

SourceFrom = Literal["folder", "column"]
LONGEST = 500  # characters
TOLD = 5  # sources that are named in a note


def known_source(asked: str) -> SourceFrom:
    """A value of `--source-from`. Raises UserError for one that there is not."""
    known: tuple[SourceFrom, ...] = get_args(SourceFrom)
    for one in known:
        if one == asked:
            return one
    raise UserError(f"--source-from {asked!r} is not known{meant(asked, known)}: choose from {', '.join(known)}")


def source_of(asked: SourceFrom | None, where: str | Path) -> Callable[[Entry], str | None]:
    """What tells the source of each picture of a set.

    where: the set's path or URL. `folder`: the first folder below it; of pictures directly in it, its own name.
    `column`: what a parquet table says in a column `source`, `artist` or `author`. None: nothing.
    """
    if asked == "folder":
        root = _named(Path(shown(where)))
        return lambda entry: (entry.name.partition("/")[0] if "/" in entry.name else root)[:LONGEST]
    if asked == "column":
        return lambda entry: (entry.source or "").strip()[:LONGEST] or None
    return lambda entry: None


def in_both(suspects: Iterable[str | None], unseen: Iterable[str | None]) -> str | None:
    """A note of the sources that are in both sets, or None: of folders in two places the names alone are compared."""
    both = sorted({one for one in suspects if one} & {*unseen})
    if not both:
        return None
    more = f" and {len(both) - TOLD} others" if len(both) > TOLD else ""
    named = ", ".join(repr(name)[1:-1] for name in both[:TOLD]) + more
    return f"sources in both sets, taken for the same: {named}; rename their folders if they are not"


def _named(path: Path) -> str:
    """The name of a folder, also where it is given as `.` or `..`."""
    return path.name if path.name not in ("", "..") else path.resolve().name or "/"
