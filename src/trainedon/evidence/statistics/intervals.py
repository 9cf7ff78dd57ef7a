"""Intervals that hold at any sample size."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import rel_entr
from scipy.stats import beta

CONFIDENCE = 0.95


def jointly(intervals: int) -> float:
    """The level of each of several intervals that together hold at 95 %, whatever hangs together (Bonferroni).

    Readers look at the best of several attacks; its interval must hold although it was the best.
    """
    return 1 - (1 - CONFIDENCE) / intervals


def clopper_pearson(successes: int, n: int, level: float = CONFIDENCE) -> tuple[float, float]:
    """The two-sided interval of a proportion that holds at every n, in [0, 1] (Clopper & Pearson, Biometrika 26, 1934).

    Never zero wide: 0 of n gives [0, 1 - (alpha/2)^(1/n)]. Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n}")
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(beta.ppf(1 - tail, successes + 1, n - successes))
    return low, high


def bounded_mean(mean: float, n: float, level: float = CONFIDENCE) -> tuple[float, float]:
    """An interval for the expectation of a mean of n independent numbers in [0, 1], whatever their distribution.

    All q with n KL(mean || q) <= log(2 / alpha) (Hoeffding, JASA 58, 1963, eq. 2.1). Section 5 of that paper carries it
    over to two-sample U-statistics such as the AUC, with n the smaller of the two sample sizes. At mean = 1 it is the
    Clopper-Pearson interval [(alpha/2)^(1/n), 1].
    """
    budget = math.log(2 / (1 - level)) / n
    return _lower_end(mean, budget), 1 - _lower_end(1 - mean, budget)


def _lower_end(mean: float, budget: float) -> float:
    def excess(q: float) -> float:
        return float(rel_entr(mean, q) + rel_entr(1 - mean, 1 - q)) - budget

    smallest = 1e-300
    return 0.0 if mean <= smallest or excess(smallest) <= 0 else float(brentq(excess, smallest, mean, xtol=1e-14))
