"""Dataset inference: one test of the whole set from several attacks at once (CDI, arXiv 2411.12858).

As there, a logistic regression on the attacks' scores is fitted to tell suspects from unseen pictures and applied to
pictures that it has not seen. Its paper draws the split many times and averages the p-values of Welch's test, which is
no p-value. Here the folds are fixed by digest and labels are permuted with every fit made again.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, rankdata

from trainedon.evidence.protocol.documents import Cdi
from trainedon.evidence.statistics.roc import auc
from trainedon.evidence.statistics.two_sample import View, classifier_two_sample_test, logistic
from trainedon.evidence.table.rows import Rows
from trainedon.evidence.table.scores import Scores
from trainedon.evidence.table.split import in_salted_order

FEWEST = 20  # pictures a side: four in each fold
MOST = 1024  # pictures a side, chosen by digest
PERMUTATIONS = 9_999
ENOUGH = 100  # permutations as striking as the data, after which a large p-value is known well enough
SEED = 20241118


def cdi(scores: Scores) -> Cdi | None:
    """The test over all attacks of an audit; None with fewer than two attacks, or too few pictures scored by all."""
    if len(scores.attacks) < 2:
        return None
    sides = [_table(scores, name) for name in ("suspect", "unseen")]
    m, n = map(len, sides)
    if min(m, n) < FEWEST:
        return None
    # Ranks of all pictures together, as normal quantiles: one wild score cannot bend the fit, and labels play no part.
    x = norm.ppf(rankdata(np.vstack(sides), axis=0) / (m + n + 1))
    (found,), p_value, made = classifier_two_sample_test([View(x, logistic)], m, PERMUTATIONS, SEED, ENOUGH)
    area = auc(found.score[:m], found.score[m:], widen=found.widen)
    return Cdi(
        attacks=tuple(key.repr for key in scores.attacks),
        effect=area.value,
        effect_ci=area.interval,
        p_value=p_value,
        p_value_holm=p_value,
        n_permutations=made,
        n_suspects=m,
        n_unseen=n,
    )


def _table(scores: Scores, set_name: str) -> np.ndarray:
    """Scores float64 (pictures, attacks) of the pictures that all attacks scored, in the order of salted hashes, which
    is random with respect to names and content."""
    samples = [scores.sample(key, set_name) for key in scores.attacks]
    common = samples[0].picture
    for sample in samples[1:]:
        common = np.intersect1d(common, sample.picture, assume_unique=True)
    rows = samples[0].rows
    places = np.searchsorted(samples[0].picture, common)
    chosen = common[in_salted_order(Rows(rows.columns, rows.indices[places]))[:MOST]]
    return np.column_stack([sample.score[np.searchsorted(sample.picture, chosen)] for sample in samples])
