"""True-positive rate at a false-positive rate, by a threshold that was fixed on other pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from trainedon.evidence.statistics.finite import finite
from trainedon.evidence.statistics.intervals import CONFIDENCE, clopper_pearson

# Written as in the JSON keys, and read as exact fractions: floor(0.07 * 100) is 7 only without floats.
LEVELS = ("0.05", "0.01", "0.001")


Level = str | float


def unseen_needed(level: Level) -> int:
    """How many unseen pictures a false-positive rate of `level` needs: 59 for 5 %, 299 for 1 %, 2 995 for 0.1 %.

    The smallest n with (1 - level)^n <= 0.05: fewer could not show the rate to be below `level` with 95 % confidence
    even if not one of them was a false positive. docs/evidence.md shows why n counts both halves.
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-float(level)))


def least_estimable(unseen: int) -> float:
    """The lowest false-positive rate that so many unseen pictures can show, the reverse of `unseen_needed`: 1 for none.
    Any rate above it needs no more than `unseen` pictures."""
    return 1 - math.exp(math.log(1 - CONFIDENCE) / unseen) if unseen else 1.0


def conformal_threshold(calibration: ArrayLike, level: Level) -> float | None:
    """The smallest t such that a new unseen picture has P(score > t) <= level, over the draw of both.

    t is the k-th largest of the n calibration scores, k = floor(level (n + 1)) (Vovk, Gammerman & Shafer, 2005); then
    score > t exactly when the conformal p-value is <= level, ties included. None when k = 0, that is n < 1/level - 1.
    Raises UserError for scores that are not finite.
    """
    calibration = finite(calibration, "calibration scores")
    k = math.floor(Fraction(str(level)) * (len(calibration) + 1))
    if k == 0:
        return None
    return float(np.partition(calibration, len(calibration) - k)[len(calibration) - k])


@final
@dataclass(frozen=True)
class Counted:
    """What the rule "score > threshold" does to pictures that had no part in setting it."""

    threshold: float
    true_positives: int
    members: int
    false_positives: int
    evaluation: int

    @property
    def tpr(self) -> float:
        return self.true_positives / self.members

    @property
    def fpr(self) -> float:
        return self.false_positives / self.evaluation

    def tpr_ci(self, level: float = CONFIDENCE) -> tuple[float, float]:
        return clopper_pearson(self.true_positives, self.members, level)

    def fpr_ci(self, level: float = CONFIDENCE) -> tuple[float, float]:
        return clopper_pearson(self.false_positives, self.evaluation, level)


def tpr_at_fpr(members: ArrayLike, calibration: ArrayLike, evaluation: ArrayLike, level: Level) -> Counted | None:
    """The true-positive rate at a false-positive rate of at most `level`, such as 0.01, with Clopper-Pearson intervals.

    members: float64 (m,). calibration (a,), evaluation (b,): the scores of unseen pictures, split at random; the first
    set the threshold (`conformal_threshold`), the second count its false positives, so that neither is optimistic.
    None where it cannot be estimated: fewer than `unseen_needed(level)` unseen pictures in both parts, or no member.
    Raises UserError for scores that are not finite.
    """
    members, evaluation = finite(members, "members' scores"), finite(evaluation, "evaluation scores")
    calibration = finite(calibration, "calibration scores")
    threshold = conformal_threshold(calibration, level)
    if threshold is None or len(calibration) + len(evaluation) < unseen_needed(level) or not len(members):
        return None
    hits, alarms = int((members > threshold).sum()), int((evaluation > threshold).sum())
    return Counted(threshold, hits, len(members), alarms, len(evaluation))
