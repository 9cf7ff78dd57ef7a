"""Near-duplicates: pictures that are copies of one another but for compression, size, light, mirroring or a small crop.

Two pictures of one cluster are not two observations, and an unseen picture whose copy was trained on is not unseen.
How the thresholds were measured is written in docs/evidence.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

ENCODER = "efficientnet-lite0"  # the cosines below mean nothing for features of another one
SAME = 4  # bits of the perceptual hash, alone
CLOSE = 12  # bits, where the cosine is AGREEING
AGREEING = 0.88
ALIKE = 0.92  # cosine, alone
COLOUR = 120  # thousandths of the range, in the mean of any channel: beyond, no copy but another design of one form
BITS = 64
UNKNOWN = -1000  # thousandths of a colour that is not known
ROWS = 256  # of a matrix of cosines held at once

Facts = Mapping[str, object]
Name = tuple[str, str]
Pairs = tuple[np.ndarray, np.ndarray]


def clusters(pictures: Iterable[Facts], looks: Mapping[Name, np.ndarray] | None = None) -> dict[Name, str]:
    """The cluster of every usable picture that is not alone in it: (set, picture) -> the smallest sha256 in it.

    pictures: rows of the inventory, of all sets; one without `phash` is without structure and in no cluster.
    looks: (set, picture) -> features of ENCODER, float32 (d,), for all, some or no pictures. `linked` says what makes
    a cluster.
    """
    rows = [p for p in pictures if not p.get("reason") and p.get("phash")]
    names = [(str(p["set"]), str(p["picture"])) for p in rows]
    hashes = np.array([int(str(p["phash"]), 16) for p in rows], dtype=np.uint64)
    means = [[_number(p.get(f"mean_{channel}")) for channel in "rgb"] for p in rows]
    colours = thousandths(np.array(means, dtype=float).reshape(-1, 3))
    seen = [row for row, name in enumerate(names) if name in (looks or {})]
    root = linked(hashes, colours, seen, [looks[names[row]] for row in seen] if looks else ())
    members: dict[int, list[int]] = {}
    for row, top in enumerate(root.tolist()):
        members.setdefault(top, []).append(row)
    several = [cluster for cluster in members.values() if len(cluster) > 1]
    smallest = [min(str(rows[row].get("sha256")) for row in cluster) for cluster in several]
    return {names[row]: name for cluster, name in zip(several, smallest, strict=True) for row in cluster}


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else np.nan


def thousandths(means: np.ndarray) -> np.ndarray:
    """Means, float64, as whole numbers, int32; one that is not known (NaN) lies far from all that are."""
    return np.where(np.isfinite(means), np.rint(1000 * means), UNKNOWN).astype(np.int32)


def smallest_in_clusters(root: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """For each row the smallest mark of its cluster, -1 where it is alone. root: as `linked` gives it; marks: (n,)."""
    order = np.argsort(root, kind="stable")
    begin = np.flatnonzero(np.append(True, np.diff(root[order]) != 0))[: len(root)]
    size = np.diff(np.append(begin, len(root)))
    smallest = np.minimum.reduceat(marks[order], begin) if len(begin) else marks
    out = np.empty_like(marks)
    out[order] = np.repeat(np.where(size > 1, smallest, -1), size)
    return out


def linked(
    hashes: np.ndarray, colours: np.ndarray, seen: Sequence[int] = (), features: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """Clusters of pictures by their perceptual hashes, uint64 (n,), and colours as thousandths, int32 (n, 3).

    features: of the pictures at the places `seen`, float32 (d,) each. Returns the first row of each row's cluster,
    int32 (n,). Two pictures are linked when their mean colours are within COLOUR and either their hashes are within
    SAME bits, or these are within CLOSE bits and the cosine of their features is AGREEING or more, or the cosine is
    ALIKE or more. Clusters are what links connect.
    """
    root = np.arange(len(hashes), dtype=np.int32)
    if len(hashes):
        _link_by_hash(root, hashes, colours)
    if len(seen):
        _link_by_look(root, np.asarray(seen), features, hashes, colours)
    return root


def _unite(root: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    """Join the trees of linked rows, in place; before and after, `root` gives the smallest row of each row's tree."""
    while True:
        a, b = root[first], root[second]
        differ = a != b
        if not differ.any():
            return
        np.minimum.at(root, np.maximum(a, b)[differ], np.minimum(a, b)[differ])
        while not np.array_equal(root, root[root]):
            root[:] = root[root]


def _link_by_hash(root: np.ndarray, hashes: np.ndarray, colours: np.ndarray) -> None:
    """Unite rows by their hashes alone.

    Of SAME + 1 bands that make up a hash, two hashes within SAME bits have one in common: only rows that have are
    compared. Rows equal in hash and colour stand for one another, so that many of them do not cost the square.
    """
    order = np.lexsort((*colours.T, hashes)).astype(np.int32)
    new = changes(hashes[order])
    for channel in colours.T:
        new |= changes(channel[order])
    rows = order[new]
    _unite(root, order, rows[np.cumsum(new) - 1])
    edges = [BITS * band // (SAME + 1) for band in range(SAME + 2)]
    for low, high in pairwise(edges):
        band = hashes[rows] >> np.uint64(low) & np.uint64(2 ** (high - low) - 1)
        order = np.argsort(band).astype(np.int32)
        for first, second in _neighbours(rows[order], band[order], root):
            apart = root[first] != root[second]
            first, second = first[apart], second[apart]
            near = np.bitwise_count(hashes[first] ^ hashes[second]) <= SAME
            _unite(root, *_one_colour(first[near], second[near], colours))


def changes(values: np.ndarray) -> np.ndarray:
    """Where a value is another one than that before it: bool (n,), True at the first."""
    new = np.ones(len(values), dtype=bool)
    new[1:] = values[1:] != values[:-1]
    return new


def _neighbours(rows: np.ndarray, band: np.ndarray, root: np.ndarray) -> Iterator[Pairs]:
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


def _link_by_look(
    root: np.ndarray, rows: np.ndarray, looks: Sequence[np.ndarray], hashes: np.ndarray, colours: np.ndarray
) -> None:
    """Unite rows that have features, by these and the hashes."""
    features = np.stack(looks).astype(np.float32)
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(1e-12))
    for start in range(0, len(rows), ROWS):
        cosine = features[start : start + ROWS] @ features[start:].T
        i, j = np.nonzero(np.triu(cosine, 1) >= AGREEING)
        first, second = rows[start + i], rows[start + j]
        near = (cosine[i, j] >= ALIKE) | (np.bitwise_count(hashes[first] ^ hashes[second]) <= CLOSE)
        _unite(root, *_one_colour(first[near], second[near], colours))


def _one_colour(first: np.ndarray, second: np.ndarray, colours: np.ndarray) -> Pairs:
    near = (np.abs(colours[first] - colours[second]) <= COLOUR).all(axis=1)
    return first[near], second[near]
