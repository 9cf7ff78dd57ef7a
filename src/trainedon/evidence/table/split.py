"""Which unseen pictures set the threshold, and which count the false alarms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from trainedon.evidence.table.rows import Row, Rows, stand_ins

# Named apart from every other use of a digest (noise keys above all), so that the halves depend on nothing else.
SALT = b"trainedon/standard-1/calibration\x1f"


def calibration_mask(rows: Sequence[Row]) -> np.ndarray:
    """True for the calibration half of unseen pictures, False for the evaluation half. Returns bool (n,).

    The pictures are put in the order of SHA-256(salt + digest), and the first half (the larger, when n is odd)
    calibrates. So the halves are exact, look random, and depend on the pictures alone: not on names, order, scores or a
    seed. Where a row has no digest of its picture, the digest of its name stands in.
    """
    mask = np.zeros(len(rows), dtype=bool)
    mask[in_salted_order(rows)[: (len(rows) + 1) // 2]] = True
    return mask


def in_salted_order(rows: Sequence[Row]) -> np.ndarray:
    """Places of the rows, int64 (n,), in an order that means nothing; by name where it is the same."""
    return np.lexsort((_by_name(rows), salted(rows)))


def salted(rows: Sequence[Row]) -> np.ndarray:
    """A picture's place in an order that means nothing: bytes (n,), 32 each."""
    places = (hashlib.sha256(SALT + digest.encode()).digest() for digest in stand_ins(rows))
    return np.fromiter(places, dtype="S32", count=len(rows))


def _by_name(rows: Sequence[Row]) -> np.ndarray:
    if isinstance(rows, Rows):
        return rows.column("picture")
    return np.unique([row.picture for row in rows], return_inverse=True)[1]
