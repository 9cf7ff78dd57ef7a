"""The inventory: every picture of a source is read and decoded once, measured, and told from its copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from trainedon.errors import PictureError, UserError
from trainedon.pictures.appearance import detail, jpeg_trace, perceptual_hash
from trainedon.pictures.items import Inventory, Item
from trainedon.pictures.listing.captions import paragraph
from trainedon.pictures.listing.columns import repeated
from trainedon.pictures.listing.entries import BLANK, Listing
from trainedon.pictures.pixels.picture import Entry, digest, unpack
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering

_SHARPNESS_SIDE = 256  # pixels
_LEVELS = np.arange(256) / 255
_AMONG = {"suspect": "also among the suspects", "member": "also among the members"}


def take_inventory(
    entries: Sequence[Entry],
    set_name: str,
    progress: Callable[[int, int], None] | None = None,
    caption: str | None = None,
    rendering: Rendering = DEFAULT,
    source_of: Callable[[Entry], str | None] = lambda entry: None,
) -> Inventory:
    """Read and decode every picture of a source once. entries: as `scan` gives them.

    set_name: `suspect`, `unseen` or `member`. progress: called with (done, total) after each picture.
    caption: of all pictures, whatever their source says; None for what it says. Raises PictureError for one that is no
    caption. rendering: how they are decoded; statistics are those of the pixels that it gives.
    source_of: whose work each picture is.
    Pictures that cannot be used stay in the list, with the reason; of exact duplicates the first is used. Blank
    captions are counted in what `entries` say of their source.
    """
    caption = None if caption is None else paragraph(caption) or ""
    items = Inventory.of(_examined(entries, set_name, progress, caption, rendering, source_of))
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
    set_name: str,
    progress: Callable[[int, int], None] | None,
    caption: str | None,
    rendering: Rendering,
    source_of: Callable[[Entry], str | None],
) -> Iterator[Item]:
    for done, entry in enumerate(entries, start=1):
        yield replace(_examine(entry, set_name, caption, rendering), source=source_of(entry))
        if progress is not None:
            progress(done, len(entries))


def _examine(entry: Entry, set_name: str, caption: str | None, rendering: Rendering) -> Item:
    sha256, label_from = None, None if entry.label is None else entry.label_from
    try:
        data = entry.data()
        sha256 = digest(data)
        rgb, facts = unpack(data, rendering)
        caption = entry.caption if caption is None else caption
    except PictureError as error:
        return Item(entry.name, sha256, set_name, entry.label, reason=str(error), label_from=label_from)
    measured: dict[str, Any] = {"alpha": False} | facts | statistics(rgb)
    return Item(entry.name, sha256, set_name, entry.label, **measured, caption=caption, label_from=label_from)


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


def statistics(rgb: np.ndarray) -> dict[str, float | str | None]:
    """Colour statistics from the histogram (exact, and small for a large picture), sharpness, and looks."""
    # first, since each of them holds copies of a large picture while it works
    appearance = {"phash": perceptual_hash(rgb), "jpeg_trace": jpeg_trace(rgb), "detail": detail(rgb)}
    image = Image.fromarray(rgb)
    counts = np.array(image.histogram(), dtype=np.float64).reshape(3, 256)
    pixels = rgb.shape[0] * rgb.shape[1]
    mean = counts @ _LEVELS / pixels
    variance = (counts * (_LEVELS - mean[:, None]) ** 2).sum(axis=1) / pixels
    named = {f"mean_{channel}": float(value) for channel, value in zip("rgb", mean)}
    named |= {f"std_{channel}": float(value) for channel, value in zip("rgb", np.sqrt(variance))}
    return named | {"sharpness": _sharpness(image)} | appearance


def _sharpness(image: Image.Image) -> float:
    grey = image.convert("L")
    longer = max(grey.size)
    if longer > _SHARPNESS_SIDE:
        width, height = (max(1, round(side * _SHARPNESS_SIDE / longer)) for side in grey.size)
        grey = grey.resize((width, height), Image.Resampling.LANCZOS)
    x = np.zeros((grey.height + 2, grey.width + 2))
    x[1:-1, 1:-1] = np.asarray(grey)
    x[0], x[-1], x[:, 0], x[:, -1] = x[1], x[-2], x[:, 1], x[:, -2]  # the edge goes on outside
    laplacian = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]
    return float(laplacian.var())


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
