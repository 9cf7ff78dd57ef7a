"""Near-duplicates: pictures that are copies of one another but for compression, size, light, mirroring or a small crop.

Two pictures of one cluster are not two observations, and an unseen picture whose copy was trained on is not unseen.
How the thresholds were measured is written in docs/evidence.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from trainedon.evidence.table.codes import MISSING, Codes

ENCODER = "efficientnet-lite0"  # the cosines below mean nothing for features of another one
SAME = 4  # bits of the perceptual hash, alone
CLOSE = 12  # bits, where the cosine is AGREEING
AGREEING = 0.88
ALIKE = 0.92  # cosine, alone
COLOUR = 120  # thousandths of the range, in the mean of any channel: beyond, no copy but another design of one form
BITS = 64
UNKNOWN = -1000  # thousandths of a colour that is not known
ROWS = 256  # of a matrix of cosines held at once

Ints = npt.NDArray[np.integer[Any]]
Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Pairs = tuple[Ints, Ints]


def thousandths(means: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Means, float64, as whole numbers, int32; one that is not known (NaN) lies far from all that are."""
    return np.where(np.isfinite(means), np.rint(1000 * means), UNKNOWN).astype(np.int32)


def smallest_in_clusters(root: Ints, codes: Codes) -> Codes:
    """For each row the smallest code of its cluster, MISSING where it is alone. root: as `linked` gives it."""
    order = np.argsort(root, kind="stable")
    begin = np.flatnonzero(np.append(True, np.diff(root[order]) != 0))[: len(root)]
    size = np.diff(np.append(begin, len(root)))
    smallest = np.minimum.reduceat(codes[order], begin) if len(begin) else codes
    out = np.empty_like(codes)
    out[order] = np.repeat(np.where(size > 1, smallest, MISSING), size)
    return out


def linked(
    hashes: Hashes, colours: Ints, seen: Ints | None = None, features: Sequence[npt.NDArray[np.float32]] = ()
) -> npt.NDArray[np.int32]:
    """Clusters of pictures by their perceptual hashes, uint64 (n,), and colours as thousandths, int32 (n, 3).

    features: of the pictures at `seen`, float32 (d,) each. Returns the first row of each row's cluster,
    int32 (n,). Two pictures are linked when their mean colours are within COLOUR and either their hashes are within
    SAME bits, or these are within CLOSE bits and the cosine of their features is AGREEING or more, or the cosine is
    ALIKE or more. Clusters are what links connect.
    """
    root = np.arange(len(hashes), dtype=np.int32)
    if len(hashes):
        _link_by_hash(root, hashes, colours)
    if seen is not None and len(seen):
        _link_by_features(root, seen, features, hashes, colours)
    return root


def unite(root: Ints, first: Ints, second: Ints) -> None:
    """Join the trees of linked rows, in place; before and after, `root` gives the smallest row of each row's tree."""
    while True:
        a, b = root[first], root[second]
        differ = a != b
        if not differ.any():
            return
        np.minimum.at(root, np.maximum(a, b)[differ], np.minimum(a, b)[differ])
        while not np.array_equal(root, root[root]):
            root[:] = root[root]


def _link_by_hash(root: Ints, hashes: Hashes, colours: Ints) -> None:
    """Unite rows by their hashes alone.

    Of SAME + 1 bands that make up a hash, two hashes within SAME bits have one in common: only rows that have are
    compared. Rows equal in hash and colour stand for one another, so that many of them do not cost the square.
    """
    order = np.lexsort((*colours.T, hashes)).astype(np.int32)
    new = changes(hashes[order])
    for channel in colours.T:
        new |= changes(channel[order])
    rows = order[new]
    unite(root, order, rows[np.cumsum(new) - 1])
    edges = [BITS * band // (SAME + 1) for band in range(SAME + 2)]
    for low, high in pairwise(edges):
        band = hashes[rows] >> np.uint64(low) & np.uint64(2 ** (high - low) - 1)
        order = np.argsort(band).astype(np.int32)
        for first, second in _neighbours(rows[order], band[order], root):
            apart = root[first] != root[second]
            first, second = first[apart], second[apart]
            near = np.bitwise_count(hashes[first] ^ hashes[second]) <= SAME
            unite(root, *_one_colour(first[near], second[near], colours))


def changes(values: npt.NDArray[Any]) -> Mask:
    """Where a value is another one than that before it: bool (n,), True at the first."""
    new = np.ones(len(values), dtype=bool)
    new[1:] = values[1:] != values[:-1]
    return new


def _neighbours(rows: Ints, band: Hashes, root: Ints) -> Iterator[Pairs]:
    """Pairs of rows with equal `band` (sorted), in blocks: each with the next, each with the next but one, and so on.

    Now and then the bands whose rows are all united by now are left out: frames of a film would cost the square.
    """
    new = changes(band)
    begin, group = np.flatnonzero(new), np.cumsum(new, dtype=np.int32) - 1
    last = (np.append(begin[1:], len(band)).astype(np.int32) - 1)[group]
    start, step = np.arange(len(rows), dtype=np.int32), 1
    while len(start := start[start + step <= last[start]]):
        yield rows[start], rows[start + step]
        step += 1
        if step & (step - 1) == 0:
            top = root[rows]
            united = np.minimum.reduceat(top, begin) == np.maximum.reduceat(top, begin)
            start = start[~united[group[start]]]


def _link_by_features(
    root: Ints, rows: Ints, features: Sequence[npt.NDArray[np.float32]], hashes: Hashes, colours: Ints
) -> None:
    """Unite rows that have features, by these and the hashes."""
    unit = np.stack(features).astype(np.float32)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.float32(1e-12))
    for start in range(0, len(rows), ROWS):
        cosine = unit[start : start + ROWS] @ unit[start:].T
        i, j = np.nonzero(np.triu(cosine, 1) >= AGREEING)
        first, second = rows[start + i], rows[start + j]
        near = (cosine[i, j] >= ALIKE) | (np.bitwise_count(hashes[first] ^ hashes[second]) <= CLOSE)
        unite(root, *_one_colour(first[near], second[near], colours))


def _one_colour(first: Ints, second: Ints, colours: Ints) -> Pairs:
    near = (np.abs(colours[first] - colours[second]) <= COLOUR).all(axis=1)
    return first[near], second[near]
