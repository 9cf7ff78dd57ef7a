"""Pictures that are mirror images of one another: both ways round they are one observation, not two."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trainedon.evidence.table.clusters import unite
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.picture_table import Pictures, PictureTable

# Correlation of edges. Mirrored copies saved as JPEG of quality 50 reach 0.96, at half the size or lighter 0.98; of
# 400 faces, digits and letters no two different ones exceed 0.50, 0.86 and 0.73. A crop by 3 % is not found.
SAME = 0.9
ROWS = 256  # of a matrix of correlations held at once
MIRRORING = (2, 4, 5, 7)  # EXIF orientations under which the stored pixels are a mirror image, perhaps turned


def mirrored_copies(features: FeatureTable | None, keys: Sequence[tuple[str, str]]) -> np.ndarray:
    """Which pictures, told by (set, name), are mirror images of one another, directly or through others: the number of
    the first of each group, its own for a picture that is in none, int64 (n,). They serve as `units` of
    `sign_flip_test`, and of a group one may take part in `knockoff_q`.

    features: `looks.parquet`; pictures that are not in it, and files without thumbnails, have no copies. If a picture
    has the difference D, its mirror image has -D; counted apart the two would pass for independent coins. Compared are
    the edges (Laplacian) of thumbnails of 32 x 32 grey values.
    """
    root = np.arange(len(keys))
    thumbnails = {} if features is None else features.looks.get("thumbnail", {})
    seen = np.array([number for number, key in enumerate(keys) if key in thumbnails], np.int64)
    if len(seen) < 2:
        return root
    flat = np.stack([thumbnails[keys[number]] for number in seen])
    grey = flat.reshape(len(flat), *[math.isqrt(flat.shape[1])] * 2).astype(np.float32)
    here, there = _edges(grey), _edges(grey[:, :, ::-1])
    for start in range(0, len(seen), ROWS):
        alike = np.triu(here[start : start + ROWS] @ there[start:].T, 1) >= SAME
        first, second = np.nonzero(alike)
        unite(root, seen[start + first], seen[start + second])
    return root


def _edges(grey: np.ndarray) -> np.ndarray:
    """The Laplacian of pictures (n, side, side) inside their frame, of mean 0 and length 1: (n, d)."""
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    edges = (4 * grey[:, 1:-1, 1:-1] - around).reshape(len(grey), -1)
    edges -= edges.mean(axis=1, keepdims=True)
    unit: np.ndarray = edges / np.maximum(np.linalg.norm(edges, axis=1, keepdims=True), 1e-6)
    return unit


def mirrored_by_exif(pictures: Pictures | PictureTable, set_name: str = "suspect") -> int:
    """How many usable pictures of the set have an EXIF orientation that mirrors them. A model that was trained without
    regard to EXIF was trained on their mirror images."""
    listed = pictures if isinstance(pictures, PictureTable) else PictureTable.read(pictures)
    among = listed.in_sets([set_name]) & listed.usable
    return int(np.isin(listed.numbers("orientation")[among], MIRRORING).sum())


def handed_by_jpeg(pictures: Pictures | PictureTable, size: tuple[int, int], set_name: str = "suspect") -> int:
    """How many usable pictures of the set are JPEG files whose grid of 8 x 8 pixels differs from that of their mirror
    images, and shows where a model of `size`, (height, width) in pixels, reads them.

    The grid begins at one edge, so it is the same both ways where 8 divides the width. Read at half the size or less it
    does not show any more (docs/evidence.md has the figures). A grid that is left from an earlier life of a picture,
    before it was cut and saved again, is not seen here.
    """
    listed = pictures if isinstance(pictures, PictureTable) else PictureTable.read(pictures)
    rows = np.flatnonzero(listed.in_sets([set_name]) & listed.usable)
    facts = listed.facts(rows, ("format", "width", "height"))
    scales = [max(size[0] / one["height"], size[1] / one["width"]) for one in facts]
    return sum(
        one["format"] == "JPEG" and one["width"] % 8 > 0 and scale > 0.5
        for one, scale in zip(facts, scales, strict=True)
    )
