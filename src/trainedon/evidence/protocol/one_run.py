"""How much a model leaks at least, from one training run whose pictures were drawn by coin (arXiv 2305.08846)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from trainedon.evidence.protocol.documents import OneRun
from trainedon.evidence.statistics.intervals import CONFIDENCE
from trainedon.evidence.table.scores import Sample
from trainedon.evidence.table.split import salted

DELTA = 1e-5
FEWEST = 8  # guesses
MOST = 6  # numbers of guesses that are tried: all, a half, a quarter, ...
LARGEST = 50.0  # epsilon; e^50 is past anything that pictures can show


def one_run(included: Sample, held_out: Sample, delta: float = DELTA, guesses: int | None = None) -> OneRun | None:
    """A lower bound on epsilon of the training's (epsilon, delta)-differential privacy, from one attack's scores.

    Each picture was included or held out by its own fair coin. The attack guesses "included" for the highest scores and
    "held out" for as many of the lowest, and abstains between (Steinke, Nasr & Jagielski, 2023, algorithm 1). guesses:
    their number, fixed in advance; None tries all pictures, a half of them, a quarter and so on, each at a level that
    makes all bounds hold at once (Bonferroni), and takes the best. Equal scores are put in an order of digests.
    None with fewer than eight pictures.
    """
    samples = (included, held_out)
    m = sum(map(len, samples))
    if m < FEWEST:
        return None
    truth = np.arange(m) < len(included)
    score, order = (np.concatenate(parts) for parts in zip(*((one.score, salted(one.rows)) for one in samples)))
    truth = truth[np.lexsort((truth, order, score))]  # lowest score first
    tried = [min(m, r) - min(m, r) % 2 for r in ([guesses] if guesses else halvings(m))]
    right = [int((~truth[: r // 2]).sum() + truth[m - r // 2 :].sum()) for r in tried]
    return best_bound(m, tried, right, (len(included), len(held_out)), delta)


def halvings(m: int) -> list[int]:
    """How many guesses are tried on m pictures: all, a half, a quarter and so on, as long as they are enough."""
    return [r for r in (m >> k for k in range(MOST)) if r >= FEWEST]


def best_bound(m: int, tried: Sequence[int], right: Sequence[int], sets: tuple[int, int], delta: float) -> OneRun:
    """The best of the bounds on epsilon that several numbers of guesses give, each at a level that makes all hold.

    m: pictures, or pairs, that a coin decided about. tried, right: numbers of guesses, and of right ones among them.
    sets: how many were included, and held out.
    """
    level = (1 - CONFIDENCE) / len(tried)
    bounds = [(epsilon_bound(m, r, n, delta, level), r, n) for r, n in zip(tried, right, strict=True)]
    epsilon, r, n = max(bounds, key=lambda bound: bound[0])
    return OneRun(
        epsilon=epsilon,
        delta=delta,
        confidence=CONFIDENCE,
        guesses=r,
        correct=n,
        tried=tuple(tried),
        n_included=sets[0],
        n_held_out=sets[1],
    )


def epsilon_bound(m: int, r: int, right: int, delta: float, level: float) -> float:
    """The largest epsilon that `right` correct guesses of `r` on `m` pictures rule out at `level`; 0 if none."""

    def excess(epsilon: float) -> float:
        return p_value(m, r, right, epsilon, delta) - level

    if excess(0.0) > 0:
        return 0.0
    return LARGEST if excess(LARGEST) <= 0 else float(brentq(excess, 0.0, LARGEST, xtol=1e-6))


def p_value(m: int, r: int, right: int, epsilon: float, delta: float) -> float:
    """P(at least `right` of `r` guesses are correct) at most, if training is (epsilon, delta)-private.

    Theorem 5.2 (corollary 5.3) there: beta + 2 m delta alpha, with W ~ Binomial(r, e^eps / (1 + e^eps)), beta = P(W >=
    right) and alpha = max over i in 1..right of P(right - i <= W < right) / i.
    """
    q = float(expit(epsilon))
    beta = float(binom.sf(right - 1, r, q))
    if delta == 0 or right == 0:
        return min(1.0, beta)
    i = np.arange(1, right + 1)
    alpha = float((np.cumsum(binom.pmf(right - i, r, q)) / i).max())
    return min(1.0, beta + 2 * m * delta * alpha)
