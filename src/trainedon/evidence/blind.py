"""The blind baseline: what tells two sets of pictures apart without asking the model.

If file facts and colour statistics alone separate suspects from unseen pictures, then a difference of scores between
them says nothing about training (Das et al., arXiv 2406.16201; Zhang et al., arXiv 2409.19798).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import fisher_exact, ks_2samp, rankdata

from trainedon.evidence.documents import Blind
from trainedon.evidence.roc import auc

LEVEL = 0.05  # of the permutation test; higher would be more cautious, and spoil more honest audits
MISMATCH_LEVEL = 0.01
FEWEST = 10  # pictures a side
MOST = 4096  # pictures a side, chosen by digest: enough to see any difference that matters
FOLDS = 5
PERMUTATIONS = 999
CHUNK = 250
RIDGE = 1.0
SEED = 20240619
LOGGED = ("width", "height", "bytes", "sharpness")
PLAIN = ("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b")
Facts = Mapping[str, object]


@dataclass(frozen=True)
class Findings:
    """The baseline's document, and in words why a mismatch was found (None when it was not)."""

    blind: Blind
    codec: str | None
    resolution: str | None


def run(pictures: Iterable[Facts] | None, set_name: str) -> Findings:
    """Compare the usable pictures of `set_name` with the unseen ones. `pictures`: the inventory, or None."""
    if pictures is None:
        return _not_run("no facts about the pictures were given, only scores", 0, 0, None, None)
    usable = [p for p in pictures if not p.get("reason") and _numbers(p) is not None]
    first, unseen = (_chosen([p for p in usable if p["set"] == name]) for name in (set_name, "unseen"))
    codec = resolution = None
    if first and unseen:
        codec, resolution = codec_mismatch(first, unseen), resolution_mismatch(first, unseen)
    if min(len(first), len(unseen)) < FEWEST:
        why = f"it needs {FEWEST} usable pictures a side; there are {len(first)} and {len(unseen)}"
        return _not_run(why, len(first), len(unseen), codec, resolution)
    test = separation(features([*first, *unseen]), len(first))
    interval = auc(test.score[: len(first)], test.score[len(first) :], widen=test.widen)
    blind = Blind(
        auc=interval.value,
        auc_ci=interval.interval,
        p_value=test.p_value,
        level=LEVEL,
        separates=test.p_value < LEVEL,
        codec_mismatch=codec is not None,
        resolution_mismatch=resolution is not None,
        n_pictures=len(first),
        n_unseen=len(unseen),
        reason=None,
    )
    return Findings(blind, codec, resolution)


def _not_run(reason: str, m: int, n: int, codec: str | None, resolution: str | None) -> Findings:
    compared = m > 0 and n > 0
    blind = Blind(
        auc=None,
        auc_ci=None,
        p_value=None,
        level=LEVEL,
        separates=None,
        codec_mismatch=codec is not None if compared else None,
        resolution_mismatch=resolution is not None if compared else None,
        n_pictures=m,
        n_unseen=n,
        reason=reason,
    )
    return Findings(blind, codec, resolution)


def _chosen(pictures: Sequence[Facts]) -> list[Facts]:
    """In the order of their digests, which has nothing to do with their names; at most MOST."""
    return sorted(pictures, key=lambda p: (str(p.get("sha256")), str(p["picture"])))[:MOST]


def _numbers(picture: Facts) -> list[float] | None:
    values = [picture.get(name) for name in (*LOGGED, *PLAIN)]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return None
    logged = [math.log1p(max(0.0, float(value))) for value in values[: len(LOGGED)]]
    return logged + [float(value) for value in values[len(LOGGED) :]]


def features(pictures: Sequence[Facts]) -> np.ndarray:
    """File and colour facts as float64 (n, d).

    Logs of sizes and sharpness, colour means and spreads, format and mode as indicators.
    """
    columns = [np.array([_numbers(p) for p in pictures])]
    for name in ("format", "mode"):
        values = [str(p.get(name)) for p in pictures]
        columns += [np.array([[value == kind] for value in values], dtype=float) for kind in sorted(set(values))]
    return np.hstack(columns)


@dataclass(frozen=True)
class Separation:
    """Out-of-fold scores float64 (m + n,), the p-value of their AUC, and how much wider than a plain AUC it spreads."""

    score: np.ndarray
    p_value: float
    widen: float


