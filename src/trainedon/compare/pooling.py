"""Several restorations of one picture become one number."""

from __future__ import annotations

import torch

from trainedon.errors import UserError

POOLINGS = ("mean-log", "mean", "median", "max", "best-log", "energy")
SMALLEST_DISTANCE = 1e-6  # keeps the logarithm finite where a restoration equals the original


def check_pooling(how: str, restorations: int) -> None:
    """Raises UserError for an unknown word, and for one restoration where their spread is asked for."""
    if how not in POOLINGS:
        raise UserError(f"pooling {how!r} is not known: choose one of {', '.join(POOLINGS)}")
    if how == "energy" and restorations < 2:
        raise UserError("pooling energy compares restorations with one another: take restorations=2 or more")


def pool(similarities: torch.Tensor, how: str, highest: float = 1.0, among: torch.Tensor | None = None) -> torch.Tensor:
    """float (n, k, r) similarities of n pictures to r restorations of each of k regions -> (n,), higher = more alike.

    The restorations of a region become one number, and of these the mean over the regions is taken. d is the distance
    `highest - similarity`, with `highest` the similarity of equal pictures. how:
    `mean-log`: minus the mean log d. A restoration that is ten times closer counts the same at every distance, so that
    one poor restoration among several close ones does not drown them. `best-log`: minus log d of the best restoration.
    `mean`, `median` (of an even number, the mean of the middle two) and `max` of the similarities.
    `energy`: minus the energy score (Gneiting & Raftery, JASA 2007, eq. 22) `mean sqrt d - 1/2 mean sqrt d'`, with d'
    the distances among the restorations, from `among` (n, k, r, r): an original that lies as far off as the
    restorations lie from one another is one of many that the model could have painted.
    Raises UserError as `check_pooling` does. NaN stays NaN.
    """
    check_pooling(how, similarities.shape[2])
    distances = (highest - similarities).clamp(min=SMALLEST_DISTANCE)  # (n, k, r)
    if how == "mean-log":
        by_region = -distances.log().mean(2)
    elif how == "best-log":
        by_region = -distances.amin(2).log()
    elif how == "energy":
        if among is None:
            raise ValueError("the energy score takes the similarities among the restorations, too")
        r = similarities.shape[2]
        spread = (highest - among).clamp(min=0).sqrt().sum((2, 3)) / (r * (r - 1))
        by_region = spread / 2 - distances.sqrt().mean(2)
    elif how == "mean":
        by_region = similarities.mean(2)
    elif how == "median":
        by_region = similarities.quantile(0.5, dim=2)
    else:
        by_region = similarities.amax(2)
    return by_region.mean(1)
