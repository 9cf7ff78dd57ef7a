"""One score of each row was chosen by a fair coin: does it lie higher than the others of its row?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from trainedon.errors import UserError
from trainedon.evidence.statistics.sign_flip import SMALLEST, WORK

LONGEST = 2**17  # sums that are told apart at most; of very many rows fewer weights are left


@final
@dataclass(frozen=True)
class ChosenTest:
    """One-sided p-value of "of each row, every score was as likely to be the chosen one".

    n: rows. n_first: rows whose chosen score is above all others. exact: whether the p-value is that of the
    distribution itself; else it is the bound `sign_flip.SMALLEST`, which lies above it.
    """

    p_value: float
    n: int
    n_first: int
    exact: bool


def chosen_test(chosen: ArrayLike, others: ArrayLike) -> ChosenTest:
    """chosen: float (n,), NaN where there is none. others: float (n, k), k >= 1, of the same rows.

    Quade's statistic (JASA 74, 1979): each row ranks its k + 1 scores, and counts by the rank of its range among the
    rows; with k = 1 that is Wilcoxon's signed rank test. Since coins chose, the rank of the chosen score is uniform
    over the ranks of its row, and independent of the other rows: p is the exact probability of a sum as high, whatever
    the scores are. A row with a score that is missing or not finite counts as the least that it can: the largest range,
    and the chosen score the lowest. So p is never smaller than with that score, whoever decided what is missing.

    Of many rows (thousands) weights are joined into classes, which leaves it exact; where even that is too much, the
    distribution is made by Fourier transform. Raises UserError for arrays of other shapes.
    """
    first, rest = np.asarray(chosen, np.float64), np.asarray(others, np.float64)
    if first.ndim != 1 or rest.ndim != 2 or len(first) != len(rest) or not rest.shape[1]:
        raise UserError(f"scores of shapes {first.shape} and {rest.shape}: give (n,) and (n, k), of the same n rows")
    values = np.column_stack([first, rest])
    whole = np.isfinite(values).all(axis=1)
    values[~whole] = [-1.0, *np.zeros(rest.shape[1])]
    ranges = np.where(whole, np.ptp(values, axis=1), math.inf)
    n_first = int((whole & (values[:, 0] > values[:, 1:].max(axis=1))).sum())
    kept = ranges > 0  # a row of equal scores says nothing
    values, ranges = values[kept], ranges[kept]
    if not len(values):
        return ChosenTest(1.0, 0, 0, exact=True)
    # twice the ranks, so that means of tied ones are whole numbers
    ranks = np.rint(2 * rankdata(values, axis=1)).astype(np.int64)
    ranks -= ranks.min(axis=1, keepdims=True)
    weights = np.rint(2 * rankdata(ranges)).astype(np.int64)
    ranks //= int(np.gcd.reduce(ranks, axis=None))
    if _work(weights[:, None] * ranks) > WORK:
        classes = max(1, min(int(weights.max()), LONGEST // int(ranks.max(axis=1).sum())))
        weights = np.ceil(weights * (classes / weights.max())).astype(np.int64)
    terms = weights[:, None] * ranks
    terms //= int(np.gcd.reduce(terms, axis=None))
    observed = int(terms[:, 0].sum())
    if _work(terms) <= WORK:
        return ChosenTest(min(1.0, _tail(terms, observed)), len(terms), n_first, exact=True)
    p = _tail_by_transform(terms, observed)
    return ChosenTest(min(1.0, max(p, SMALLEST)), len(terms), n_first, exact=p >= SMALLEST)


def _work(terms: np.ndarray) -> float:
    return float(terms.max(axis=1).sum()) * terms.size


def _tail(terms: np.ndarray, observed: int) -> float:
    """P(sum >= observed) where of each row of `terms`, int (n, k + 1), one is drawn; nothing cancels."""
    mass = np.zeros(int(terms.max(axis=1).sum()) + 1)
    mass[0], top = 1.0, 0
    for row in terms[np.argsort(terms.max(axis=1))].tolist():
        before = mass[: top + 1] / len(row)
        mass[: top + 1] = 0
        for value in row:
            mass[value : value + len(before)] += before
        top += max(row)
    return float(mass[observed:].sum())


def _tail_by_transform(terms: np.ndarray, observed: int) -> float:
    """The same through the characteristic function, to about 1e-14."""
    length = 1 << int(terms.max(axis=1).sum()).bit_length()
    angle = 2 * np.pi * np.arange(length // 2 + 1) / length
    transform = np.ones(len(angle), dtype=complex)
    kinds, counts = np.unique(np.sort(terms, axis=1), axis=0, return_counts=True)
    for row, count in zip(kinds, counts.tolist(), strict=True):
        transform *= np.mean([np.exp(-1j * value * angle) for value in row.tolist()], axis=0) ** count
    mass = np.fft.irfft(transform, length)
    return float(mass[observed:].sum())
