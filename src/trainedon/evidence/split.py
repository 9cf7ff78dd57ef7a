"""Which unseen pictures set the threshold, and which count the false alarms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from trainedon.evidence.scores import Row

# Named apart from every other use of a digest (noise keys above all), so that the halves depend on nothing else.
SALT = b"trainedon/standard-1/calibration\x1f"


def calibration_mask(rows: Sequence[Row]) -> np.ndarray:
    """True for the calibration half of unseen pictures, False for the evaluation half. Returns bool (n,).

    The pictures are put in the order of SHA-256(salt + digest), and the first half (the larger, when n is odd)
    calibrates. So the halves are exact, look random, and depend on the pictures alone: not on names, order, scores or a
    seed. Where a row has no digest of its picture, the digest of its name stands in.
    """
    order = sorted(range(len(rows)), key=lambda index: (salted(rows[index]), rows[index].picture))
    mask = np.zeros(len(rows), dtype=bool)
    mask[order[: (len(rows) + 1) // 2]] = True
    return mask


def salted(row: Row) -> bytes:
    """A picture's place in an order that means nothing."""
    digest = row.sha256 or hashlib.sha256(row.picture.encode()).hexdigest()
    return hashlib.sha256(SALT + digest.encode()).digest()
