"""From scores to p-values: one picture, many pictures, a set of pictures, several attacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from trainedon.evidence.statistics.finite import finite, p_values

PERMUTATIONS = 9_999
GROUPS = 128
CHUNK = 1_000
# The draw is part of the protocol, so that everybody gets the same p-value from the same scores.
SEED = 20240313


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


def permutation_test(suspects: ArrayLike, unseen: ArrayLike, permutations: int = PERMUTATIONS) -> SetTest:
    """One-sided permutation test of the difference of mean ranks: do suspects, float64 (m,), lie above unseen, (n,)?

    p = (1 + #{permuted >= observed}) / (1 + permutations), valid and never 0 (Phipson & Smyth, SAGMB 9, 2010).
    Raises UserError for scores that are not finite.

    With the pooled scores and both sizes fixed, the difference of mean ranks depends on the rank sum of the smaller
    set alone. So a permutation need only say how many of that set fall into each class of equal rank, which is one
    multivariate hypergeometric draw. Above GROUPS classes neighbouring ones are joined first; labels are permuted over
    the same joined ranks, so the test stays valid, and time and memory do not grow with n. Twice the mean rank of a
    class is whole: sums are exact.
    """
    suspects, unseen = finite(suspects, "suspects' scores"), finite(unseen, "unseen scores")
    m, n = len(suspects), len(unseen)
    kind = _rank_classes(np.concatenate([suspects, unseen]))
    sizes = np.bincount(kind)
    last = np.cumsum(sizes)
    doubled = 2 * last - sizes + 1  # first + last rank of a class
    small, sign = (kind[:m], 1) if m <= n else (kind[m:], -1)
    observed = sign * int(doubled[small].sum())
    rng = np.random.Generator(np.random.Philox(SEED))
    as_high = as_low = 0
    for start in range(0, permutations, CHUNK):
        size = min(CHUNK, permutations - start)
        drawn = rng.multivariate_hypergeometric(sizes, len(small), size=size, method="marginals")  # (size, classes)
        sums = sign * (drawn @ doubled)
        as_high += int((sums >= observed).sum())
        as_low += int((sums <= observed).sum())
    high, low = ((1 + count) / (1 + permutations) for count in (as_high, as_low))
    return SetTest(high, min(1.0, 2 * min(high, low)), permutations)


def smallest_p(m: int, n: int) -> float:
    """The smallest p-value that a permutation test of m against n pictures can reach: 1 / C(m + n, m)."""
    ways = 1
    for i in range(1, min(m, n) + 1):
        ways = ways * (m + n - min(m, n) + i) // i
        if ways > 10**9:
            break
    return 1 / ways


def _rank_classes(pooled: np.ndarray) -> np.ndarray:
    """The class of each score, 0 for the lowest: equal scores share one, and there are at most GROUPS + 1 of them."""
    _, distinct, sizes = np.unique(pooled, return_inverse=True, return_counts=True)
    if len(sizes) <= GROUPS:
        return distinct
    first = np.cumsum(sizes) - sizes
    joined = first * GROUPS // len(pooled)
    groups: np.ndarray = np.unique(joined, return_inverse=True)[1]
    return groups[distinct]
