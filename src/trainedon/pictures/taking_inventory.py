"""The inventory: every picture of a source is read and decoded once, measured, and told from its copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from trainedon.errors import PictureError, UserError
from trainedon.pictures.examining import CHUNK, Examination, Examiners, statistics
from trainedon.pictures.inventory import Inventory, Item
from trainedon.pictures.listing.captions import paragraph
from trainedon.pictures.listing.columns import repeated
from trainedon.pictures.listing.entries import BLANK, Listing
from trainedon.pictures.pixels.picture import Entry, unpack
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering
from trainedon.pictures.worker_processes import WorkerProcesses

_AMONG = {"suspect": "also among the suspects", "member": "also among the members"}


def take_inventory(
    entries: Sequence[Entry],
    set_name: str,
    progress: Callable[[int, int], None] | None = None,
    caption: str | None = None,
    rendering: Rendering = DEFAULT,
    source_of: Callable[[Entry], str | None] = lambda entry: None,
    examiners: Examiners | None = None,
) -> Inventory:
    """Read and decode every picture of a source once. entries: as `scan` gives them.

    set_name: `suspect`, `unseen` or `member`. progress: called with (done, total) after each picture.
    caption: of all pictures, whatever their source says; None for what it says. Raises PictureError for one that is no
    caption. rendering: how they are decoded; statistics are those of the pixels that it gives.
    source_of: whose work each picture is. examiners: who reads them, which changes nothing else; None: this machine's
    cores.
    Pictures that cannot be used stay in the list, with the reason; of exact duplicates the first is used. Blank
    captions are counted in what `entries` say of their source.
    """
    caption = None if caption is None else paragraph(caption) or ""
    examine = Examination(set_name, caption, rendering)
    items = Inventory.of(_examined(entries, examine, progress, source_of, examiners or WorkerProcesses()))
    if caption is None and isinstance(entries, Listing):
        entries.passed.companions[BLANK] = _blank(items, entries)
    names = items.column("picture")
    reasons: dict[int, str] = {}
    for first, *copies in repeated(items.column("sha256"), items.usable):
        reasons |= dict.fromkeys(copies, f"exact duplicate of {names[first].as_py()}")
    return items.replaced("reason", reasons)


def _blank(items: Inventory, entries: Sequence[Entry]) -> int:
    """How many usable pictures have a file for their caption without a word in it."""
    rows = zip(items.values("reason"), items.values("caption"), entries, strict=True)
    return sum(reason is None and words is None and entry.worded for reason, words, entry in rows)


def _examined(
    entries: Sequence[Entry],
    examine: Examination,
    progress: Callable[[int, int], None] | None,
    source_of: Callable[[Entry], str | None],
    examiners: Examiners,
) -> Iterator[Item]:
    chunks = (
        tuple(entries[i] for i in range(start, min(start + CHUNK, len(entries))))
        for start in range(0, len(entries), CHUNK)
    )
    found = chain.from_iterable(examiners.examined(chunks, examine))
    for done, (entry, item) in enumerate(zip(entries, found, strict=True), start=1):
        yield replace(item, source=source_of(entry))
        if progress is not None:
            progress(done, len(entries))


def restated(items: Inventory, entries: Sequence[Entry], places: Iterable[int], rendering: Rendering) -> Inventory:
    """The same, but that size and statistics of the pictures at some places are those of another rendering.

    entries: where to read each item. Raises UserError when a picture can no longer be read.
    """
    changed: dict[str, dict[int, object]] = {}
    for place in places:
        try:
            rgb, facts = unpack(entries[place].data(), rendering)
        except PictureError as error:
            raise UserError(
                f"{entries[place].name} could be read at first and cannot now ({error}): run again"
            ) from None
        seen = {name: facts[name] for name in ("width", "height")} | statistics(rgb)
        for name, value in seen.items():
            changed.setdefault(name, {})[place] = value
    for name, values in changed.items():
        items = items.replaced(name, values)
    return items


def cross_duplicates(items: Iterable[Item]) -> Inventory:
    """Set aside every usable unseen picture that is, byte for byte, among the suspects or the members too.

    items: those of all sets. Returns them in the same order; a picture known to be given is no unseen picture.
    """
    items = Inventory.of(items)
    sets = items.column("set")
    reasons: dict[int, str] = {}
    for places in repeated(items.column("sha256"), items.usable):
        named = {place: sets[place].as_py() for place in places}
        given = [name for name in named.values() if name in _AMONG]
        if given:
            reasons |= {place: _AMONG[given[-1]] for place, name in named.items() if name == "unseen"}
    return items.replaced("reason", reasons)
