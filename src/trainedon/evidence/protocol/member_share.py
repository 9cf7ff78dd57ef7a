"""A lower bound of the member share: how many of the suspects were used, when perhaps only some were."""

from __future__ import annotations

import numpy as np

from trainedon.evidence.protocol.documents import MemberShare
from trainedon.evidence.statistics.intervals import clopper_pearson, jointly

QUANTILES = (0.5, 0.75, 0.9)  # of the calibration half
MIDDLE = 1 / 3  # level of the intervals whose largest lower end is the estimate; measured in docs/evidence.md


def member_share(
    suspects: np.ndarray, calibration: np.ndarray, evaluation: np.ndarray, *, cautious: bool = True
) -> MemberShare | None:
    """The share of the suspects that cannot be like unseen pictures. Scores float64; None where a side is empty.

    Suspects are a mixture: a share pi that was used and the rest, which scores like unseen pictures. Then for any t
    P(suspect <= t) >= (1 - pi) P(unseen <= t), so pi >= 1 - P(suspect <= t) / P(unseen <= t) (the argument of Storey,
    JRSS B 64, 2002, and of Blanchard, Lee & Scott, JMLR 11, 2010). The right-hand side is estimated at three t, which
    are quantiles of the calibration half; P(unseen <= t) is counted on the evaluation half. Six Clopper-Pearson
    intervals that hold together give the interval for the largest of the three. Its lower end bounds pi whatever the
    scores of used pictures are; its upper end bounds pi only if used pictures score above t.

    The largest of three estimates is too high. cautious: in its place stands the largest of their lower ends at a
    level so low that it exceeds pi in less than one case of two, also when nothing was used.
    """
    if not (len(suspects) and len(calibration) and len(evaluation)):
        return None
    joint = jointly(2 * len(QUANTILES))
    shares = []
    for quantile in QUANTILES:
        t = float(np.quantile(calibration, quantile, method="inverted_cdf"))
        counts = [(int((scores <= t).sum()), len(scores)) for scores in (suspects, evaluation)]
        (below, m), (ordinary, n) = counts
        low, high = _ends(counts, joint)
        here = 1 - (below / m) / (ordinary / n) if ordinary else 0.0
        shares.append((low, max(0.0, _ends(counts, MIDDLE)[0] if cautious else here), high))
    best = max(shares)
    estimate = max(here for _, here, _ in shares) if cautious else best[1]
    return MemberShare(estimate=estimate, ci=(best[0], max(high for _, _, high in shares)))


def _ends(counts: list[tuple[int, int]], level: float) -> tuple[float, float]:
    """The interval of 1 - P(suspect <= t) / P(unseen <= t), from how many of each set lie there; none below 0."""
    (few, many), (rare, common) = (clopper_pearson(below, of, level) for below, of in counts)
    return max(0.0, 1 - many / rare) if rare > 0 else 0.0, max(0.0, 1 - few / common)
