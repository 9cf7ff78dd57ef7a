"""Stage 7: scores in, claims out. Knows neither models nor pictures; see docs/evidence.md for every formula."""

from trainedon.evidence.protocol.auditing import audit_scores, audit_table
from trainedon.evidence.protocol.circumstances import Circumstances
from trainedon.evidence.protocol.documents import Audit, Claim, Document, Evaluation, Flag, as_data, json_parts, to_json
from trainedon.evidence.protocol.draw import (
    Draw,
    DrawnPicture,
    SetAside,
    check_draw,
    check_secret,
    coin,
    commitment,
    read_draw,
)
from trainedon.evidence.protocol.evaluating import evaluate_scores, evaluate_table
from trainedon.evidence.protocol.leak_limits import LeakLimit, LimitAnswer, judge
from trainedon.evidence.protocol.passed import PassedOver, passed_over
from trainedon.evidence.protocol.rules import CURRENT, STANDARD_1, STANDARD_2, Rules, rules_of
from trainedon.evidence.protocol.twins import (
    TwinCopy,
    TwinnedPicture,
    Twins,
    check_twins,
    chosen_copy,
    read_twins,
    twins_commitment,
)
from trainedon.evidence.schemas import schemas
from trainedon.evidence.statistics import (
    Auc,
    Counted,
    SetTest,
    auc,
    benjamini_hochberg,
    clopper_pearson,
    conformal_p,
    holm,
    permutation_test,
    tpr_at_fpr,
)
from trainedon.evidence.statistics.chirality import HandedView, chirality_test
from trainedon.evidence.statistics.paired_attacks import paired
from trainedon.evidence.statistics.sign_flip import SignTest, knockoff_q, most_odds, sign_flip_test
from trainedon.evidence.studies.peaks import STUDY, Peaks, peaks
from trainedon.evidence.studies.sweep import Sweep, sweep
from trainedon.evidence.table.deduplicate import near_duplicates
from trainedon.evidence.table.feature_table import FeatureTable, read_features
from trainedon.evidence.table.picture_table import Pictures
from trainedon.evidence.table.rows import AttackKey
from trainedon.evidence.table.scores import Scores, read_scores

__all__ = [
    "CURRENT",
    "STANDARD_1",
    "STANDARD_2",
    "STUDY",
    "AttackKey",
    "Auc",
    "Audit",
    "Circumstances",
    "Claim",
    "Counted",
    "Document",
    "Draw",
    "DrawnPicture",
    "Evaluation",
    "FeatureTable",
    "Flag",
    "HandedView",
    "LeakLimit",
    "LimitAnswer",
    "PassedOver",
    "Peaks",
    "Pictures",
    "Rules",
    "Scores",
    "SetAside",
    "SetTest",
    "SignTest",
    "Sweep",
    "TwinCopy",
    "TwinnedPicture",
    "Twins",
    "as_data",
    "auc",
    "audit_scores",
    "audit_table",
    "benjamini_hochberg",
    "check_draw",
    "check_secret",
    "check_twins",
    "chirality_test",
    "chosen_copy",
    "clopper_pearson",
    "coin",
    "commitment",
    "conformal_p",
    "evaluate_scores",
    "evaluate_table",
    "holm",
    "json_parts",
    "judge",
    "knockoff_q",
    "most_odds",
    "near_duplicates",
    "paired",
    "passed_over",
    "peaks",
    "permutation_test",
    "read_draw",
    "read_features",
    "read_scores",
    "read_twins",
    "rules_of",
    "schemas",
    "sign_flip_test",
    "sweep",
    "to_json",
    "tpr_at_fpr",
    "twins_commitment",
]
