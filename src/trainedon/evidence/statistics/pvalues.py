"""From scores to p-values: one picture, many pictures, a set of pictures, several attacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from trainedon.evidence.statistics.finite import finite, p_values

CHUNK = 10_000  # deals made at once
SEED = 20240313  # where nothing else says which


def conformal_p(scores: ArrayLike, unseen: ArrayLike) -> np.ndarray:
    """One p-value a score: (1 + #{unseen >= score}) / (1 + n), float64 in [1 / (1 + n), 1].

    `scores`: float64 (m,); `unseen`: float64 (n,). Valid at every n, ties included, for a picture that is exchangeable
    with the unseen ones (Vovk, Gammerman & Shafer, 2005, prop. 2.4). Raises UserError for scores that are not finite.
    """
    scores, unseen = finite(scores, "scores"), finite(unseen, "unseen scores")
    as_high = len(unseen) - np.searchsorted(np.sort(unseen), scores, side="left")
    return (1 + as_high) / (1 + len(unseen))


def benjamini_hochberg(p: ArrayLike) -> np.ndarray:
    """q-values: naming every picture with q <= f keeps the expected share of wrong names at or below f.

    p, result: float64 (m,) in [0, 1] (Benjamini & Hochberg, JRSS B 57, 1995). Holds for conformal p-values that share
    their unseen pictures, since those depend positively on each other (Bates et al., Annals of Statistics 51, 2023).
    Raises UserError for what is no p-value.
    """
    p = p_values(p)
    m = len(p)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * m / np.arange(1, m + 1)
    q = np.empty(m)
    q[order] = np.minimum(1, np.minimum.accumulate(scaled[::-1])[::-1])
    return q


def holm(p: ArrayLike) -> np.ndarray:
    """Adjusted p-values for several attacks: float64 (k,) in [0, 1], valid under any dependence (Holm, Scandinavian
    Journal of Statistics 6, 1979). Raises UserError for what is no p-value."""
    p = p_values(p)
    k = len(p)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(k)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(k, 0, -1)))
    return adjusted


@final
@dataclass(frozen=True)
class SetTest:
    """Whether suspects as a set score higher than unseen pictures, one-sided, and whether they differ, two-sided."""

    p_value: float
    two_sided: float
    permutations: int


@final
@dataclass(frozen=True)
class Deals:
    """How labels are dealt anew: how many times; picture by picture where the smaller set has at most `one_by_one`,
    otherwise over ranks that are joined into about `classes` classes."""

    permutations: int = 99_999
    one_by_one: int = 64
    classes: int = 32


DEALS = Deals()
FEWER = Deals(9_999, one_by_one=0, classes=128)


def permutation_test(suspects: ArrayLike, unseen: ArrayLike, deals: Deals = DEALS, seed: int = SEED) -> SetTest:
    """One-sided permutation test of the difference of mean ranks: do suspects, float64 (m,), lie above unseen, (n,)?

    p = (1 + #{permuted >= observed}) / (1 + permutations), valid and never 0 (Phipson & Smyth, SAGMB 9, 2010). seed: of
    the deals; it must have nothing to do with the scores. Raises UserError for scores that are not finite.

    With the pooled scores and both sizes fixed, the difference of mean ranks depends on the rank sum of the smaller
    set alone. A small set is dealt picture by picture. Of a large one a permutation need only say how many fall into
    each class of equal rank, which is one multivariate hypergeometric draw; where there are more distinct scores than
    classes neighbouring ones are joined first, and labels are permuted over the same joined ranks, so the test stays
    valid, and time and memory do not grow with n. Twice a mean rank is whole: sums are exact.
    """
    suspects, unseen = finite(suspects, "suspects' scores"), finite(unseen, "unseen scores")
    m, n = len(suspects), len(unseen)
    smaller, sign = (slice(None, m), 1) if m <= n else (slice(m, None), -1)
    pooled, rng = np.concatenate([suspects, unseen]), np.random.Generator(np.random.Philox(seed))
    dealt = _over_pictures(pooled, rng) if min(m, n) <= deals.one_by_one else _over_classes(pooled, deals.classes, rng)
    observed = sign * int(dealt.doubled[smaller].sum())
    as_high = as_low = 0
    for start in range(0, deals.permutations, CHUNK):
        sums = sign * dealt.sums(min(m, n), min(CHUNK, deals.permutations - start))
        as_high += int((sums >= observed).sum())
        as_low += int((sums <= observed).sum())
    high, low = ((1 + count) / (1 + deals.permutations) for count in (as_high, as_low))
    return SetTest(high, min(1.0, 2 * min(high, low)), deals.permutations)


@dataclass(frozen=True)
class _Dealt:
    """doubled: twice the mean rank of each score, int64 (n,). sums: (k, size) -> the sum of these over k of the
    pictures, int64 (size,), for `size` deals."""

    doubled: np.ndarray
    sums: Callable[[int, int], np.ndarray]


def _over_pictures(pooled: np.ndarray, rng: np.random.Generator) -> _Dealt:
    doubled = (2 * rankdata(pooled)).astype(np.int64)
    return _Dealt(doubled, lambda k, size: doubled[_without_replacement(len(pooled), k, size, rng)].sum(axis=0))


def _over_classes(pooled: np.ndarray, classes: int, rng: np.random.Generator) -> _Dealt:
    kind = _rank_classes(pooled, classes)
    sizes = np.bincount(kind)
    doubled = 2 * np.cumsum(sizes) - sizes + 1  # first + last rank of a class
    return _Dealt(
        doubled[kind],
        lambda k, size: rng.multivariate_hypergeometric(sizes, k, size=size, method="marginals") @ doubled,
    )


def _without_replacement(n: int, k: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """`size` sets of k of the numbers below n, all equally likely: int32 (k, size) (Floyd; Bentley, CACM 30, 1987)."""
    chosen = np.empty((k, size), dtype=np.int32)
    for row, last in enumerate(range(n - k, n)):
        drawn = rng.integers(0, last + 1, size=size, dtype=np.int32)
        chosen[row] = np.where((chosen[:row] == drawn).any(axis=0), last, drawn)
    return chosen


def smallest_p(m: int, n: int) -> float:
    """The smallest p-value that a permutation test of m against n pictures can reach: 1 / C(m + n, m)."""
    ways = 1
    for i in range(1, min(m, n) + 1):
        ways = ways * (m + n - min(m, n) + i) // i
        if ways > 10**9:
            break
    return 1 / ways


def _rank_classes(pooled: np.ndarray, classes: int) -> np.ndarray:
    """The class of each score, 0 for the lowest: equal scores share one, and there are at most classes + 1 of them."""
    _, distinct, sizes = np.unique(pooled, return_inverse=True, return_counts=True)
    if len(sizes) <= classes:
        return distinct
    first = np.cumsum(sizes) - sizes
    joined = first * classes // len(pooled)
    groups: np.ndarray = np.unique(joined, return_inverse=True)[1]
    return groups[distinct]
