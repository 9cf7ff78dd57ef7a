"""Single statistics on simulated scores, many times over: what `benchmarks.coverage` does not put through a whole run.

- spreads: the interval of an AUC where members spread a tenth to ten times as wide as unseen pictures, and with ties,
  heavy tails, and a share of members that nobody finds; columns: members + unseen pictures
- sources: the interval of an AUC of pictures that come in groups whose scores correlate by .22; columns: groups x
  pictures in each, members + unseen; "one to nine": groups of uneven size; "shared": each lies half in either set
- learnt: attacks that learnt from labels (least squares on 2, 8 or 100 numbers that say nothing, cross-fitted as they
  are), and one that learnt from unseen pictures alone; columns: members + unseen pictures
- direction: `cdi` over four attacks that correlate by one half; columns: pictures a side
- part: the estimated member share, and its lower end; columns: suspects + unseen pictures
- deals: the set test with all its deals, from seeds that follow from digests; columns: suspects + unseen pictures
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from trainedon.attacks.core.crossfit import Predict, crossfit
from trainedon.attacks.learned.fusion import RankAverage
from trainedon.evidence import Scores
from trainedon.evidence.protocol.cdi import cdi
from trainedon.evidence.protocol.member_share import member_share
from trainedon.evidence.protocol.rules import STANDARD_2
from trainedon.evidence.statistics.pvalues import permutation_test
from trainedon.evidence.statistics.roc import LEARNT, Auc, auc
from trainedon.evidence.statistics.thresholds import tpr_at_fpr
from trainedon.evidence.table.split import seed_of


class Bound(NamedTuple):
    """What a share must keep: `at least` its level (intervals), or `at most` (p-values and false findings)."""

    side: str
    level: float


Finding = tuple[str, Bound, bool]  # what, its bound, whether it happened
COVERS = Bound("at least", 0.95)
AREAS = (0.5, 0.95, 0.98, 0.995)
SPREADS = (0.1, 1.0, 3.0, 10.0)
CORRELATION = 0.22  # within a source; of works of one artist it was .08 to .22
ATTACKS = 4


@dataclass(frozen=True)
class Part:
    """One kind of simulation. columns: sizes, as they are printed. replicates: of each."""

    columns: tuple[str, ...]
    replicates: int
    findings: Callable[[str, np.random.Generator], Iterator[Finding]]


def _sizes(column: str) -> tuple[int, int]:
    m, n = map(int, column.split("+"))
    return m, n


def _holds(what: str, found: Auc, truth: float) -> Finding:
    return what, COVERS, found.low <= truth <= found.high


def spreads(column: str, rng: np.random.Generator) -> Iterator[Finding]:
    m, n = _sizes(column)
    for area in AREAS:
        for spread in SPREADS:
            members = norm.ppf(area) * math.hypot(1, spread) + spread * rng.normal(size=m)
            yield _holds(f"AUC {area:g}, spread x {spread:g}", auc(members, rng.normal(size=n)), area)
    members = 6.3138 + rng.standard_cauchy(m)  # the difference of two is twice a Cauchy variable: P(> 0) = .9025
    yield _holds("heavy tails, AUC 0.9", auc(members, rng.standard_cauchy(n)), 0.5 + math.atan(6.3138 / 2) / math.pi)
    whole = np.arange(-9, 14)
    mass = [np.diff(norm.cdf(np.append(whole, 14) - 0.5 - shift)) for shift in (3, 0)]
    truth = float(mass[0] @ (np.cumsum(mass[1]) - mass[1] / 2))
    yield _holds("rounded, AUC 0.98", auc(np.round(rng.normal(3, 1, m)), np.round(rng.normal(size=n))), truth)
    for missed in (0.02, 0.1):
        members = np.where(rng.random(m) < missed, -9, 9) + rng.normal(size=m)
        yield _holds(f"{missed:.0%} of members lowest of all", auc(members, rng.normal(size=n)), 1 - missed)


def sources(column: str, rng: np.random.Generator) -> Iterator[Finding]:
    of = _groups(column, rng)
    level = math.sqrt(CORRELATION) * rng.normal(size=1 + max(side.max() for side in of))
    scores = [level[side] + math.sqrt(1 - CORRELATION) * rng.normal(size=len(side)) for side in of]
    for area in (0.5, 0.8, 0.95):
        shift = norm.ppf(area) * math.sqrt(2)
        yield _holds(f"AUC {area:g}", auc(scores[0] + shift, scores[1], groups=of), area)


def _groups(column: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The group of every member and of every unseen picture."""
    if column.startswith("shared"):
        groups, each = map(int, column.removeprefix("shared ").split("x"))
        return (np.repeat(np.arange(groups), each // 2),) * 2
    counts = [tuple(side.strip().split("x")) for side in column.split("+")]
    sizes = [rng.integers(1, 10, int(k)) if each == "1..9" else np.full(int(k), int(each)) for k, each in counts]
    first = np.repeat(np.arange(len(sizes[0])), sizes[0])
    return first, np.repeat(len(sizes[0]) + np.arange(len(sizes[1])), sizes[1])


def learnt(column: str, rng: np.random.Generator) -> Iterator[Finding]:
    m, n = _sizes(column)
    sets, digests = ["member"] * m + ["unseen"] * n, [rng.bytes(16).hex() for _ in range(m + n)]
    for d in (2, 8, 100):
        score = crossfit(rng.normal(size=(m + n, d)), sets, digests, _least_squares)
        yield _holds(f"AUC, learnt from {d} numbers", auc(score[:m], score[m:], widen=LEARNT), 0.5)
    score = crossfit(rng.normal(size=(m + n, 2)), sets, digests, RankAverage.fit, known=("unseen",))
    yield _holds("AUC, learnt from unseen pictures alone", auc(score[:m], score[m:]), 0.5)
    yield from _rates(m, n, sets, digests, rng)


def _least_squares(known: np.ndarray, member: np.ndarray) -> Predict:
    centre, spread = known.mean(axis=0), known.std(axis=0)
    x, y = (known - centre) / spread, np.where(member, 1 / member.sum(), -1 / (~member).sum()) * len(member)
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ y)
    return lambda observed: ((observed - centre) / spread) @ weights


def _rates(m: int, n: int, sets: list[str], digests: list[str], rng: np.random.Generator) -> Iterator[Finding]:
    """Intervals of true- and false-positive rate; the truth is the average over the folds' judges."""
    judges = []

    def fit(known: np.ndarray, member: np.ndarray) -> Predict:
        judges.append(_least_squares(known, member))
        return judges[-1]

    score = crossfit(rng.normal(size=(m + n, 8)), sets, digests, fit)
    half = n // 2
    counted = tpr_at_fpr(score[:m], score[m : m + half], score[m + half :], "0.05")
    if counted is None:
        return
    basis = [judge(np.vstack([np.zeros(8), np.eye(8)])) for judge in judges]
    above = np.mean([norm.sf((counted.threshold - b[0]) / np.linalg.norm(b[1:] - b[0])) for b in basis])
    for what, (low, high) in (("TPR", counted.tpr_ci()), ("FPR", counted.fpr_ci())):
        yield f"{what}, learnt from 8 numbers", COVERS, bool(low <= above <= high)


def direction(column: str, rng: np.random.Generator) -> Iterator[Finding]:
    n = int(column)
    for name, shift in (("alike", 0.0), ("lower in every attack", -0.5)):
        values = (rng.normal(size=(2 * n, ATTACKS)) + rng.normal(size=(2 * n, 1))) * math.sqrt(0.5)
        values[:n] += shift
        found = cdi(_table(values, n, rng), STANDARD_2)
        for level in (0.01, 0.05):
            yield f"suspects {name}: p <= {level}", Bound("at most", level), found.p_value <= level
            if not shift:
                yield f"suspects {name}: p of the opposite <= {level}", Bound("at most", level), found.opposite <= level
        if not shift:
            yield "suspects alike: interval of the effect", COVERS, found.effect_ci[0] <= 0.5 <= found.effect_ci[1]


def _table(values: np.ndarray, m: int, rng: np.random.Generator) -> Scores:
    pictures = [
        {"picture": str(i), "set": "suspect" if i < m else "unseen", "sha256": rng.bytes(32).hex()}
        for i in range(len(values))
    ]
    return Scores.from_rows(
        picture | {"attack": f"a{k}", "score": float(score)}
        for picture, row in zip(pictures, values, strict=True)
        for k, score in enumerate(row)
    )


def part(column: str, rng: np.random.Generator) -> Iterator[Finding]:
    m, n = _sizes(column)
    for used in (0.0, 0.25, 0.5):
        suspects = rng.normal(size=m) + 3 * (np.arange(m) < used * m)
        found = member_share(suspects, rng.normal(size=n // 2), rng.normal(size=n // 2))
        yield f"estimate above the truth, {used:.0%} used", Bound("at most", 0.5), found.estimate > used
        yield f"lower end above the truth, {used:.0%} used", Bound("at most", 0.025), found.ci[0] > used
    suspects = rng.normal(size=m) + (np.arange(m) < 0.5 * m)
    found = member_share(suspects, rng.normal(size=n // 2), rng.normal(size=n // 2))
    yield "estimate above the truth, 50% used, faintly", Bound("at most", 0.5), found.estimate > 0.5


def deals(column: str, rng: np.random.Generator) -> Iterator[Finding]:
    m, n = _sizes(column)
    seed = seed_of(*([rng.bytes(16).hex() for _ in range(size)] for size in (m, n)))
    p = permutation_test(rng.normal(size=m), rng.normal(size=n), seed=seed).p_value
    for level in (0.01, 0.05):
        yield f"p of the set <= {level}", Bound("at most", level), p <= level


PARTS = {
    "spreads": Part(("10+60", "40+200", "40+1000", "200+40", "300+300"), 700, spreads),
    "sources": Part(("6x10+20x10", "12x10+40x10", "25x4+100x4", "12x1..9+40x1..9", "shared 20x10"), 660, sources),
    "learnt": Part(("20+60", "60+60", "60+300", "200+200"), 660, learnt),
    "direction": Part(("20", "60"), 1010, direction),
    "part": Part(("20+60", "40+120", "40+400", "200+400"), 1010, part),
    "deals": Part(("40+200",), 1010, deals),
}
