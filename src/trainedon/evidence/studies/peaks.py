"""The peaks hypothesis: does the model's density rise to a sharper peak at training pictures than at unseen ones?

A fixed list of measurements, the study, whose scores are high on a sharp peak; and one document about all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field
from scipy.stats import t as student

from trainedon.errors import UserError
from trainedon.evidence.protocol.documents import Count, Document, Interval, IntervalMethod, Unit
from trainedon.evidence.statistics import pvalues, roc
from trainedon.evidence.statistics.intervals import CONFIDENCE, jointly
from trainedon.evidence.table.deduplicate import deduplicate
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.picture_table import Pictures
from trainedon.evidence.table.scores import Sample, Scores
from trainedon.formats.run_record import StudyEntry

MOVES = ("noise", "smooth", "fade")
RADII = (0.05, 0.1, 0.2, 0.4)
# Said beforehand, so that nothing is chosen by what it shows. `docs/attacks.md` has the formulas.
STUDY = (
    *(f"rise(move={move}, radius={radius})" for move in MOVES for radius in RADII),
    *("curvature(t=50)", "curvature(t=100)"),
)
ALPHA = 0.01  # a measurement speaks for the hypothesis when its corrected p-value is below this


class Level(Document):
    """The scores of one set. Null where no picture was scored, the interval where there are fewer than two."""

    n: Count
    mean: float | None
    mean_ci: tuple[float, float] | None = Field(
        description="95 %, Student's t: for pictures drawn independently, and enough of them that their mean is normal"
    )
    median: float | None


class Measurement(Document):
    """One attack of the study. The numbers that compare are null without scored pictures on both sides."""

    repr: str
    kind: str = Field(description="rise or curvature")
    move: str | None = Field(description="how the picture is moved; null for curvature")
    radius: float | None = Field(description="how far, RMS a pixel in [-1, 1]; null for curvature")
    t: int
    member: Level
    unseen: Level
    auc: Unit | None = Field(description="P(member > unseen), ties half; above .5 members lie on sharper peaks")
    auc_ci: Interval | None = Field(description="95 % for all measurements together")
    auc_ci_method: IntervalMethod | None
    p_value: Unit | None = Field(description="one-sided permutation test: members are higher")
    p_value_holm: Unit | None = Field(description="corrected for all measurements of the study")
    n_permutations: Count | None


class Peaks(Document):
    """`peaks.json`: what the study found, and what may be said of the hypothesis by rule."""

    schema_version: Literal[1] = 1
    alpha: Unit = ALPHA
    measurements: tuple[Measurement, ...]
    holds: bool = Field(description="some corrected p-value is below alpha")
    opposite: bool = Field(description="some interval of an AUC lies below .5")
    sentence: str


def peaks(
    scores: Scores,
    study: Sequence[StudyEntry],
    pictures: Pictures | None = None,
    features: FeatureTable | None = None,
) -> Peaks:
    """What the scores of members and unseen pictures say of the peaks hypothesis.

    study: each measurement, with its `repr` as in the scores. Other attacks in the scores, and suspects, are passed
    over. pictures, features: as for `evaluate`, so that the same pictures count here as there. Raises UserError without
    members or unseen pictures, and when the scores lack a measurement.
    """
    sets = ("member", "unseen")
    scores.require(*sets)
    scores = deduplicate(scores, sets, pictures, features)
    found = [_compared(scores, entry, jointly(len(study))) for entry in study]
    corrected = iter(pvalues.holm(np.array([one["p_value"] for one in found if one["p_value"] is not None])).tolist())
    measurements = tuple(
        Measurement(**one, p_value_holm=None if one["p_value"] is None else next(corrected)) for one in found
    )
    return Peaks(
        measurements=measurements,
        holds=any(map(_speaks_for, measurements)),
        opposite=any(map(_speaks_against, measurements)),
        sentence=sentence(measurements),
    )


def sentence(measurements: Sequence[Measurement]) -> str:
    """What may be said, in plain English."""
    known = [one for one in measurements if one.auc is not None]
    if not known:
        return "Too few pictures could be scored to say whether training pictures lie on sharper peaks."
    speaks_for, against = [one for one in known if _speaks_for(one)], [one for one in known if _speaks_against(one)]
    turned = f"in {len(against)} of {len(known)} it is the unseen ones that do"
    if not speaks_for and not against:
        return (
            f"None of {len(known)} measurements shows training pictures on sharper peaks than unseen ones by more than "
            f"chance explains (no corrected p below {ALPHA:g})."
        )
    if not speaks_for:
        return f"None of {len(known)} measurements shows training pictures on sharper peaks than unseen ones; {turned}."
    best = max(speaks_for, key=_auc)
    text = (
        f"In {len(speaks_for)} of {len(known)} measurements training pictures lie on sharper peaks than unseen ones, "
        f"more than chance explains (corrected p below {ALPHA:g})"
    )
    text += f"; {turned}." if against else "."
    higher = f"in {_share(_auc(best))} of pairs the training picture has the higher value"
    return f"{text} The clearest is {_named(best)}: {higher}."


def _auc(one: Measurement) -> float:
    assert one.auc is not None, "only measurements that are known are compared"
    return one.auc


def _share(auc: float) -> str:
    """A percentage that is rounded up to 100 only where it is 100."""
    return f"{100 * auc:.0f}\u00a0%" if auc in (0, 1) or round(auc, 2) < 1 else "more than 99\u00a0%"


def _speaks_for(one: Measurement) -> bool:
    return one.p_value_holm is not None and one.p_value_holm < ALPHA


def _speaks_against(one: Measurement) -> bool:
    return one.auc_ci is not None and one.auc_ci[1] < 0.5


def _named(one: Measurement) -> str:
    how = "curvature" if one.move is None else f"{one.move} at radius {one.radius:g}"
    return f"{how} (timestep {one.t})"


def _compared(scores: Scores, entry: StudyEntry, level: float) -> dict[str, Any]:
    """Everything of one measurement but the corrected p-value."""
    attack = next((attack for attack in scores.attacks if attack.repr == entry.repr), None)
    if attack is None:
        raise UserError(f"the scores lack {entry.repr}, which belongs to the study: run it again")
    members, unseen = (scores.sample(attack, name) for name in ("member", "unseen"))
    both = len(members) and len(unseen)
    test = pvalues.permutation_test(members.score, unseen.score, pvalues.FEWER) if both else None
    area = roc.auc(members.score, unseen.score, level=level, one_more=False) if both else None
    return {
        **{key: getattr(entry, key) for key in ("repr", "kind", "move", "radius", "t")},
        "member": _level(members),
        "unseen": _level(unseen),
        "auc": area and area.value,
        "auc_ci": area and area.interval,
        "auc_ci_method": area and area.method,
        "p_value": test and test.p_value,
        "n_permutations": test and test.permutations,
    }


def _level(sample: Sample) -> Level:
    n, score = len(sample), sample.score
    mean = float(score.mean()) if n else None
    reach = float(student.ppf((1 + CONFIDENCE) / 2, n - 1) * score.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return Level(
        n=n,
        mean=mean,
        mean_ci=None if mean is None or reach is None else (mean - reach, mean + reach),
        median=float(np.median(score)) if n else None,
    )
