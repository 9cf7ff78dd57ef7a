"""Features of a sample of a run's pictures (`looks.parquet`), by an encoder that has nothing to do with the model.

They serve to find near-duplicates, and to test whether the sets differ without the model. For the second the same
pictures are also described without an encoder, which does not see small shifts, noise or other levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from trainedon import run_files
from trainedon.attacks import Progress
from trainedon.compare.efficientnet import PACKAGES, EfficientNetLite0, feature_maps
from trainedon.formats.arrow_schemas import FEATURES, LOOKS, MIRRORED, SIDES, written
from trainedon.pictures import Entry, Item, fit
from trainedon.pictures.appearance import layout
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering
from trainedon.pictures.traces import borders, fringes, grain, levels, thumbnail
from trainedon.runs.scoring.scorer import read_again
from trainedon.vision.vit import ROWS

MOST = 1024  # pictures of each set
SIDE = 128  # pixels; 224 costs five times as much and finds few more copies
BUILT_IN = "layout"
# (pictures uint8 (h, w, 3), of which of them the mirror images are asked for) -> of each its vector and that of its
# mirror image, or None
Encode = Callable[[Iterable[np.ndarray], Sequence[bool]], list[tuple[np.ndarray, np.ndarray | None]]]
LOOKED_AT = {
    "layout": layout,
    "thumbnail": thumbnail,
    "grain": grain,
    "levels": levels,
    "borders": borders,
    "fringes": fringes,
}


def write_features(
    items: Sequence[Item],
    entries: Sequence[Entry],
    out: Path,
    progress: Progress,
    rendering: Rendering = DEFAULT,
) -> None:
    """Write features of the first MOST usable pictures of each set, by sha256, to `out/looks.parquet`, if not there.

    items: the inventory of all sets. entries: where to read each of them; one picture is held at a time.
    The file's metadata name the encoder: EfficientNet-Lite0 where it is installed, else the built-in descriptor. The
    first also sees the mirror images of suspects and members, which says whether these can be told from the pictures.
    Raises UserError when a picture is no longer what it was when the inventory was taken.
    """
    path = out / run_files.LOOKS
    if path.exists():
        return
    name, encode = encoder()
    chosen = _chosen(items)
    features: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
    looks: dict[int, dict[str, np.ndarray]] = {}

    def looked_at(place: int) -> np.ndarray:
        rgb = read_again(items[place], entries[place], rendering).rgb
        looks[place] = {column: look(rgb) for column, look in LOOKED_AT.items()}
        return rgb

    for places in _parts(sorted(chosen)):  # as they are stored, since some sources are only read forward
        asked = [items[place].set != "unseen" for place in places]
        features |= zip(places, encode(map(looked_at, places), asked), strict=True)
        progress("looking at pictures", len(features), len(chosen))
    rows = [
        {"set": item.set, "picture": item.picture, "sha256": item.sha256, **looks[i]}
        | dict(zip(("features", "mirrored"), features[i], strict=True))
        for i, item in ((i, items[i]) for i in chosen)
    ]
    schema = pa.schema([*FEATURES, *LOOKS, *SIDES, *(() if name == BUILT_IN else MIRRORED)], {"encoder": name})
    with written(path, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _parts(places: Sequence[int]) -> Iterator[Sequence[int]]:
    return (places[start : start + ROWS] for start in range(0, len(places), ROWS))


def _chosen(items: Sequence[Item]) -> list[int]:
    """Places in `items`, set by set: by digest, which has nothing to do with names or content."""
    found: dict[str, list[tuple[str, str, int]]] = {}
    for i, item in enumerate(items):
        if item.reason is None:
            names = found.setdefault(item.set, [])
            names.append((str(item.sha256), item.picture, i))
            if len(names) == 2 * MOST:  # no more are held than are needed
                names[:] = sorted(names)[:MOST]
    return [i for names in found.values() for *_, i in sorted(names)[:MOST]]


def encoder() -> tuple[str, Encode]:
    """Its name, and what turns a few pictures into vectors."""
    if all(find_spec(package) for package in PACKAGES):
        return EfficientNetLite0.name, _efficientnet
    return BUILT_IN, lambda pictures, asked: [(layout(rgb), None) for rgb in pictures]


def _efficientnet(pictures: Iterable[np.ndarray], asked: Sequence[bool]) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Mean features over the whole picture, float32 (1280,) each, on the processor whatever the model runs on."""
    pixels = torch.stack([fit(rgb, (SIDE, SIDE), 3) for rgb in pictures])
    own = feature_maps(pixels).mean(dim=(2, 3)).numpy()
    mirrored = iter(feature_maps(pixels[torch.tensor(asked)].flip(-1)).mean(dim=(2, 3)).numpy() if any(asked) else ())
    return [(row, next(mirrored) if is_asked else None) for row, is_asked in zip(own, asked, strict=True)]
