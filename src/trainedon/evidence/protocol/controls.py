"""Controls that run every time and in which nothing is to be found, and copies that must not count twice."""

from __future__ import annotations

import numpy as np

from trainedon.evidence.protocol.detectable import detectable
from trainedon.evidence.protocol.documents import Duplicates, NearCopy, UnseenControl
from trainedon.evidence.statistics import pvalues
from trainedon.evidence.statistics.two_sample import null_spread
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.picture_table import PictureTable
from trainedon.evidence.table.rows import BY_NAME, Rows
from trainedon.evidence.table.scores import Scores, is_duplicate

# Chance alone divides the halves, so a finding is an accident or a fault. A fault shows at any level; accidents are to
# be rare, since each costs an honest audit its claim.
LEVEL = 0.001
LISTED = 20


def unseen_control(
    calibration: np.ndarray,
    evaluation: np.ndarray,
    deals: pvalues.Deals = pvalues.DEALS,
    seed: int = pvalues.SEED,
    tells_detectable: bool = True,
) -> UnseenControl:
    """One half of the unseen pictures against the other, by the test that suspects are put to, in both directions.

    The halves are drawn by digest, so a difference between them comes from chance, or from something wrong in the
    scores, such as an order in which pictures were scored.
    """
    m, n = len(calibration), len(evaluation)
    if min(m, n) == 0 or 2 * pvalues.smallest_p(m, n) >= LEVEL:
        return UnseenControl(p_value=None, level=LEVEL, finds=None)
    p_value = pvalues.permutation_test(calibration, evaluation, deals, seed).two_sided
    least = detectable(null_spread(m, n), LEVEL / 2) if tells_detectable else None
    return UnseenControl(p_value=p_value, level=LEVEL, finds=p_value < LEVEL, detectable=least)


def duplicates(scores: Scores, listed: PictureTable | None) -> Duplicates:
    """What was left out as a copy or near-duplicate under the first attack; `scores` as they were prepared."""
    first = scores.of_attack(scores.attacks[0])
    near, cluster, name = (first.column(column) for column in ("near", "cluster", "set"))
    exact = [number for number, reason in enumerate(scores.columns.reasons) if is_duplicate(reason)]
    together = (cluster != MISSING) & np.isfinite(first.column("score"))
    pairs = np.unique(np.stack([cluster[together], name[together]]), axis=1)  # of clusters and sets
    hidden = np.flatnonzero(near != MISSING)
    listed_first = hidden[np.lexsort((first.column("picture")[hidden], BY_NAME[name[hidden]]))][:LISTED]
    return Duplicates(
        sought=(listed is not None and bool(listed.hashed.any())) or bool((cluster != MISSING).any()),
        n_exact=int(np.isin(first.column("reason"), exact).sum()),
        n_near=len(hidden),
        n_across=int((np.unique(pairs[0], return_counts=True)[1] > 1).sum()),
        examples=tuple(
            NearCopy(picture=row.picture, set=row.set, near=str(row.near))
            for row in Rows(first.columns, first.indices[listed_first])
        ),
    )
