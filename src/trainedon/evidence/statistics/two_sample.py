"""The classifier two-sample test (Lopez-Paz and Oquab, arXiv 1610.06545), cross-fitted, its p-value by permutations.

Scores of different folds share training rows, so their AUC spreads more than the usual formulas say: a test that treats
them as independent raises false alarms. Here labels are dealt anew within the folds and every fit is repeated, which is
valid whatever the classifier, as long as it is the same one each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

FOLDS = 5
CHUNK = 250  # permutations drawn at once
CELLS = 1 << 18  # rows times permutations that are fitted at once: room does not grow with the rows
RIDGE = 1.0
SWEEPS = 20  # over all columns
NEWTON = 8  # steps; the penalised likelihood is convex, and eight are enough from zero
# (x float64 (a, d), labels float64 (a, b) in {0, 1}, z float64 (c, d)) -> scores of z, one column a labelling: (c, b)
Classifier = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class View:
    """One way to describe the same rows: x float64 (n, d), and the classifier that reads it."""

    x: np.ndarray
    classifier: Classifier


@dataclass(frozen=True)
class Deal:
    """How labels are dealt where that is not picture by picture. fold: of each row, int (n,). labels: the dealt ones,
    bool (n, deals), none of them as the labels are."""

    fold: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class ClassifierTest:
    """How well the classifier of one view tells the two sets apart: out-of-fold scores float64 (n,), their AUC, the
    p-value of that AUC alone, and how much wider than a plain AUC it spreads when there is no difference."""

    score: np.ndarray
    auc: float
    p_value: float
    widen: float


def discriminant(ridge: float = RIDGE) -> Classifier:
    """Fisher's linear discriminant: least squares on the labels with an L2 penalty, all labellings in one solve."""

    def fit(x: np.ndarray, labels: np.ndarray, z: np.ndarray) -> np.ndarray:
        fitted: np.ndarray
        if x.shape[1] <= len(x):
            fitted = z @ np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ labels)
        else:  # the same, by the smaller matrix
            fitted = (z @ x.T) @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), labels)
        return fitted

    return fit


