"""Two ways to score the same pictures: whose true-positive rate at a low false-positive rate is higher?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from trainedon.evidence.statistics.intervals import CONFIDENCE
from trainedon.evidence.statistics.thresholds import Level, conformal_threshold

REPLICATES = 2000
Sides = tuple[np.ndarray, np.ndarray]


@final
@dataclass(frozen=True)
class RateChange:
    """TPR of the first, TPR of the second, and an interval for the second minus the first."""

    before: float
    after: float
    interval: tuple[float, float]

    @property
    def value(self) -> float:
        return self.after - self.before


def rate_change(
    first: Sides, second: Sides, *, rate: Level, level: float = CONFIDENCE, seed: int = 0, replicates: int = REPLICATES
) -> RateChange | None:
    """first, second: finite scores of the same members, float64 (m,), and of the same unseen pictures, (n,), by which
    thresholds are set, in the same order. None where no threshold can be set for the false-positive rate `rate`.

    Paired percentile bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13): members and unseen
    pictures are drawn anew, the same ones for both, and both thresholds are set again, since a threshold on few
    pictures is a good part of the error. A threshold is an extreme score, for which a bootstrap is rough: with it set
    on 149 pictures nominal 95 % intervals held in 90 to 95 % of 300 simulations, on 300 in 98 % and on 500 in 96 to
    98 % (200 members, normal scores correlated by 0.7). seed: of the draws.
    """
    thresholds = [conformal_threshold(unseen, rate) for _, unseen in (first, second)]
    (members, unseen), (others, other_unseen) = first, second
    if thresholds[0] is None or thresholds[1] is None or not len(members):
        return None
    before, after = float((members > thresholds[0]).mean()), float((others > thresholds[1]).mean())
    rng, changes = np.random.Generator(np.random.Philox(seed)), np.empty(replicates)
    for i in range(replicates):
        drawn, by = rng.integers(len(members), size=len(members)), rng.integers(len(unseen), size=len(unseen))
        limits = [conformal_threshold(side[by], rate) for side in (unseen, other_unseen)]
        hits = [(side[drawn] > limit).mean() for side, limit in zip((members, others), limits, strict=True)]
        changes[i] = hits[1] - hits[0]
    low, high = np.quantile(changes, [(1 - level) / 2, (1 + level) / 2])
    # an interval of a finite sample never excludes what was seen, as rough quantiles could
    return RateChange(before, after, (min(float(low), after - before), max(float(high), after - before)))
