"""Stage 7: scores in, claims out. Knows neither models nor pictures; see docs/evidence.md for every formula."""

from trainedon.evidence.documents import Audit, Claim, Evaluation, Flag, to_json
from trainedon.evidence.protocol import audit, evaluate
from trainedon.evidence.scores import Scores, read_scores

__all__ = ["Audit", "Claim", "Evaluation", "Flag", "Scores", "audit", "evaluate", "read_scores", "to_json"]