def logistic(x: np.ndarray, labels: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Logistic regression with an L2 penalty (none on the intercept) by Newton's method, all labellings side by side.

    Returns the log-odds without the intercept.
    """
    x = np.column_stack([np.ones(len(x)), x])
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)  # (a, d d)
    penalty = np.diag([0.0, *[RIDGE] * (x.shape[1] - 1)])
    beta = np.zeros((labels.shape[1], x.shape[1]))
    for _ in range(NEWTON):
        p = expit(x @ beta.T)  # (a, b)
        gradient = (labels - p).T @ x - beta @ penalty
        hessian = ((p * (1 - p)).T @ products).reshape(len(beta), *penalty.shape) + penalty
        beta = beta + np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    return z @ beta[:, 1:].T


def one_sided(ridge: float = RIDGE) -> Classifier:
    """Fisher's linear discriminant without negative weights, by coordinate descent on the common Gram matrix.

    So rows that are lower in every column never score higher: what is found runs in the columns' own direction.
    """

    def fit(x: np.ndarray, labels: np.ndarray, z: np.ndarray) -> np.ndarray:
        gram, target = x.T @ x + ridge * np.eye(x.shape[1]), x.T @ labels
        weights = np.zeros_like(target)
        for _ in range(SWEEPS):
            for column, own in enumerate(gram):
                step = (target[column] - own @ weights) / own[column]
                weights[column] = np.maximum(weights[column] + step, 0)
        scores: np.ndarray = z @ weights
        return scores

    return fit


def classifier_two_sample_test(
    views: Sequence[View],
    m: int,
    permutations: int,
    seed: int,
    enough: int | None = None,
    deal: Deal | None = None,
) -> tuple[list[ClassifierTest], float, int]:
    """How well the first m rows are told from the rest by each view, and one p-value for all views together.

    Returns (one ClassifierTest a view, p-value of the most striking of them, number of permutations). That p-value
    compares the smallest single p-value with what it is under the same permutations (Westfall & Young, 1993), so
    looking in several ways costs no validity. enough: of a single view, stop once so many permutations are as striking
    as what was observed; the p-value is then that number over the permutations made, and stays valid (Besag & Clifford,
    Biometrika 78, 1991). deal: in place of `permutations` dealt within folds.
    """
    n = len(views[0].x)
    truth = np.arange(n) < m
    fold = np.concatenate([np.arange(m), np.arange(n - m)]) % FOLDS
    if deal is not None:
        fold, permutations = deal.fold, deal.labels.shape[1]
    scores = [_out_of_fold(view, fold, truth[:, None].astype(float))[:, 0] for view in views]
    observed = np.array([aucs(score[:, None], truth[:, None])[0] for score in scores])
    rng = np.random.Generator(np.random.Philox(seed))
    null, made, as_high = [], 0, 0
    # Thousands of small products: threads that share them wait for each other longer than they work.
    with threadpool_limits(1, "blas"):
        while made < permutations and (enough is None or as_high < enough):
            size = min(CHUNK, permutations - made)
            labels = _dealt(truth, fold, size, rng) if deal is None else deal.labels[:, made : made + size]
            null.append(np.stack([_null(view, fold, labels) for view in views]))
            made += labels.shape[1]
            as_high += int((null[-1][0] >= observed[0] - 1e-12).sum())
    drawn = np.concatenate(null, axis=1)  # (views, permutations)
    together, made = _together(drawn, observed, enough)
    plain = null_spread(m, n - m)
    found = [
        ClassifierTest(score, float(value), _p_value(row[:made], value), max(1.0, float(row.std()) / plain))
        for score, value, row in zip(scores, observed, drawn, strict=True)
    ]
    return found, together, made


def _null(view: View, fold: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """AUCs of a view under dealt labels, bool (n, b): float64 (b,)."""
    size = max(1, CELLS // len(labels))
    parts = (labels[:, start : start + size] for start in range(0, labels.shape[1], size))
    return np.concatenate([aucs(_out_of_fold(view, fold, part.astype(float)), part) for part in parts])


def _together(drawn: np.ndarray, observed: np.ndarray, enough: int | None) -> tuple[float, int]:
    """The p-value over all views, float64 drawn (views, b), and on how many permutations it rests."""
    if enough is not None:
        reached = np.cumsum(drawn[0] >= observed[0] - 1e-12)
        if reached[-1] >= enough:
            made = int(np.searchsorted(reached, enough)) + 1
            return enough / made, made
    every = np.column_stack([observed, drawn]).round(12)  # (views, 1 + b)
    share = np.stack([rankdata(-row, method="max") for row in every]) / every.shape[1]
    striking = share.min(axis=0)
    return float((striking <= striking[0] + 1e-12).mean()), drawn.shape[1]


def null_spread(m: int, n: int) -> float:
    """Standard deviation of the AUC of m against n independent scores that are spread alike (Mann and Whitney, Annals
    of Mathematical Statistics 18, 1947)."""
    return math.sqrt((m + n + 1) / (12 * m * n))


def _p_value(null: np.ndarray, observed: float) -> float:
    return (1 + int((null >= observed - 1e-12).sum())) / (1 + len(null))


def _dealt(truth: np.ndarray, fold: np.ndarray, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Labels dealt anew within each fold, bool (n, columns)."""
    labels = np.empty((len(truth), columns), dtype=bool)
    for k in range(FOLDS):
        rows = np.flatnonzero(fold == k)
        labels[rows] = rng.permuted(np.broadcast_to(truth[rows, None], (len(rows), columns)), axis=0)
    return labels


def _out_of_fold(view: View, fold: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Scores (n, b) of each row by the classifier fitted on the other folds, for every column of `labels` (n, b).

    Columns of x are centred and scaled by the other folds alone. A fold's mean score says how many of the other folds
    are labelled, and would tell folds apart; it is left out.
    """
    out = np.empty(labels.shape)
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        centre, spread = view.x[train].mean(axis=0), view.x[train].std(axis=0)
        spread[spread < 1e-9] = 1.0
        out[test] = view.classifier((view.x[train] - centre) / spread, labels[train], (view.x[test] - centre) / spread)
    return out


def aucs(score: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """AUC of each column, (b,), for scores and bool labels (n, b). Raises ValueError for a score that is NaN: compared
    with others it is never as high, and would pass for a difference that was not found."""
    if np.isnan(score).any():
        raise ValueError("the classifier gives a score that is no number")
    m = labels.sum(axis=0)
    ranks = (rankdata(score.round(12), axis=0) * labels).sum(axis=0)
    found: np.ndarray = (ranks - m * (m + 1) / 2) / (m * (len(labels) - m))
    return found
