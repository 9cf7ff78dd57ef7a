"""How the attacks of one run stand: their numbers, and how far the lead attack is from each, on the same pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import peers
from trainedon.attacks import Attack, Cost
from trainedon.evidence import Evaluation, Scores, read_features, read_scores
from trainedon.evidence.protocol.documents import AttackEvaluation
from trainedon.evidence.protocol.paired import Sides, auc_difference, scored_by_both
from trainedon.evidence.statistics.intervals import bounded_mean, jointly
from trainedon.evidence.table.deduplicate import deduplicate
from trainedon.evidence.table.scores import AttackKey
from trainedon.pictures import read_inventory

SETS = ("member", "unseen")
LEVEL = "0.01"


def counted(run: Path) -> Scores:
    """The scores of a run folder that its evaluation counts, with the same near-duplicates set aside."""
    pictures = [vars(item) for item in read_inventory(run / "pictures.parquet")]
    return deduplicate(read_scores(run), SETS, pictures, read_features(run / "looks.parquet"))


def rows(
    document: Evaluation, scores: Scores, attacks: Sequence[Attack], costs: Mapping[str, Cost], lead: str = peers.LEAD
) -> list[dict]:
    """One row an attack, the highest AUC first, ready for JSON.

    scores: those that the document was made from, as `counted` gives them. costs: by the attacks' repr. lead: the
    attack, as `spelled` says it, whose AUC each row's `lead` compares with the row's own: (difference, low, high).
    These intervals hold together with 95 %, since readers look at the nearest rival.
    """
    by_repr = {repr(attack): attack for attack in attacks}
    keys = {by_repr[key.repr].spelled(): key for key in scores.attacks}
    level = jointly(max(1, len(keys) - 1))
    found = []
    for measured in document.attacks:
        attack = by_repr[measured.repr]
        other = AttackKey(measured.name, measured.repr)
        rival = lead in keys and keys[lead] != other
        pair = scored_by_both(scores, keys[lead], other, SETS) if rival else None
        found.append(_row(measured, attack, costs[measured.repr]) | {"lead": pair and list(difference(*pair, level))})
    return sorted(found, key=lambda row: -1.0 if row["auc"] is None else row["auc"], reverse=True)


def _row(measured: AttackEvaluation, attack: Attack, cost: Cost) -> dict:
    rate = measured.tpr_at_fpr[LEVEL]
    set_by = peers.setting(attack)
    return {
        "attack": attack.spelled(),
        "repr": measured.repr,
        "setting": set_by,
        "peer": peers.is_peer(attack),
        "labels": "labels" in attack.needs,
        "auc": measured.auc,
        "auc_ci": measured.auc_ci,
        "tpr": rate.tpr,
        "tpr_ci": rate.tpr_ci,
        "needed": rate.needed,
        "forward": cost.forward,
        "backward": cost.backward,
        "setup": cost.setup,
        "not_scored": measured.n_not_scored,
        # papers print their own parameters
        "reported": [vars(figures) for figures in attack.reported] if peers.is_usual(attack) else [],
    }


def difference(first: Sides, second: Sides, level: float) -> tuple[float, float, float]:
    """AUC of the first minus AUC of the second, and the ends of its interval, all in [-1, 1].

    first, second: finite scores of the same members, float64 (m,), and of the same unseen pictures, (n,).
    The interval is that of `auc_difference`. Where the pictures say nothing of the error a bound takes its place, as
    for one AUC.
    """
    found = auc_difference(first, second, level=level)
    if found.interval is not None:
        return found.value, *found.interval
    fewest = min(map(len, first))
    low, high = (2 * end - 1 for end in bounded_mean((found.value + 1) / 2, fewest, level))
    return found.value, low, high
