"""Pure functions on arrays of scores, higher = member; formulas and where they are from: docs/evidence.md."""

from trainedon.evidence.statistics.intervals import clopper_pearson
from trainedon.evidence.statistics.pvalues import (
    SetTest,
    benjamini_hochberg,
    conformal_p,
    holm,
    permutation_test,
)
from trainedon.evidence.statistics.roc import Auc, auc
from trainedon.evidence.statistics.thresholds import Counted, conformal_threshold, tpr_at_fpr

__all__ = [
    "Auc",
    "Counted",
    "SetTest",
    "auc",
    "benjamini_hochberg",
    "clopper_pearson",
    "conformal_p",
    "conformal_threshold",
    "holm",
    "permutation_test",
    "tpr_at_fpr",
]
