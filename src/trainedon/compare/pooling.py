"""Several restorations of one picture become one number."""

from __future__ import annotations

import torch

from trainedon.errors import UserError

POOLINGS = ("mean-log", "mean", "median", "max")
SMALLEST_DISTANCE = 1e-6  # keeps the logarithm finite where a restoration equals the original


def pool(similarities: torch.Tensor, how: str, highest: float = 1.0) -> torch.Tensor:
    """float (n, r) similarities of n pictures and r restorations -> (n,), higher = more alike.

    how: `mean-log`, minus the mean logarithm of the distance to `highest`, the similarity of equal pictures (a
    restoration that is ten times closer counts the same at every distance, so that one poor restoration among several
    close ones does not drown them); `mean`; `median` (of an even number, the mean of the middle two); `max` (the best
    restoration decides). Raises UserError for another word. NaN stays NaN.
    """
    if how == "mean-log":
        return -(highest - similarities).clamp(min=SMALLEST_DISTANCE).log().mean(1)
    if how == "mean":
        return similarities.mean(1)
    if how == "median":
        return similarities.quantile(0.5, dim=1)
    if how == "max":
        return similarities.amax(1)
    raise UserError(f"pooling {how!r} is not known: choose one of {', '.join(POOLINGS)}")
