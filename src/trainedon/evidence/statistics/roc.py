"""How well scores tell two sets apart: AUC with an interval, best-threshold accuracy, the ROC curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, rankdata
from scipy.stats import t as student

from trainedon.evidence.statistics.finite import finite
from trainedon.evidence.statistics.intervals import CONFIDENCE, bounded_mean

MAX_POINTS = 400


@final
@dataclass(frozen=True)
class Auc:
    """P(positive > negative) + P(equal) / 2, its interval, and how the interval was made: `delong` or `bound`."""

    value: float
    low: float
    high: float
    method: Literal["delong", "bound"]

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.high


def auc(positive: ArrayLike, negative: ArrayLike, *, level: float = CONFIDENCE, widen: float = 1.0) -> Auc:
    """The area under the ROC curve, ties counting half, with a two-sided interval inside [0, 1].

    `positive`: float64 (m,), `negative`: float64 (n,). `widen` multiplies the standard error. Raises ValueError
    when one of them is empty, UserError for scores that are not finite.

    The standard error is DeLong's (DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988) by midranks in O(N log N)
    (Sun & Xu, IEEE SPL 21, 2014). The interval is symmetric in logit(AUC), so it stays inside (0, 1), and takes
    Student's t with Satterthwaite's degrees of freedom for small samples, as Brunner & Munzel (Biometrical Journal 42,
    2000) do. Close to 0 and 1 it would be too narrow, so it is widened to hold Newcombe's interval as well. Where the
    error is zero or undefined (AUC 0 or 1, all scores equal, one picture in a set) `bounded_mean` takes its place.
    """
    positive, negative = finite(positive, "positive scores"), finite(negative, "negative scores")
    m, n = len(positive), len(negative)
    if m == 0 or n == 0:
        raise ValueError("an AUC needs at least one score on each side")
    above, below = placements(positive, negative)
    value = min(1.0, max(0.0, float(above.mean())))
    parts = (above.var(ddof=1) / m, below.var(ddof=1) / n) if min(m, n) > 1 else (0.0, 0.0)
    variance = float(sum(parts))
    if not 0 < value < 1 or variance < 1e-18:
        return Auc(value, *bounded_mean(value, min(m, n), level), "bound")
    freedom = variance**2 / (parts[0] ** 2 / (m - 1) + parts[1] ** 2 / (n - 1))
    error = widen * math.sqrt(variance) / (value * (1 - value))
    reach = float(student.ppf((1 + level) / 2, freedom)) * error
    low, high = (float(end) for end in expit(logit(value) + np.array([-reach, reach])))
    low_too, high_too = _newcombe(value, m, n, widen * float(norm.ppf((1 + level) / 2)))
    return Auc(value, min(low, low_too), max(high, high_too), "delong")


def placements(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's components, float64 (m,) and (n,) in [0, 1]; the mean of either is the AUC.

    The share of negatives below each positive, and of positives above each negative, ties half.
    """
    m, n = len(positive), len(negative)
    rank = rankdata(np.concatenate([positive, negative]))
    return (rank[:m] - rankdata(positive)) / n, 1 - (rank[m:] - rankdata(negative)) / m


def _newcombe(value: float, m: int, n: int, z: float) -> tuple[float, float]:
    """All q with |value - q| <= z s(q), s the Hanley-McNeil error at q with the mean size for both sets (Newcombe,
    Statistics in Medicine 25, 2006, part 2, method 5)."""

    def excess(q: float) -> float:
        spread = 1 + ((m + n) / 2 - 1) * ((1 - q) / (2 - q) + q / (1 + q))
        return (value - q) ** 2 - z**2 * q * (1 - q) * spread / (m * n)

    tiny = 1e-12
    low = brentq(excess, tiny, value) if excess(tiny) > 0 else 0.0
    high = brentq(excess, value, 1 - tiny) if excess(1 - tiny) > 0 else 1.0
    return float(low), float(high)


def curve(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """The ROC curve of the rule "score > threshold", every distinct score a threshold.

    Returns float64 (k, 2): false- and true-positive rate from (0, 0) to (1, 1), both rising.
    """
    scores = np.concatenate([positive, negative])
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(order < len(positive))
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    true = np.concatenate([[0], hits[last_of_tie]])
    false = np.concatenate([[0], (np.arange(1, len(scores) + 1) - hits)[last_of_tie]])
    return np.column_stack([false / len(negative), true / len(positive)])


def best_accuracy(points: np.ndarray) -> float:
    """The best balanced accuracy over all thresholds, max (TPR + TNR) / 2, in [0.5, 1]: "ASR" in the papers.

    Optimistic: the threshold is chosen on the very pictures that are then counted.
    """
    return float(((points[:, 1] + 1 - points[:, 0]) / 2).max())


def thin(points: np.ndarray, most: int = MAX_POINTS) -> np.ndarray:
    """At most `most` points of a ROC curve for drawing. Those on a straight run go first, which changes nothing; of the
    rest the first half (the low false-positive end) stays whole, and the others are thinned evenly. Ends always stay.
    """
    if len(points) > 2:
        step = np.diff(points, axis=0)
        turns = step[:-1, 0] * step[1:, 1] != step[:-1, 1] * step[1:, 0]
        points = points[np.concatenate([[True], turns, [True]])]
    if len(points) <= most:
        return points
    kept = most // 2
    rest = np.linspace(kept, len(points) - 1, most - kept).round().astype(int)
    thinned: np.ndarray = points[np.concatenate([np.arange(kept), rest])]
    return thinned
