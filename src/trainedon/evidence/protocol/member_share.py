"""A lower bound of the member share: how many of the suspects were used, when perhaps only some were."""

from __future__ import annotations

import numpy as np

from trainedon.evidence.protocol.documents import MemberShare
from trainedon.evidence.statistics.intervals import clopper_pearson, jointly

QUANTILES = (0.5, 0.75, 0.9)  # of the calibration half


def member_share(suspects: np.ndarray, calibration: np.ndarray, evaluation: np.ndarray) -> MemberShare | None:
    """The share of the suspects that cannot be like unseen pictures. Scores float64; None where a side is empty.

    Suspects are a mixture: a share pi that was used and the rest, which scores like unseen pictures. Then for any t
    P(suspect <= t) >= (1 - pi) P(unseen <= t), so pi >= 1 - P(suspect <= t) / P(unseen <= t) (the argument of Storey,
    JRSS B 64, 2002, and of Blanchard, Lee & Scott, JMLR 11, 2010). The right-hand side is estimated at three t, which
    are quantiles of the calibration half; P(unseen <= t) is counted on the evaluation half. Six Clopper-Pearson
    intervals that hold together give the interval for the largest of the three. Its lower end bounds pi whatever the
    scores of used pictures are; its upper end bounds pi only if used pictures score above t.
    """
    if not (len(suspects) and len(calibration) and len(evaluation)):
        return None
    level = jointly(2 * len(QUANTILES))
    shares = []
    for quantile in QUANTILES:
        t = float(np.quantile(calibration, quantile, method="inverted_cdf"))
        below, ordinary = int((suspects <= t).sum()), int((evaluation <= t).sum())
        (few, many), (rare, common) = (
            clopper_pearson(below, len(suspects), level),
            clopper_pearson(ordinary, len(evaluation), level),
        )
        low = 1 - many / rare if rare > 0 else 0.0
        here = 1 - (below / len(suspects)) / (ordinary / len(evaluation)) if ordinary else 0.0
        shares.append((max(0.0, low), max(0.0, here), max(0.0, 1 - few / common)))
    best = max(shares)
    return MemberShare(estimate=best[1], ci=(best[0], max(high for _, _, high in shares)))
