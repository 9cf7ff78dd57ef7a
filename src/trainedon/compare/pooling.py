"""Several restorations of one picture become one number."""

from __future__ import annotations

import torch

from trainedon.errors import UserError

POOLINGS = ("mean", "median", "max")


def pool(similarities: torch.Tensor, how: str) -> torch.Tensor:
    """float (n, r) similarities of n pictures and r restorations -> (n,).

    how: `mean`; `median` (of an even number, the mean of the middle two); `max` (the best restoration decides).
    Raises UserError for another word. NaN stays NaN.
    """
    if how == "mean":
        return similarities.mean(1)
    if how == "median":
        return similarities.quantile(0.5, dim=1)
    if how == "max":
        return similarities.amax(1)
    raise UserError(f"pooling {how!r} is not known: choose one of {', '.join(POOLINGS)}")
