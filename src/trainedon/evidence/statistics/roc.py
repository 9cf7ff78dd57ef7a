"""How well scores tell two sets apart: AUC with an interval, best-threshold accuracy, the ROC curve."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
# Cross-fitted scores that were learnt from labels: of two pictures in different folds each has a say in the other's
# score, and DeLong's error counts as two chances what is one. If a score is a sum of such influences, the true error is
# sqrt(2) times as large where there is nothing to find (an offset between folds adds a little), and less elsewhere.
LEARNT = 1.5
Groups = tuple[ArrayLike, ArrayLike]


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


def auc(
    positive: ArrayLike,
    negative: ArrayLike,
    *,
    level: float = CONFIDENCE,
    widen: float = 1.0,
    one_more: bool = True,
    groups: Groups | None = None,
) -> Auc:
    """The area under the ROC curve, ties counting half, with a two-sided interval inside [0, 1].

    `positive`: float64 (m,), `negative`: float64 (n,). `widen` multiplies the standard error. `one_more`: each end is
    also taken with one more picture on the wrong side. `groups`: of each positive (m,) and negative (n,) what it comes
    from, integers or texts; pictures of one group may depend on each other, and a group may lie in both sets. Raises
    ValueError when a set is empty or groups have another length, UserError for scores that are not finite.

    The standard error is DeLong's (DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988) by midranks in O(N log N)
    (Sun & Xu, IEEE SPL 21, 2014), with groups that of Obuchowski (Biometrics 53, 1997). The interval is symmetric in
    logit(AUC), so it stays inside (0, 1), and takes Student's t with Satterthwaite's degrees of freedom for small
    samples, as Brunner & Munzel (Biometrical Journal 42, 2000) do. Close to 0 and 1 it would be too narrow, so it is
    widened to hold Newcombe's interval as well. Where the error is zero or undefined (AUC 0 or 1, all scores equal, one
    picture in a set) `bounded_mean` takes its place.

    All this takes the error from the pictures that overlap with the other set. Where one set spreads wider and few of
    it overlap, another sample of it would have more of them; `one_more` (what rules of succession do for proportions)
    covers that, and never goes further than `bounded_mean`, which assumes nothing.
    """
    positive, negative = finite(positive, "positive scores"), finite(negative, "negative scores")
    if len(positive) == 0 or len(negative) == 0:
        raise ValueError("an AUC needs at least one score on each side")
    placed = Placed(*placements(positive, negative), *_codes(groups, len(positive), len(negative)))
    low, high, method = _interval(placed, level, widen)
    if one_more and method == "delong":
        least, most = bounded_mean(placed.value, placed.smallest, level)
        low = min(low, max(least, _lowest_with_one_more(placed, level, widen)))
        high = max(high, min(most, 1 - _lowest_with_one_more(placed.mirrored, level, widen)))
    return Auc(placed.value, low, high, method)


@dataclass(frozen=True)
class Placed:
    """DeLong's components of both sets, float64 (m,) and (n,), and the group of each picture, int64; None: its own."""

    above: np.ndarray
    below: np.ndarray
    above_of: np.ndarray | None = None
    below_of: np.ndarray | None = None

    @property
    def value(self) -> float:
        return min(1.0, max(0.0, float(self.above.mean())))

    @property
    def mirrored(self) -> Placed:
        return replace(self, above=1 - self.above, below=1 - self.below)

    @property
    def swapped(self) -> Placed:
        return Placed(self.below, self.above, self.below_of, self.above_of)

    @property
    def smallest(self) -> float:
        """How many independent pictures the smaller set counts for at least: pictures over the size of the largest
        group. With weights w of the groups' means, Hoeffding's bound holds with 1 / max w in place of n."""
        return min(_counted(len(self.above), self.above_of), _counted(len(self.below), self.below_of))

    def with_one_more(self) -> Placed:
        """With one more positive, of a group of its own, below all negatives."""
        m = len(self.above)
        above_of = None if self.above_of is None else np.append(self.above_of, -1)
        return Placed(np.append(self.above, 0.0), self.below * m / (m + 1), above_of, self.below_of)


def _counted(n: int, of: np.ndarray | None) -> float:
    return n if of is None else n / int(np.unique(of, return_counts=True)[1].max())


