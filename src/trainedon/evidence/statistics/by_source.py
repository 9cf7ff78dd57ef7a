"""Tests for scores that depend on one another within a source, such as the works of one artist.

Of the variance of scores a share of .08 to .22 was measured to lie between sources. Pictures are then no independent
observations, and dealing labels picture by picture finds a difference between any two artists. Here labels are dealt as
they fell: whole sources where each source is either in question or not, and pictures within their source where it has
some of either kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, final

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from trainedon.evidence.statistics.intervals import CONFIDENCE

DEALS = 99_999
WORK = 2 * 10**7  # labels dealt at most, before there are fewer deals
FEWEST_DEALS = 9_999
CHUNK = 2**20  # labels dealt at once

Kind = Literal["between", "within"]
Groups = npt.NDArray[np.integer]


@final
@dataclass(frozen=True)
class SourceTest:
    """One-sided: do suspects score higher? p_value in (0, 1]; smallest: what it could have been at best.

    deals: how many ways to deal the labels it rests on; exact: whether these are all that there are.
    """

    p_value: float
    smallest: float
    deals: int
    exact: bool


def kind_of(suspects: Groups, unseen: Groups) -> Kind:
    """How labels are dealt: `within` sources where more than half of the suspects have unseen pictures of their own
    source, else `between` sources. suspects, unseen: the source of each picture, int (m,) and (n,)."""
    return "within" if 2 * np.isin(suspects, unseen).sum() > len(suspects) else "between"


def between_test(score: np.ndarray, is_suspect: np.ndarray, source: Groups, seed: int) -> SourceTest | None:
    """Whole sources are dealt: one in question against K that are not gives p = (1 + sources as high) / (K + 1).

    score: float64 (n,). is_suspect: bool (n,), alike within a source. source: int (n,). None without sources of both
    kinds. A source counts by the mean normal score of its pictures, over what such a mean spreads by for its number of
    pictures: sqrt(r + (1 - r) / n), r the intra-class correlation of all pictures (analysis of variance). Exact where
    sources are exchangeable, sizes and all; where those in question differ in size it rests on r.
    """
    groups, place = np.unique(source, return_inverse=True)
    first = np.zeros(len(groups), dtype=bool)
    first[place[is_suspect]] = True
    k, m = len(groups), int(first.sum())
    if not 0 < m < k:
        return None
    value = source_values(score, place)
    observed, ways = value[first].sum(), math.comb(k, m)
    if ways <= DEALS + 1:
        every = np.fromiter(
            (index for dealt in combinations(range(k), m) for index in dealt), np.intp, count=ways * m
        ).reshape(ways, m)
        as_high = int((value[every].sum(axis=1) >= observed - 1e-9).sum())
        return SourceTest(as_high / ways, 1 / ways, ways, exact=True)
    rng, as_high, deals = np.random.Generator(np.random.Philox(seed)), 0, _deals(k)
    for size in _chunks(deals, k):
        order = np.argpartition(rng.random((size, k)), m, axis=1)[:, :m]
        as_high += int((value[order].sum(axis=1) >= observed - 1e-9).sum())
    return SourceTest((1 + as_high) / (1 + deals), 1 / (1 + deals), deals, exact=False)


def source_values(score: np.ndarray, place: Groups) -> np.ndarray:
    """What each source counts by, float64 (k,): see `between_test`. place: the source of each picture, in 0..k - 1."""
    n = np.bincount(place)
    normal = _normal(score)
    mean = np.bincount(place, normal) / n
    r = intraclass(normal, place)
    value: np.ndarray = mean / np.sqrt(r + (1 - r) / n)
    return value


def _normal(score: np.ndarray) -> npt.NDArray[np.float64]:
    """The ranks of scores as normal quantiles: one wild score does not count for more than its place."""
    quantiles: npt.NDArray[np.float64] = norm.ppf(rankdata(score) / (len(score) + 1))
    return quantiles


def intraclass_of_ranks(score: np.ndarray, source: Groups) -> float:
    """The intra-class correlation of the normal scores. source: int (n,)."""
    return intraclass(_normal(score), np.unique(source, return_inverse=True)[1])


def design_effect(score: np.ndarray, source: Groups) -> float:
    """How much larger the variance of a mean is than that of independent scores: 1 + (n - 1) r, n the mean over
    pictures of the size of their source, r the intra-class correlation (Kish, Survey Sampling, 1965). At least 1."""
    n = np.unique(source, return_counts=True)[1]
    return 1 + (float((n**2).sum() / n.sum()) - 1) * intraclass_of_ranks(score, source)


def intraclass(value: np.ndarray, place: Groups) -> float:
    """The share of variance between groups, in [0, 1]: the estimator of one-way analysis of variance for groups of
    unequal size (Donner, International Statistical Review 54, 1986), 0 where each has one value or there is one."""
    n = np.bincount(place)
    total, k = int(n.sum()), len(n)
    if k < 2 or total == k:
        return 0.0
    mean = np.bincount(place, value) / n
    between = float((n * (mean - value.mean()) ** 2).sum()) / (k - 1)
    within = float(((value - mean[place]) ** 2).sum()) / (total - k)
    usual = (total - float((n**2).sum()) / total) / (k - 1)
    spread = between + (usual - 1) * within
    return min(1.0, max(0.0, (between - within) / spread)) if spread > 0 else 0.0


def within_test(score: np.ndarray, is_suspect: np.ndarray, source: Groups, seed: int) -> SourceTest | None:
    """Labels are dealt within each source that has pictures of both kinds; the others have no part in it.

    Shapes as of `between_test`. None without such a source. The statistic is van Elteren's sum of ranks within sources,
    each over the size of its source plus one (Bulletin of the International Statistical Institute 37, 1960).
    """
    among = shared(is_suspect, source)
    if not among.any():
        return None
    score, is_suspect = score[among], is_suspect[among]
    place = np.unique(source[among], return_inverse=True)[1]
    order = np.lexsort((score, place))
    place, is_suspect = place[order], is_suspect[order]
    n = np.bincount(place)
    start = np.cumsum(n) - n
    parts = np.split(score[order], start[1:])
    value = np.concatenate([rankdata(part) / (len(part) + 1) for part in parts])
    m = np.bincount(place, is_suspect).astype(np.intp)
    observed, ways = float(value[is_suspect].sum()), math.prod(math.comb(*pair) for pair in zip(n.tolist(), m.tolist()))
    dealt_first = np.arange(len(place)) - start[place] < m[place]  # the places that a random order gives to suspects
    rng, as_high, deals = np.random.Generator(np.random.Philox(seed)), 0, _deals(len(place))
    for size in _chunks(deals, len(place)):
        keys = rng.random((size, len(place))) + place  # sorted, sources stay apart and are shuffled within
        dealt = np.argsort(keys, axis=1)[:, dealt_first]
        as_high += int((value[dealt].sum(axis=1) >= observed - 1e-9).sum())
    return SourceTest((1 + as_high) / (1 + deals), max(1 / ways, 1 / (1 + deals)), deals, exact=False)


def shared(is_suspect: np.ndarray, source: Groups) -> npt.NDArray[np.bool_]:
    """Which pictures are of a source that has both kinds: bool (n,)."""
    both = np.intersect1d(source[is_suspect], source[~is_suspect])
    return np.isin(source, both)


@final
@dataclass(frozen=True)
class WithinAuc:
    """P(suspect > unseen picture of the same source) + P(equal) / 2, and an interval inside [0, 1]."""

    value: float
    interval: tuple[float, float]
    method: Literal["newcombe"] = "newcombe"


def auc_within(
    score: np.ndarray, is_suspect: np.ndarray, source: Groups, level: float = CONFIDENCE
) -> WithinAuc | None:
    """The mean of the AUCs within sources, each weighted by its number of pairs; None without a source of both kinds.

    Shapes as of `between_test`. The interval holds all q from which the value lies no further than z standard errors at
    q, those of Hanley and McNeil for each source (Newcombe, Statistics in Medicine 25, 2006, part 2, method 5).
    """
    among = shared(is_suspect, source)
    if not among.any():
        return None
    pairs, total, sizes = 0, 0.0, []
    for group in np.unique(source[among]):
        here = source == group
        high, low = score[here & is_suspect], score[here & ~is_suspect]
        rank = rankdata(np.concatenate([high, low]))[: len(high)]
        total += float(rank.sum()) - len(high) * (len(high) + 1) / 2
        pairs += len(high) * len(low)
        sizes.append((len(high), len(low)))
    value, z = total / pairs, float(norm.ppf((1 + level) / 2))

    def excess(q: float) -> float:
        spread = (1 - q) / (2 - q) + q / (1 + q)
        variance = sum(m * n * (1 + ((m + n) / 2 - 1) * spread) for m, n in sizes) * q * (1 - q) / pairs**2
        return (value - q) ** 2 - z**2 * variance

    tiny = 1e-12
    low_end = brentq(excess, tiny, value) if value > tiny and excess(tiny) > 0 else 0.0
    high_end = brentq(excess, value, 1 - tiny) if value < 1 - tiny and excess(1 - tiny) > 0 else 1.0
    return WithinAuc(value, (float(low_end), float(high_end)))


def deal_between(is_suspect: np.ndarray, source: Groups, deals: int, rng: np.random.Generator) -> np.ndarray:
    """Labels with whole sources dealt anew, bool (n, deals): each deal once where there are no more, and then without
    the deal as it fell. Shapes as of `between_test`."""
    groups, place = np.unique(source, return_inverse=True)
    first = np.zeros(len(groups), dtype=bool)
    first[place[is_suspect]] = True
    m, k = int(first.sum()), len(groups)
    if math.comb(k, m) <= deals + 1:
        every = [dealt for dealt in combinations(range(k), m) if not first[list(dealt)].all()]
    else:
        every = [tuple(rng.permutation(k)[:m]) for _ in range(deals)]
    labels = np.zeros((k, len(every)), dtype=bool)
    for column, dealt in enumerate(every):
        labels[list(dealt), column] = True
    return labels[place]


def deal_within(is_suspect: np.ndarray, source: Groups, deals: int, rng: np.random.Generator) -> np.ndarray:
    """Labels dealt anew within each source, bool (n, deals). Shapes as of `between_test`."""
    labels = np.empty((len(source), deals), dtype=bool)
    for group in np.unique(source):
        rows = np.flatnonzero(source == group)
        labels[rows] = rng.permuted(np.broadcast_to(is_suspect[rows, None], (len(rows), deals)), axis=0)
    return labels


def _deals(n: int) -> int:
    """How many deals of n labels, so that the test does not take for ever."""
    return max(FEWEST_DEALS, min(DEALS, WORK // n))


def _chunks(deals: int, n: int) -> list[int]:
    size = max(1, CHUNK // n)
    return [min(size, deals - start) for start in range(0, deals, size)]
