"""Which unseen pictures set the threshold, and which count the false alarms."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from trainedon.evidence.table.rows import Row, Rows, picture_ids

# Named apart from every other use of a digest (noise keys above all), so that the halves depend on nothing else.
SALT = b"trainedon/standard-1/calibration\x1f"
SEEDS = b"trainedon/standard-2/seed\x1f"


def calibration_mask(rows: Sequence[Row]) -> npt.NDArray[np.bool_]:
    """True for the calibration half of unseen pictures, False for the evaluation half. Returns bool (n,).

    The pictures are put in the order of SHA-256(salt + digest), and the first half (the larger, when n is odd)
    calibrates. So the halves are exact, look random, and depend on the pictures alone: not on names, order, scores or a
    seed. Where a row has no digest of its picture, the digest of its name stands in.
    """
    mask = np.zeros(len(rows), dtype=bool)
    mask[in_salted_order(rows)[: (len(rows) + 1) // 2]] = True
    return mask


def in_salted_order(rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    """Indices of the rows, (n,), in the order of their salted hashes, and by name where these are equal."""
    return np.lexsort((_names(rows), salted(rows)))


def salted(rows: Sequence[Row]) -> npt.NDArray[np.bytes_]:
    """SHA-256(salt + digest) of each picture: bytes (n,), 32 each."""
    hashes = (hashlib.sha256(SALT + picture.encode()).digest() for picture in picture_ids(rows))
    return np.fromiter(hashes, dtype="S32", count=len(rows))


def seed_of(*sides: Iterable[str]) -> int:
    """A seed in [0, 2^128) for deals between sets of pictures, from their digests whatever their order.

    So nobody can choose it but by choosing other pictures, and the same pictures always meet the same deals.
    """
    found = hashlib.sha256(SEEDS)
    for digests in sides:
        found.update("\n".join(sorted(digests)).encode() + b"\x1f")
    return int.from_bytes(found.digest()[:16], "big")


def _names(rows: Sequence[Row]) -> npt.NDArray[np.int32] | npt.NDArray[np.str_]:
    return rows.column("picture") if isinstance(rows, Rows) else np.array([row.picture for row in rows])
