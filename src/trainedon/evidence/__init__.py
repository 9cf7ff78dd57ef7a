"""Stage 7: scores in, claims out. Knows neither models nor pictures; see docs/evidence.md for every formula."""

from trainedon.evidence.documents import Audit, Claim, Document, Evaluation, Flag, as_data, json_parts, to_json
from trainedon.evidence.draw import Draw, DrawnPicture, SetAside, check_draw, coin, commitment, read_draw
from trainedon.evidence.inventory import Pictures
from trainedon.evidence.looks import Looks, near_duplicates, read_looks
from trainedon.evidence.passed import PassedOver, passed_over
from trainedon.evidence.peaks import STUDY, Peaks, peaks
from trainedon.evidence.protocol import audit, evaluate
from trainedon.evidence.rows import AttackKey
from trainedon.evidence.schemas import schemas
from trainedon.evidence.scores import Scores, read_scores
from trainedon.evidence.sweep import Sweep, sweep

__all__ = [
    "STUDY",
    "AttackKey",
    "Audit",
    "Claim",
    "Document",
    "Draw",
    "DrawnPicture",
    "Evaluation",
    "Flag",
    "Looks",
    "PassedOver",
    "Peaks",
    "Pictures",
    "Scores",
    "SetAside",
    "Sweep",
    "as_data",
    "audit",
    "check_draw",
    "coin",
    "commitment",
    "evaluate",
    "json_parts",
    "near_duplicates",
    "passed_over",
    "peaks",
    "read_draw",
    "read_looks",
    "read_scores",
    "schemas",
    "sweep",
    "to_json",
]
