"""Dataset inference: one test of the whole set from several attacks at once (CDI, arXiv 2411.12858).

As there, a classifier on the attacks' scores is fitted to tell suspects from unseen pictures and applied to pictures
that it has not seen. Its paper draws the split many times and averages the p-values of Welch's test, which is no
p-value. Here the folds are fixed by digest and labels are permuted with every fit made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import norm, rankdata

from trainedon.evidence.protocol.documents import Cdi
from trainedon.evidence.protocol.rules import Rules
from trainedon.evidence.statistics.roc import auc
from trainedon.evidence.statistics.two_sample import View, classifier_two_sample_test, logistic, one_sided
from trainedon.evidence.table.rows import Rows, picture_ids
from trainedon.evidence.table.scores import Scores
from trainedon.evidence.table.split import in_salted_order, seed_of

FEWEST = 20  # pictures a side: four in each fold
MOST = 1024  # pictures a side, chosen by digest
PERMUTATIONS = 9_999
ENOUGH = 100  # permutations as striking as the data, after which a large p-value is known well enough
SEED = 20241118


def cdi(scores: Scores, rules: Rules) -> Cdi | None:
    """The test over all attacks of an audit; None with fewer than two attacks, or too few pictures scored by all.

    Where rules have a direction the classifier has no negative weights, so that it finds what scores higher; the same
    test of the negated scores says whether suspects score lower.
    """
    if len(scores.attacks) < 2:
        return None
    suspects, unseen = (_side(scores, name) for name in ("suspect", "unseen"))
    m, n = len(suspects.score), len(unseen.score)
    if min(m, n) < FEWEST:
        return None
    # Ranks of all pictures together, as normal quantiles: one wild score cannot bend the fit, and labels play no part.
    x = norm.ppf(rankdata(np.vstack([suspects.score, unseen.score]), axis=0) / (m + n + 1))
    seed = seed_of(suspects.digests, unseen.digests) if rules.seeded else SEED
    test = partial(classifier_two_sample_test, m=m, permutations=PERMUTATIONS, seed=seed, enough=ENOUGH)
    (found,), p_value, made = test([View(x, one_sided() if rules.directed else logistic)])
    area = auc(found.score[:m], found.score[m:], widen=found.widen, one_more=rules.one_more)
    return Cdi(
        attacks=tuple(key.repr for key in scores.attacks),
        effect=area.value,
        effect_ci=area.interval,
        p_value=p_value,
        p_value_holm=p_value,
        opposite=min(1.0, 2 * test([View(-x, one_sided())])[1]) if rules.directed else None,
        n_permutations=made,
        n_suspects=m,
        n_unseen=n,
    )


@dataclass(frozen=True)
class _Side:
    """score: float64 (pictures, attacks). digests: of the pictures."""

    score: np.ndarray
    digests: tuple[str, ...]


def _side(scores: Scores, set_name: str) -> _Side:
    """Of one set the pictures that all attacks scored, in the order of salted hashes, which is random with respect to
    names and content."""
    samples = [scores.sample(key, set_name) for key in scores.attacks]
    common = samples[0].picture
    for sample in samples[1:]:
        common = np.intersect1d(common, sample.picture, assume_unique=True)
    rows = samples[0].rows
    places = np.searchsorted(samples[0].picture, common)
    order = in_salted_order(Rows(rows.columns, rows.indices[places]))[:MOST]
    return _Side(
        np.column_stack([sample.score[np.searchsorted(sample.picture, common[order])] for sample in samples]),
        tuple(picture_ids(Rows(rows.columns, rows.indices[places[order]]))),
    )