def _codes(groups: Groups | None, m: int, n: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    if groups is None:
        return None, None
    sides = [np.asarray(side) for side in groups]
    if [side.shape for side in sides] != [(m,), (n,)]:
        raise ValueError("give the group of every picture")
    codes = np.unique(np.concatenate(sides), return_inverse=True)[1]
    return codes[:m], codes[m:]


def _lowest_with_one_more(placed: Placed, level: float, widen: float) -> float:
    return min(
        _interval(placed.with_one_more(), level, widen)[0],
        _interval(placed.swapped.with_one_more().swapped, level, widen)[0],
    )


def _interval(placed: Placed, level: float, widen: float) -> tuple[float, float, Literal["delong", "bound"]]:
    value = placed.value
    variance, freedom, sizes = _variance(placed)
    if not 0 < value < 1 or variance < 1e-18:
        return *bounded_mean(value, placed.smallest, level), "bound"
    error = widen * math.sqrt(variance) / (value * (1 - value))
    reach = float(student.ppf((1 + level) / 2, freedom)) * error
    low, high = (float(end) for end in expit(logit(value) + np.array([-reach, reach])))
    low_too, high_too = _newcombe(value, *sizes, widen * float(norm.ppf((1 + level) / 2)))
    return min(low, low_too), max(high, high_too), "delong"


def _variance(placed: Placed) -> tuple[float, float, tuple[float, float]]:
    """The variance of an AUC, its degrees of freedom, and how many independent pictures each set counts for.

    The variance is 0 where a set has fewer than two pictures, or groups.
    """
    m, n = len(placed.above), len(placed.below)
    if min(m, n) < 2:
        return 0.0, 0.0, (m, n)
    parts = (placed.above.var(ddof=1) / m, placed.below.var(ddof=1) / n)
    if placed.above_of is not None and placed.below_of is not None:
        return _grouped(placed.above, placed.below, placed.above_of, placed.below_of, parts)
    variance = float(sum(parts))
    if variance < 1e-18:
        return 0.0, 0.0, (m, n)
    return variance, variance**2 / (parts[0] ** 2 / (m - 1) + parts[1] ** 2 / (n - 1)), (m, n)


def _grouped(
    above: np.ndarray, below: np.ndarray, above_of: np.ndarray, below_of: np.ndarray, alone: tuple[float, float]
) -> tuple[float, float, tuple[float, float]]:
    """As `_variance`, from sums over groups (Obuchowski 1997, eq. 2); alone: the two parts if none depended on another.

    What a set counts for is its size divided by the design effect, at least the number of its groups.
    """
    value = above.mean()
    labels = np.unique(np.concatenate([above_of, below_of]), return_inverse=True)[1]
    k = int(labels.max()) + 1
    sums, parts, freedom, sizes = [], [], [], []
    for scores, of, part in ((above, labels[: len(above)], alone[0]), (below, labels[len(above) :], alone[1])):
        groups = len(np.unique(of))
        if groups < 2:
            return 0.0, 0.0, (len(above), len(below))
        sums.append(np.bincount(of, (scores - value) / len(scores), k))
        parts.append(groups / (groups - 1) * float(sums[-1] @ sums[-1]))
        freedom.append(groups - 1)
        sizes.append(min(len(scores), max(groups, len(scores) * part / max(parts[-1], 1e-300))))
    variance = sum(parts) + 2 * k / (k - 1) * float(sums[0] @ sums[1])
    if variance < 1e-18:
        return 0.0, 0.0, (len(above), len(below))
    return variance, sum(parts) ** 2 / sum(p**2 / f for p, f in zip(parts, freedom)), (sizes[0], sizes[1])


def placements(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's components, float64 (m,) and (n,) in [0, 1]; the mean of either is the AUC.

    The share of negatives below each positive, and of positives above each negative, ties half.
    """
    m, n = len(positive), len(negative)
    rank = rankdata(np.concatenate([positive, negative]))
    return (rank[:m] - rankdata(positive)) / n, 1 - (rank[m:] - rankdata(negative)) / m


def _newcombe(value: float, m: float, n: float, z: float) -> tuple[float, float]:
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
