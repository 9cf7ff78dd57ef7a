"""How the attacks of one run stand: their numbers, and how far the lead attack is from each, on the same pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from benchmarks import peers
from trainedon.attacks import Attack, Cost, short
from trainedon.evidence import Evaluation, Scores, read_looks, read_scores
from trainedon.evidence.documents import AttackEvaluation
from trainedon.evidence.intervals import bounded_mean, jointly
from trainedon.evidence.prepare import prepare
from trainedon.evidence.roc import placements
from trainedon.evidence.scores import AttackKey
from trainedon.pictures import read_inventory

SETS = ("member", "unseen")
LEVEL = "0.01"
Sides = tuple[np.ndarray, np.ndarray]


def counted(run: Path) -> Scores:
    """The scores of a run folder that its evaluation counts, with the same near-duplicates set aside."""
    pictures = [vars(item) for item in read_inventory(run / "pictures.parquet")]
    return prepare(read_scores(run), SETS, pictures, read_looks(run / "looks.parquet"))


def rows(
    document: Evaluation, scores: Scores, attacks: Sequence[Attack], costs: Mapping[str, Cost], lead: str = peers.LEAD
) -> list[dict]:
    """One row an attack, the highest AUC first, ready for JSON.

    scores: those that the document was made from, as `counted` gives them. costs: by the attacks' repr. lead: the
    attack, as `short` writes it, whose AUC each row's `lead` compares with the row's own: (difference, low, high).
    These intervals hold together with 95 %, since readers look at the nearest rival.
    """
    by_repr = {repr(attack): attack for attack in attacks}
    keys = {short(by_repr[key.repr]): key for key in scores.attacks}
    level = jointly(max(1, len(keys) - 1))
    found = []
    for measured in document.attacks:
        attack = by_repr[measured.repr]
        other = AttackKey(measured.name, measured.repr)
        rival = lead in keys and keys[lead] != other
        pair = paired(scores, keys[lead], other) if rival else None
        found.append(_row(measured, attack, costs[measured.repr]) | {"lead": pair and list(difference(*pair, level))})
    return sorted(found, key=lambda row: -1.0 if row["auc"] is None else row["auc"], reverse=True)


def _row(measured: AttackEvaluation, attack: Attack, cost: Cost) -> dict:
    rate = measured.tpr_at_fpr[LEVEL]
    set_by = peers.setting(attack)
    return {
        "attack": short(attack),
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


def paired(scores: Scores, first: AttackKey, second: AttackKey) -> tuple[Sides, Sides] | None:
    """Both attacks' scores of the members, and of the unseen pictures, that both have scored; None without any."""
    sides: list[list[np.ndarray]] = [[], []]
    for name in SETS:
        by_picture = [{row.picture: row.score for row in scores.sample(key, name).rows} for key in (first, second)]
        common = sorted(by_picture[0].keys() & by_picture[1].keys())
        if not common:
            return None
        for side, known in zip(sides, by_picture, strict=True):
            side.append(np.array([known[picture] for picture in common], dtype=np.float64))
    return tuple(sides[0]), tuple(sides[1])  # type: ignore[return-value]


def difference(first: Sides, second: Sides, level: float) -> tuple[float, float, float]:
    """AUC of the first minus AUC of the second, and the ends of its interval, all in [-1, 1].

    first, second: finite scores of the same members, float64 (m,), and of the same unseen pictures, (n,).
    DeLong's error for two curves of the same pictures (Biometrics 44, 1988), Student's t with Satterthwaite's degrees
    of freedom. Where the pictures say nothing of the error a bound takes its place, as for one AUC.
    """
    shifts = [one - other for one, other in zip(placements(*first), placements(*second), strict=True)]
    sizes = [len(shift) for shift in shifts]
    value = float(shifts[0].mean())
    parts = [float(shift.var(ddof=1)) / len(shift) for shift in shifts] if min(sizes) > 1 else [0.0, 0.0]
    if sum(parts) < 1e-18:
        low, high = (2 * end - 1 for end in bounded_mean((value + 1) / 2, min(sizes), level))
        return value, low, high
    freedom = sum(parts) ** 2 / sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
    reach = float(student.ppf((1 + level) / 2, freedom)) * math.sqrt(sum(parts))
    return value, max(-1.0, value - reach), min(1.0, value + reach)
