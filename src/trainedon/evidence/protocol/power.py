"""Power analysis: how many pictures a finding would take."""

from __future__ import annotations

import math

from scipy.stats import norm

from trainedon.evidence.protocol.documents import PowerAnalysis
from trainedon.evidence.statistics.pvalues import smallest_p

POWER = 0.8
MOST = 10**7  # beyond this a number says no more than that there are not enough


def pictures_needed(effect: float, unseen: int, level: float) -> PowerAnalysis:
    """How many suspects a set test needs to reach p < `level` in four cases out of five, if the effect is as seen.

    effect: P(suspect > unseen), ties half. unseen: how many unseen pictures there are. With m suspects and n unseen
    pictures the effect has standard error sqrt((m + n + 1) / (12 m n)) when there is no difference, and is normal
    (Noether, JASA 82, 1987); m is the smallest for which it lies z(1 - level) + z(power) of these above 1/2.
    """
    z = float(norm.isf(level) + norm.ppf(POWER))
    excess = 12 * max(0.0, effect - 0.5) ** 2
    suspects = each = None
    if unseen and excess * unseen > z**2:
        suspects = _enough(z**2 * (unseen + 1) / (excess * unseen - z**2), unseen, level)
    if excess > 0:
        size = (z**2 + math.sqrt(z**4 + excess * z**2)) / excess  # solves excess m^2 = z^2 (2 m + 1)
        each = _enough(size, None, level)
    return PowerAnalysis(p=level, power=POWER, suspects=suspects, each=each)


def _enough(size: float, unseen: int | None, level: float) -> int | None:
    """`size` rounded up, and up further to where a permutation test can reach the level at all."""
    if size > MOST:
        return None
    m = max(1, math.ceil(size))
    while m < MOST and smallest_p(m, m if unseen is None else unseen) >= level:
        m += 1
    return m if m < MOST else None
