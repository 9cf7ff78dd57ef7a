"""Numbers from people, checked before anything is reckoned from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainedon.errors import UserError


def finite(numbers: ArrayLike, what: str) -> np.ndarray:
    """The numbers, float64 (n,).

    A NaN compares as smaller than nothing and larger than nothing, so that ranks and counts would take it for some
    score. Raises UserError for numbers that are not finite, and says how many; for another shape; for no numbers.
    """
    try:
        array = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{what} are not all numbers: give one number a picture") from None
    if array.ndim != 1:
        raise UserError(f"{what} have the shape {array.shape}: give one number a picture, (n,)")
    if bad := len(array) - int(np.isfinite(array).sum()):
        raise UserError(f"{what}: {bad} of {len(array)} are NaN or infinite: leave these out, or find out why")
    return array


def p_values(numbers: ArrayLike) -> np.ndarray:
    """The p-values, float64 (k,) in [0, 1]. Raises UserError as `finite`, and for others than these."""
    p = finite(numbers, "p-values")
    if bad := int(((p < 0) | (p > 1)).sum()):
        raise UserError(f"p-values: {bad} of {len(p)} lie outside [0, 1]")
    return p
