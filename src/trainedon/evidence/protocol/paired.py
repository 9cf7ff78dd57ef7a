"""Two ways to score the same pictures: whose AUC is higher, beyond what chance explains?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.stats import t as student

from trainedon.evidence.statistics.intervals import CONFIDENCE
from trainedon.evidence.statistics.roc import placements
from trainedon.evidence.table.rows import AttackKey
from trainedon.evidence.table.scores import Sample, Scores

Sides = tuple[np.ndarray, np.ndarray]


@final
@dataclass(frozen=True)
class Difference:
    """AUC of the first minus AUC of the second, in [-1, 1], its interval, and a two-sided p-value.

    The interval is None where the pictures say nothing of the error: fewer than two on a side, or all of them differ by
    the same amount. So is the p-value then, but for a difference of nothing, where it is 1.
    """

    value: float
    interval: tuple[float, float] | None
    p_value: float | None


def scored_by_both(
    scores: Scores, first: AttackKey, second: AttackKey, sets: tuple[str, str]
) -> tuple[Sides, Sides] | None:
    """Each attack's scores of the members and of the unseen pictures that both have scored, in the same order; None
    where there are none on a side. sets: what members and unseen pictures are called."""
    sides = [_common(*(scores.sample(attack, name) for attack in (first, second))) for name in sets]
    if not all(len(one) for one, _ in sides):
        return None
    (members, others), (unseen, other_unseen) = sides
    return (members, unseen), (others, other_unseen)


def _common(first: Sample, second: Sample) -> tuple[np.ndarray, np.ndarray]:
    _, one, other = np.intersect1d(first.picture, second.picture, assume_unique=True, return_indices=True)
    return first.score[one], second.score[other]


def auc_difference(first: Sides, second: Sides, *, level: float = CONFIDENCE) -> Difference:
    """first, second: finite scores of the same members, float64 (m,), and of the same unseen pictures, (n,), in the
    same order, neither empty.

    What makes one picture easy mostly makes it easy under both, so the error of the difference is far smaller than the
    two intervals suggest. It is DeLong's for correlated curves (DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988):
    the variance of each picture's difference of placements. Student's t with Satterthwaite's degrees of freedom, as
    for one AUC.
    """
    shifts = [one - other for one, other in zip(placements(*first), placements(*second), strict=True)]
    value = float(shifts[0].mean())
    if not any(shift.any() for shift in shifts):
        return Difference(0.0, None, 1.0)
    parts = [float(shift.var(ddof=1)) / len(shift) if len(shift) > 1 else 0.0 for shift in shifts]
    if min(map(len, shifts)) < 2 or sum(parts) < 1e-18:
        return Difference(value, None, None)
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / sum(part**2 / (len(shift) - 1) for part, shift in zip(parts, shifts, strict=True))
    reach = float(student.ppf((1 + level) / 2, freedom)) * error
    low, high = max(-1.0, value - reach), min(1.0, value + reach)
    return Difference(value, (low, high), float(2 * student.sf(abs(value) / error, freedom)))
