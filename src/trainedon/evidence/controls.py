"""Controls that run every time and in which nothing is to be found, and copies that must not count twice."""

from __future__ import annotations

import numpy as np

from trainedon.evidence import pvalues
from trainedon.evidence.documents import Duplicates, NearCopy, UnseenControl
from trainedon.evidence.prepare import Pictures
from trainedon.evidence.scores import Row, Scores, is_duplicate

# Chance alone divides the halves, so a finding is an accident or a fault. A fault shows at any level; accidents are to
# be rare, since each costs an honest audit its claim.
LEVEL = 0.001
LISTED = 20


def unseen_control(calibration: np.ndarray, evaluation: np.ndarray) -> UnseenControl:
    """One half of the unseen pictures against the other, by the test that suspects are put to, in both directions.

    The halves are drawn by digest, so a difference between them comes from chance, or from something wrong in the
    scores, such as an order in which pictures were scored.
    """
    m, n = len(calibration), len(evaluation)
    if min(m, n) == 0 or 2 * pvalues.smallest_p(m, n) >= LEVEL:
        return UnseenControl(p_value=None, level=LEVEL, finds=None)
    p_value = pvalues.permutation_test(calibration, evaluation).two_sided
    return UnseenControl(p_value=p_value, level=LEVEL, finds=p_value < LEVEL)


def duplicates(scores: Scores, pictures: Pictures | None) -> Duplicates:
    """What was left out as a copy or near-duplicate under the first attack; `scores` as they were prepared."""
    first = [row for row in scores.rows if (row.attack, row.attack_repr) == scores.attacks[0]]
    near = [row for row in first if row.near is not None]
    clusters: dict[str | None, set[str]] = {}
    for row in first:
        if row.score is not None and row.cluster is not None:
            clusters.setdefault(row.cluster, set()).add(row.set)
    return Duplicates(
        sought=any(picture.get("phash") for picture in pictures or ()) or any(row.cluster for row in first),
        n_exact=sum(is_duplicate(row.reason) for row in first),
        n_near=len(near),
        n_across=sum(len(sets) > 1 for sets in clusters.values()),
        examples=tuple(_copy(row) for row in sorted(near, key=lambda row: (row.set, row.picture))[:LISTED]),
    )


def _copy(row: Row) -> NearCopy:
    return NearCopy(picture=row.picture, set=row.set, near=str(row.near))
