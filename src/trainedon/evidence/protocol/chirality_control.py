"""The control of the mirror test: can the suspects be told from their mirror images without the model?

Text, digits and clocks can, and so can pictures that were handled in one way, such as cut to the left edge. A model
that never saw them then knows them better than their mirror images too.
"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np
from scipy.stats import norm

from trainedon.evidence.protocol.documents import Chirality, ChiralityView
from trainedon.evidence.protocol.picture_views import BORDERS, COMPOSITION, PLACE, RIDGE, shapes, stacked
from trainedon.evidence.protocol.power import POWER
from trainedon.evidence.statistics.chirality import FOLDS, chirality_test
from trainedon.evidence.table.clusters import ENCODER
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.deduplicate import near_duplicate_clusters
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.picture_table import Pictures, PictureTable

LEVEL = 0.05  # higher would be more cautious, and spoil more honest tests
SHOW = "what they show"
LEAN, BEND = "which way lines lean", "which way lines bend"
# Of runs that store fringes; older ones are looked at as they were.
LIE, FRINGES = "which way they lie or are lit", "fringes"
STEPS = (1, 2, 4)  # pixels of the thumbnail
DIRECTIONS, REVERSED = slice(64, 192), -np.arange(8) % 8  # of gradients in a layout, and which becomes which
AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]


def chirality(
    pictures: Pictures | PictureTable | None, features: FeatureTable | None, set_name: str = "suspect"
) -> Chirality | None:
    """The usable pictures of `set_name` against their mirror images, of near-duplicates one; None where nothing is
    stored of how they look, or of fewer than five.

    pictures: the inventory. features: `looks.parquet`, whose pictures are looked at. The result does not depend on the
    order of the pictures in these.
    """
    if pictures is None or features is None or not features.looks:
        return None
    listed = pictures if isinstance(pictures, PictureTable) else PictureTable.read(pictures)
    keys = _chosen(listed, features, set_name)
    if len(keys) < FOLDS:
        return None
    views = handed_views(features, keys)
    found, p_value = chirality_test([*views.values()])
    # correction over the views costs no more than testing each at a part of the level
    reach = float(norm.isf(LEVEL / len(found)) + norm.ppf(POWER)) * max(view.spread for view in found)
    return Chirality(
        n=len(keys),
        views=tuple(
            ChiralityView(name=name, share=view.share, p_value=view.p_value)
            for name, view in zip(views, found, strict=True)
        ),
        p_value=p_value,
        level=LEVEL,
        finds=p_value <= LEVEL,
        detectable=float(norm.cdf(reach)),
    )


def _chosen(listed: PictureTable, features: FeatureTable, set_name: str) -> list[tuple[str, str]]:
    """The keys of the pictures that count, in the order of their digests, which has nothing to do with content."""
    among = listed.in_sets([set_name]) & listed.usable
    cluster = near_duplicate_clusters(listed, among, features)
    seen = dict(zip(features.vectors, listed.find(features.vectors).tolist(), strict=True))
    keys = [key for key, row in seen.items() if row != MISSING and among[row]]
    digest = {key: int(listed.sha256[seen[key]]) for key in keys}
    keys.sort(key=lambda key: (digest[key], key))
    first: dict[int, tuple[str, str]] = {}
    for number, key in enumerate(keys):
        own = int(cluster[seen[key]])
        first.setdefault(-1 - number if own == MISSING else own, key)
    return [*first.values()]


def handed_views(features: FeatureTable, keys: list[tuple[str, str]]) -> dict[str, np.ndarray]:
    """Every stored description of these pictures minus that of their mirror images: float64 (n, d) each, by name.

    Mirroring a picture and describing it is the same as changing the description, so that only an encoder has to see
    the mirror image itself.
    """
    looks = {column: stacked(rows, keys).astype(float) for column, rows in features.looks.items()}
    grey = shapes(looks["thumbnail"]).reshape(len(keys), *[math.isqrt(looks["thumbnail"].shape[1])] * 2)
    views = {
        PLACE: (grey - grey[:, :, ::-1])[:, :, : grey.shape[2] // 2].reshape(len(keys), -1),
        COMPOSITION: looks["layout"] - mirrored_layout(looks["layout"]),
        LEAN: leans(looks["layout"]),
        BEND: bends(grey),
        BORDERS: looks["borders"][:, [4, 5]] - looks["borders"][:, [6, 7]],
    }
    if FRINGES in looks:
        views |= {LIE: lies(grey), FRINGES: 2 * looks[FRINGES]}
    if features.encoder == ENCODER and all(key in features.mirrored for key in keys):
        views[SHOW] = stacked(features.vectors, keys).astype(float) - stacked(features.mirrored, keys)
    return views


def lies(grey: np.ndarray) -> np.ndarray:
    """How far each picture lies to one side, and is lit from one: float64 (n, 3), the other sign for mirror images.

    grey: as `shapes` gives it, float64 (n, side, side). To first order a move adds the mean derivative of the pictures
    to a picture's difference to its mirror image, and light from one side adds a ramp, or one times the picture. Each
    is looked for by the filter that tells it best from how these differences vary otherwise (as in
    `picture_views.position`), the picture itself left out: few pictures show what a classifier would have to learn
    from many.
    """
    n, side = len(grey), grey.shape[2]
    half = slice(0, side // 2)
    odd = ((grey - grey[:, :, ::-1]) / 2)[:, :, half].reshape(n, -1)
    even = ((grey + grey[:, :, ::-1]) / 2).mean(axis=0)
    ramp = np.broadcast_to(np.linspace(1, -1, side), even.shape)
    sought = np.stack([-np.gradient(even, axis=1), ramp, ramp * (even - even.min())])[:, :, half].reshape(3, -1)
    scatter = odd.T @ odd  # which no flip changes
    scatter += (RIDGE * np.trace(scatter) / len(scatter) + 1e-9) * np.eye(len(scatter))
    solved = np.linalg.solve(scatter, np.concatenate([sought, odd]).T).T
    leverage = (solved[3:] * odd).sum(axis=1, keepdims=True)
    found: np.ndarray = odd @ solved[:3].T / (1 - leverage)
    return found


def mirrored_layout(layout: np.ndarray) -> np.ndarray:
    """What `pictures.appearance.layout` says of the mirror images of pictures of which it says `layout`: (n, 224)."""
    n = len(layout)
    thumbnail = layout[:, :64].reshape(n, 8, 8)[:, :, ::-1]
    directions = layout[:, DIRECTIONS].reshape(n, 4, 4, 8)[:, :, ::-1, REVERSED]
    colours = layout[:, 192:].reshape(n, 2, 4, 4)[..., ::-1]
    return np.concatenate([part.reshape(n, -1) for part in (thumbnail, directions, colours)], axis=1)


def leans(layout: np.ndarray) -> np.ndarray:
    """Which way lines lean, wherever they lie, minus the same of the mirror images: float64 (n, 3), by the directions
    of gradients over the whole picture. layout: (n, 224)."""
    found = layout[:, DIRECTIONS].reshape(len(layout), -1, 8).mean(axis=1)
    lean: np.ndarray = (found - found[:, REVERSED])[:, 1:4]
    return lean


def bends(grey: np.ndarray) -> np.ndarray:
    """Which way lines bend, wherever they lie, minus the same of the mirror images: float64 (n, d).

    grey: float64 (n, side, side). Means over the picture of the product of three grey values, one at a place and two
    beside it (the triple correlation, Lohmann & Wirnitzer, Proc. IEEE 72, 1984): the simplest numbers that stay what
    they are when a picture moves, and change when it is mirrored. Of these the cube roots, since a few pictures of
    strong contrast would outweigh the rest.
    """
    side, columns = grey.shape[1], []
    for step in STEPS:
        middle = grey[:, step : side - step, step : side - step]
        near = {
            (y, x): grey[:, step * (1 + y) : side - step * (1 - y), step * (1 + x) : side - step * (1 - x)]
            for y, x in AROUND
        }
        for pair in combinations_with_replacement(AROUND, 2):
            other = tuple(sorted((y, -x) for y, x in pair))
            if pair < other:
                product = near[pair[0]] * near[pair[1]] - near[other[0]] * near[other[1]]
                columns.append((middle * product).mean(axis=(1, 2)))
    bend: np.ndarray = np.cbrt(np.stack(columns, axis=1))
    return bend