def separation(x: np.ndarray, m: int, permutations: int = PERMUTATIONS) -> Separation:
    """Cross-fitted linear discriminant of the first m rows of `x` (float64 (m + n, d)) against the rest.

    Five folds, stratified; each is scored by Fisher's discriminant (least squares on the labels, ridge-regularised)
    fitted on the other four. Scores of different folds share training pictures, so their AUC spreads more than the
    usual formulas say: the p-value comes from permuting labels within folds and fitting everything again, which is
    exact. All permutations of a fold share one matrix to solve, which is why the discriminant is a linear one.
    """
    n = len(x) - m
    truth = np.arange(len(x)) < m
    fold = np.concatenate([np.arange(m), np.arange(n)]) % FOLDS
    score = _out_of_fold(x, fold, truth[:, None].astype(float))[:, 0]
    observed = _aucs(score[:, None], truth[:, None])[0]
    rng = np.random.Generator(np.random.Philox(SEED))
    permuted = []
    for start in range(0, permutations, CHUNK):
        labels = np.empty((len(x), min(CHUNK, permutations - start)), dtype=bool)
        for k in range(FOLDS):
            rows = np.flatnonzero(fold == k)
            labels[rows] = rng.permuted(np.broadcast_to(truth[rows, None], (len(rows), labels.shape[1])), axis=0)
        permuted.append(_aucs(_out_of_fold(x, fold, labels.astype(float)), labels))
    null = np.concatenate(permuted)
    as_high = int((null >= observed - 1e-12).sum())
    plain = math.sqrt((m + n + 1) / (12 * m * n))  # standard error of a null AUC (Mann & Whitney, 1947)
    return Separation(score, (1 + as_high) / (1 + permutations), max(1.0, float(null.std()) / plain))


def _out_of_fold(x: np.ndarray, fold: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Discriminant scores (n, b) for every column of `labels` (n, b), without the mean, which says how many of the
    other folds are labelled and so would tell the folds apart."""
    out = np.empty(labels.shape)
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        centre, spread = x[train].mean(axis=0), x[train].std(axis=0)
        spread[spread < 1e-9] = 1.0
        z = (x[train] - centre) / spread
        weights = np.linalg.solve(z.T @ z + RIDGE * np.eye(z.shape[1]), z.T @ labels[train])
        out[test] = (x[test] - centre) / spread @ weights
    return out


def _aucs(score: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """AUC of each column, (b,), for scores and bool labels (n, b) with equally many True in each column."""
    m = int(labels[:, 0].sum())
    ranks = (rankdata(score.round(12), axis=0) * labels).sum(axis=0)
    return (ranks - m * (m + 1) / 2) / (m * (len(labels) - m))


def codec_mismatch(first: Sequence[Facts], unseen: Sequence[Facts]) -> str | None:
    """In words how file formats differ, or None: no format in common, or Fisher's exact test below the level for one of
    them (Bonferroni over formats)."""
    a, b = (Counter(str(p.get("format")) for p in pictures) for pictures in (first, unseen))
    kinds = sorted(a | b)
    p = {kind: _fisher(a[kind], len(first), b[kind], len(unseen)) for kind in kinds}
    kind = min(kinds, key=lambda kind: p[kind])
    if a & b and p[kind] * len(kinds) >= MISMATCH_LEVEL:
        return None
    shares = f"{a[kind] / len(first):.0%} of these pictures and {b[kind] / len(unseen):.0%} of the unseen ones"
    return f"{shares} are {kind} files"


def _fisher(a: int, m: int, b: int, n: int) -> float:
    return float(fisher_exact([[a, m - a], [b, n - b]]).pvalue)


def resolution_mismatch(first: Sequence[Facts], unseen: Sequence[Facts]) -> str | None:
    """In words how sizes differ, or None: ranges of width or height that do not meet, or a Kolmogorov-Smirnov test
    below the level for one of them (Bonferroni over the two)."""
    for side in ("width", "height"):
        a, b = (np.array([float(p[side]) for p in pictures]) for pictures in (first, unseen))  # type: ignore[arg-type]
        if np.ptp(np.concatenate([a, b])) == 0:
            continue
        apart = a.max() < b.min() or b.max() < a.min()
        if apart or ks_2samp(a, b, method="asymp").pvalue * 2 < MISMATCH_LEVEL:
            return f"the median {side} is {np.median(a):.0f} pixels here and {np.median(b):.0f} among the unseen ones"
    return None
