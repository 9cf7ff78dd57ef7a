"""The blind baseline where labels are dealt by whose work a picture is.

Anybody's works differ from everybody else's, so the question is not whether they can be told apart, but whether they
can be told apart better than those of others: labels are dealt as in the test of the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from trainedon.evidence.statistics import by_source
from trainedon.evidence.statistics.two_sample import FOLDS, Deal
from trainedon.evidence.table.picture_table import Facts

LIKE = 0.5  # an unseen source with less than this share of the pictures of the suspects' smallest is not like it
FEWEST_DEALS = 20  # with fewer no outcome would be found at 5 %


@dataclass(frozen=True)
class Dealt:
    """The pictures that are compared, and how labels are dealt among them."""

    first: Sequence[Facts]
    unseen: Sequence[Facts]
    deal: Deal


def dealt(first: Sequence[Facts], unseen: Sequence[Facts], deals: int, seed: int) -> Dealt | str:
    """The pictures of those in both sets that can be compared; or why there are too few.

    Between sources each counts with as many pictures as the smallest of the suspects' has, and those with less than
    half as many are left out: the works of few are less easily told apart.
    """
    whose = np.array([_whose(p) for part in (first, unseen) for p in part])
    source = np.unique(whose, return_inverse=True)[1]
    is_first = np.arange(len(source)) < len(first)
    kind = by_source.kind_of(source[is_first], source[~is_first])
    both = by_source.shared(is_first, source)
    kept = both if kind == "within" else _alike(source, is_first, is_first | ~both)
    rows = np.flatnonzero(kept)
    rng = np.random.Generator(np.random.Philox(seed))
    if kind == "within":
        labels = by_source.deal_within(is_first[rows], source[rows], deals, rng)
    elif is_first[rows].all():
        labels = np.empty((len(rows), 0), dtype=bool)
    else:
        labels = by_source.deal_between(is_first[rows], source[rows], deals, rng)
    if labels.shape[1] < FEWEST_DEALS:
        n = len(np.unique(source[rows][~is_first[rows]]))
        return f"there are {n} unseen sources with about as many pictures as a suspects' one has, and it needs 20"
    m = int(is_first[rows].sum())
    chosen = [first[int(at)] if at < len(first) else unseen[int(at) - len(first)] for at in rows]
    return Dealt(chosen[:m], chosen[m:], Deal(_folds(source[rows], rng), labels))


def untaught(fold: np.ndarray, m: int) -> str | None:
    """Why no classifier can be fitted, or None. fold: of m pictures in question and the unseen ones, int (n,)."""
    for name, part in (("pictures in question", fold[:m]), ("unseen pictures", fold[m:])):
        if len(np.unique(part)) < 2:
            return f"all {name} are in one of the {FOLDS} folds by source, and the others have none to learn from"
    return None


def dealt_p(values: np.ndarray, m: int, deal: Deal) -> float:
    """Two-sided p-value of the first m values, float64 (n,), lying higher or lower than the others."""
    n, rank = len(values), rankdata(values)
    labels = np.column_stack([np.arange(n) < m, deal.labels])
    size = labels.sum(axis=0)
    away = np.abs((rank @ labels - size * (size + 1) / 2) / (size * (n - size)) - 0.5)
    return float((away >= away[0] - 1e-12).mean())


def _whose(picture: Facts) -> str:
    """The source of a picture; one that has none is one by itself."""
    source = picture.get("source")
    return f"of {source}" if source else f"alone {picture['set']} {picture['picture']}"


def _alike(source: np.ndarray, is_first: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Which pictures stay, bool (n,), so that all sources are of about one size."""
    size = np.bincount(source, among)
    most = int(size[np.unique(source[is_first])].min())
    ordinal = _ordinals(np.where(among, source, -1))
    like: np.ndarray = among & (ordinal < most) & (is_first | (size[source] >= LIKE * most))
    return like


def _ordinals(group: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within each group, in order."""
    order = np.argsort(group, kind="stable")
    begin = np.flatnonzero(np.append(True, np.diff(group[order]) != 0))
    out = np.empty(len(group), dtype=np.intp)
    out[order] = np.arange(len(group)) - np.repeat(begin, np.diff(np.append(begin, len(group))))
    return out


def _folds(source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Folds, int (n,), each of which holds a fifth of each source, as nearly as can be, and a fifth of all: a source
    begins where the one before has ended. Which of its pictures are in question has no part in it: were they spread
    evenly, dealt labels would be less so, and sets that are alike would be told apart too often."""
    out = np.empty(len(source), dtype=np.intp)
    out[np.lexsort((rng.random(len(source)), source))] = np.arange(len(source)) % FOLDS
    return out
