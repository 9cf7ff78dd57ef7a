"""Tests of signs: are differences as likely to be positive as negative, or at most G times likelier?

For a picture that a model never saw, and a kind of picture that is as likely as its mirror image, score minus score of
the mirror image is symmetric about zero. These functions take such differences, of whatever origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from trainedon.errors import UserError
from trainedon.evidence.statistics.finite import finite
from trainedon.evidence.statistics.intervals import CONFIDENCE, clopper_pearson

WORK = 2 * 10**8  # terms; where more would have to be added up, neighbouring ranks are joined
CLASSES = 64  # weights that are left then, at most
LONGEST = 2**19  # sums that are told apart at most; of very many units fewer weights are left
SMALLEST = 1e-12  # below this the Fourier transform, which takes over where that is not enough, has no digits left
NOTHING = -60.0  # logarithm of terms of the transform that are left out: all of them together are below 1e-20
MOST_ODDS = 1e6
POWER = 0.8


@final
@dataclass(frozen=True)
class SignTest:
    """One-sided p-value of "the signs are coins that fall positive at most `odds` times as often as negative".

    n: units with a sign. positive: how many are positive. exact: whether the p-value is that of the distribution
    itself; else it is the bound `SMALLEST`, which lies above it.
    """

    p_value: float
    odds: float
    n: int
    positive: int
    exact: bool


def sign_flip_test(differences: ArrayLike, odds: float = 1.0, units: ArrayLike | None = None) -> SignTest:
    """Do differences, float64 (n,), lie above zero further than coins that fall positive `odds` : 1 explain?

    The statistic is the sum of the ranks of |difference| over positive ones (Wilcoxon, Biometrics Bulletin 1, 1945), a
    zero counting for nothing, ties sharing their mean rank. Given the sizes, the signs of pictures that a model never
    saw are independent coins, each positive with a chance of at most odds / (1 + odds): p is the exact probability of a
    sum as high when all are that, which is the worst case (Rosenbaum, Biometrika 74, 1987). `odds` 1 is plain symmetry.

    units: (n,), what belongs together and is flipped as one, such as the works of a source: the signed ranks of a unit
    are added up. The distribution is summed up term by term, to full relative precision. Of many units (about 700)
    ranks are joined into CLASSES weights, which leaves it exact; of thousands the sum is made by Fourier transform.
    Raises UserError for differences that are not finite, or odds below 1.
    """
    if not 1 <= odds < math.inf:
        raise UserError(f"odds {odds!r}: give 1 (as likely positive as negative) or more")
    signed = _signed_weights(finite(differences, "differences"), units)
    signed = signed[signed != 0]
    weights, chance = np.abs(signed), odds / (1 + odds)
    observed, positive = int(signed[signed > 0].sum()), int((signed > 0).sum())
    if _work(signed) <= WORK:
        return SignTest(min(1.0, _tail(weights, observed, chance)), odds, len(signed), positive, exact=True)
    p = _tail_by_transform(weights, observed, chance)
    return SignTest(min(1.0, max(p, SMALLEST)), odds, len(signed), positive, exact=p >= SMALLEST)


def signs_of(differences: ArrayLike, units: ArrayLike | None = None) -> tuple[int, int]:
    """How many of differences, float64 (n,), have a sign, and how many of these are positive. Of `units` the signs of
    their signed ranks, added up as in `sign_flip_test`."""
    signed = finite(differences, "differences")
    signed = signed if units is None else _signed_weights(signed, units)
    return int(np.count_nonzero(signed)), int((signed > 0).sum())


def _signed_weights(differences: np.ndarray, units: ArrayLike | None) -> np.ndarray:
    """Whole numbers, one a unit: twice the signed rank of each difference, added up over those of a unit."""
    size = np.abs(differences)
    doubled = np.zeros(len(size))
    kept = size > 0
    doubled[kept] = 2 * rankdata(size[kept])
    signed = np.sign(differences) * doubled
    if units is not None:
        _, unit = np.unique(np.asarray(units), return_inverse=True)
        signed = np.bincount(unit, signed, minlength=unit.max(initial=-1) + 1)
    if _work(signed) > WORK:
        classes = max(1, min(CLASSES, LONGEST // np.count_nonzero(signed)))
        signed = np.sign(signed) * np.ceil(np.abs(signed) * (classes / np.abs(signed).max()))
    whole: np.ndarray = np.rint(signed).astype(np.int64)
    return whole // max(1, int(np.gcd.reduce(whole)))


def _work(weights: np.ndarray) -> float:
    return float(np.count_nonzero(weights) * np.abs(weights).sum())


def _tail(weights: np.ndarray, observed: int, chance: float) -> float:
    """P(sum of weights of heads >= observed), each coin heads by `chance`; no term is negative, so nothing cancels."""
    mass = np.zeros(int(weights.sum()) + 1)
    mass[0], top = 1.0, 0
    for weight in np.sort(weights).tolist():
        heads = mass[: top + 1] * chance
        mass[: top + 1] *= 1 - chance
        mass[weight : top + weight + 1] += heads
        top += weight
    return float(mass[observed:].sum())


def _tail_by_transform(weights: np.ndarray, observed: int, chance: float) -> float:
    """The same through the characteristic function, to about 1e-13."""
    kinds, counts = np.unique(weights, return_counts=True)
    length = 1 << int(weights.sum()).bit_length()
    one = np.log1p(chance * np.expm1(-2j * np.pi * np.arange(length) / length))  # of a coin of weight 1
    place, logs = np.arange(length // 2 + 1), np.zeros(length // 2 + 1, dtype=complex)
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        logs += count * one[kind * place % length]  # a weight goes round the circle so many times as fast
        left = logs.real > NOTHING  # no factor is above 1, so that what is left out stays below
        place, logs = place[left], logs[left]
    transform = np.zeros(length // 2 + 1, dtype=complex)
    transform[place] = np.exp(logs)
    mass = np.fft.irfft(transform, length)
    return float(mass[observed:].sum())


def most_odds(differences: ArrayLike, level: float, units: ArrayLike | None = None) -> float | None:
    """The largest odds under which `sign_flip_test` still gives p <= level; None where it does not even at 1.

    "To explain this without training, unseen pictures would have to come out positive so many times as often as
    negative" (Rosenbaum, Observational Studies, 2002, section 4.3). At most MOST_ODDS.
    """
    if sign_flip_test(differences, 1.0, units).p_value > level:
        return None

    def excess(log_odds: float) -> float:
        return sign_flip_test(differences, math.exp(log_odds), units).p_value - level

    top = math.log(MOST_ODDS)
    return MOST_ODDS if excess(top) <= 0 else math.exp(float(brentq(excess, 0.0, top, xtol=1e-6)))


def least_odds_against(differences: ArrayLike, level: float, units: ArrayLike | None = None) -> float:
    """The odds at which differences, float64 (n,), lie as low as they do with a chance of only `level`: the upper limit
    of how many times as often as negative such differences come out positive, large ones counting for more. From 1 to
    MOST_ODDS; MOST_ODDS without a sign.

    `sign_flip_test` read from the other side: signed ranks summed over positive ones, the lower tail. units: as there.
    """
    signed = _signed_weights(finite(differences, "differences"), units)
    signed = signed[signed != 0]
    if not len(signed):
        return MOST_ODDS
    weights, negative = np.abs(signed), int(-signed[signed < 0].sum())
    tail = _tail if _work(signed) <= WORK else _tail_by_transform

    def excess(log_odds: float) -> float:
        return tail(weights, negative, 1 / (1 + math.exp(log_odds))) - level

    top = math.log(MOST_ODDS)
    if excess(0.0) <= 0:
        return 1.0
    return MOST_ODDS if excess(top) > 0 else math.exp(float(brentq(excess, 0.0, top, xtol=1e-6)))


def positive_share(differences: ArrayLike, level: float = CONFIDENCE) -> tuple[float, tuple[float, float]] | None:
    """The share of the differences, float64 (n,), that is positive, zeros left out, with its exact interval; None where
    all are zero (Clopper and Pearson, Biometrika 26, 1934)."""
    signs = np.sign(finite(differences, "differences"))
    signs = signs[signs != 0]
    if not len(signs):
        return None
    positive = int((signs > 0).sum())
    return positive / len(signs), clopper_pearson(positive, len(signs), level)


def knockoff_q(differences: ArrayLike, odds: float = 1.0) -> np.ndarray:
    """q-values, float64 (n,) in [0, 1]: naming every difference with q <= f keeps the expected share of wrong names at
    or below f. 1 for what is not positive.

    The knockoff+ filter (Barber and Candès, Annals of Statistics 43, 2015, arXiv 1404.5609): among differences of size
    t or more, the negative ones count what the positive ones hold by chance, so the share of wrong names is estimated
    as (1 + negative) / positive. Where unseen pictures may be positive `odds` times as often as negative, each negative
    one stands for so many: odds (1 + negative) / positive. Signs of unseen pictures must be independent: of
    near-duplicates one takes part. Raises UserError for differences that are not finite.
    """
    differences = finite(differences, "differences")
    order = np.argsort(-np.abs(differences), kind="stable")
    size, positive = np.abs(differences)[order], differences[order] > 0
    negative = differences[order] < 0
    ends = np.append(np.diff(size) != 0, True)  # equal sizes are passed together
    estimate = odds * (1 + np.cumsum(negative)) / np.maximum(1, np.cumsum(positive))
    estimate = np.where(ends, estimate, np.inf)
    best = np.minimum.accumulate(estimate[::-1])[::-1]  # over all thresholds that still name it
    q = np.ones(len(differences))
    q[order] = np.where(positive, np.minimum(1, best), 1)
    return q


def signs_needed(differences: ArrayLike, level: float, odds: float = 1.0) -> int | None:
    """How many pictures `sign_flip_test` needs to reach p < `level` in four cases out of five, if their differences are
    like these; None where these lie no further above zero than chance explains.

    With p' = P(D + D' > 0) for two of them, v the variance of P(D + D' > 0 | D), and g = odds / (1 + odds):
    (z(level) 2 sqrt(g (1 - g)) + z(power) sqrt(12 v))^2 / (3 (p' - g)^2), which for small effects at odds 1 is the
    formula of Noether (JASA 82, 1987); and never fewer than all-positive signs need.
    """
    differences = np.sort(finite(differences, "differences"))
    n, chance = len(differences), odds / (1 + odds)
    if n < 2:
        return None
    above = (n - np.searchsorted(differences, -differences, side="right") - (differences > 0)) / (n - 1)
    both, spread = float(above.mean()), float(above.std())
    if both <= chance:
        return None
    z = float(norm.isf(level)) * 2 * math.sqrt(chance * (1 - chance)) + float(norm.ppf(POWER)) * math.sqrt(12) * spread
    return max(fewest_signs(level, odds), math.ceil(z**2 / (3 * (both - chance) ** 2)))


def fewest_signs(level: float, odds: float) -> int:
    """How many signs there must be at least, all positive, for a p-value below `level`."""
    return 1 + math.floor(math.log(level) / math.log(odds / (1 + odds)))
