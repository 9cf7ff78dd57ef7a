"""A sweep: one attack under many settings, in groups that each answer one question, and the best of each group.

The best of many is the best partly by chance. So it is compared with every other setting on the same pictures, and what
may be said of it is corrected for having been picked after the scores were seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from trainedon.errors import UserError
from trainedon.evidence.protocol.documents import Count, Document, Interval, IntervalMethod, Unit
from trainedon.evidence.protocol.paired import Difference, auc_difference, scored_by_both
from trainedon.evidence.protocol.rules import STANDARD_2, Protocol, Rules
from trainedon.evidence.statistics import pvalues, roc, thresholds
from trainedon.evidence.statistics.intervals import CONFIDENCE, jointly
from trainedon.evidence.table.deduplicate import deduplicate
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.picture_table import Pictures
from trainedon.evidence.table.rows import AttackKey
from trainedon.evidence.table.scores import Scores
from trainedon.evidence.table.split import calibration_mask
from trainedon.formats.run_record import CostEntry, GroupEntry, SweepEntry

ALPHA = 0.05  # a difference is beyond chance when its corrected p-value is below this
LEVEL = "0.01"  # the false-positive rate whose TPR is given
SETS = ("member", "unseen")
FEWEST_ON_AXIS = 3  # values; with fewer, the best is always at an end
Value = bool | int | float | str
Shift = Annotated[float, Field(ge=-1, le=1)]


class Behind(Document):
    """How far a setting lies behind the best one of its group, on the pictures that both scored."""

    difference: Shift = Field(description="AUC of the best minus AUC of this one")
    difference_ci: tuple[Shift, Shift] | None = Field(description="95 % for this pair alone, paired DeLong")
    p_value: Unit | None = Field(description="two-sided; null where the pictures say nothing of the error")
    p_value_holm: Unit | None = Field(description="corrected for all pairs of settings in the group")


class Point(Document):
    """One setting. Its numbers are those of `evaluation.json`, on the same pictures; null where there are too few."""

    setting: dict[str, Value] = Field(description="the varied parameters, by name")
    repr: str
    auc: Unit | None
    auc_ci: Interval | None = Field(description="95 % for this setting alone")
    auc_ci_method: IntervalMethod | None
    tpr_1: Unit | None = Field(description="TPR at a FPR of 1 %; null with too few unseen pictures")
    tpr_1_ci: Interval | None = Field(description="95 % for this setting alone")
    passes: Count | None = Field(description="network passes a picture: forward + 2 x backward; null if not recorded")
    n_members: Count
    n_unseen: Count
    behind: Behind | None = Field(description="null for the best, and where no picture was scored by both")


class Group(Document):
    """The settings that answer one question."""

    title: str
    question: str
    varied: tuple[str, ...]
    axis: str | None = Field(description="what a chart has across: a varied number, `passes`, or null for words")
    points: tuple[Point, ...]
    best: Count | None = Field(description="index of the point with the highest AUC; of equal ones the cheapest")
    pairs: Count = Field(description="comparisons that were corrected for")
    clear: bool = Field(description="the best is ahead of the runner-up beyond chance")
    sentence: str


class Sweep(Document):
    """`sweep.json`: what was found under every setting, and what may be said of the best ones."""

    schema_version: Literal[1, 2]
    protocol: Protocol
    alpha: Unit = ALPHA
    attack: str = Field(description="the attack whose parameters were varied, with what it was given besides")
    groups: tuple[Group, ...]
    notes: tuple[str, ...]


def sweep(
    scores: Scores,
    plan: SweepEntry,
    costs: Sequence[CostEntry] = (),
    pictures: Pictures | None = None,
    features: FeatureTable | None = None,
    rules: Rules = STANDARD_2,
) -> Sweep:
    """What the scores say of every setting of a sweep, and which is best for each question.

    plan: what was varied, each setting with its `repr` as in the scores. costs: those of `run.json`. pictures,
    features: as for `evaluate`, so that the same pictures count here as there. rules: of which protocol.
    Raises UserError without members or unseen pictures, and when the scores lack a setting.
    """
    scores.require(*SETS)
    scores = deduplicate(scores, SETS, pictures, features)
    passes = {cost.attack: cost.forward_per_picture + 2 * cost.backward_per_picture for cost in costs}
    return Sweep(
        schema_version=rules.schema_version,
        protocol=rules.name,
        attack=plan.attack,
        groups=tuple(_group(scores, group, passes, rules) for group in plan.groups),
        notes=tuple(plan.notes),
    )


def named(setting: Mapping[str, Value]) -> str:
    """A setting in words: `steps 20, inverted`."""
    return ", ".join(_named(name, value) for name, value in setting.items())


def _named(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return name if value else f"not {name}"
    return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"


def _group(scores: Scores, plan: GroupEntry, passes: Mapping[str, int], rules: Rules) -> Group:
    known = {attack.repr: attack for attack in scores.attacks}
    missing = [one.repr for one in plan.settings if one.repr not in known]
    if missing:
        raise UserError(f"the scores lack {missing[0]}, which belongs to the sweep: run it again")
    attacks = [known[one.repr] for one in plan.settings]
    facts = [
        {"setting": dict(one.setting), "passes": passes.get(one.repr)} | _measured(scores, attack, rules)
        for one, attack in zip(plan.settings, attacks, strict=True)
    ]
    best = _best(facts)
    behind, pairs = _behind(scores, attacks, best) if best is not None else ({}, 0)
    points = tuple(Point(**fact, behind=behind.get(i)) for i, fact in enumerate(facts))
    axis = plan.axis
    return Group(
        title=plan.title,
        question=plan.question,
        varied=tuple(plan.varied),
        axis=axis,
        points=points,
        best=best,
        pairs=pairs,
        clear=_clear(points, best),
        sentence=_sentence(points, best, pairs, axis, _like_a_coin(scores, attacks, best, rules)),
    )


def _measured(scores: Scores, attack: AttackKey, rules: Rules) -> dict[str, Any]:
    """What a point says of one attack: as the protocol counts it, with the intervals for this one alone."""
    members, unseen = (scores.sample(attack, name) for name in SETS)
    area = roc.auc(members.score, unseen.score, one_more=rules.one_more) if len(members) and len(unseen) else None
    first = calibration_mask(unseen.rows)
    counted = thresholds.tpr_at_fpr(members.score, unseen.score[first], unseen.score[~first], LEVEL)
    return {
        "repr": attack.repr,
        "auc": area and area.value,
        "auc_ci": area and area.interval,
        "auc_ci_method": area and area.method,
        "tpr_1": counted and counted.tpr,
        "tpr_1_ci": counted and counted.tpr_ci(CONFIDENCE),
        "n_members": len(members),
        "n_unseen": len(unseen),
    }


def _best(facts: Sequence[Mapping[str, Any]]) -> int | None:
    known = [i for i, fact in enumerate(facts) if fact["auc"] is not None]
    return max(known, key=lambda i: (facts[i]["auc"], -(facts[i]["passes"] or 0), -i), default=None)


def _behind(scores: Scores, attacks: Sequence[AttackKey], best: int) -> tuple[dict[int, Behind], int]:
    """Every other setting against the best, and how many pairs were corrected for.

    Which one is the best is known from the scores alone, so its comparisons are not those of a setting chosen
    beforehand. Holm's correction over all pairs of the group holds whichever pair is looked at.
    """
    found = {
        pair: _difference(scores, attacks[pair[0]], attacks[pair[1]]) for pair in combinations(range(len(attacks)), 2)
    }
    tested = {pair: one.p_value for pair, one in found.items() if one is not None and one.p_value is not None}
    corrected = dict(zip(tested, pvalues.holm(np.array(list(tested.values()))).tolist()))
    behind = {}
    for pair, one in found.items():
        if best in pair and one is not None:
            sign = 1 if pair[0] == best else -1
            ends = None if one.interval is None else sorted(sign * end for end in one.interval)
            behind[sum(pair) - best] = Behind(
                difference=sign * one.value,
                difference_ci=None if ends is None else (ends[0], ends[1]),
                p_value=one.p_value,
                p_value_holm=corrected.get(pair),
            )
    return behind, len(tested)


def _difference(scores: Scores, first: AttackKey, second: AttackKey) -> Difference | None:
    """On the pictures that count under both; None where a side has none."""
    both = scored_by_both(scores, first, second, SETS)
    return both and auc_difference(*both)


def _like_a_coin(scores: Scores, attacks: Sequence[AttackKey], best: int | None, rules: Rules) -> bool:
    """Whether even the best cannot be told from guessing, with an interval that holds for all of the group."""
    if best is None:
        return False
    members, unseen = (scores.sample(attacks[best], name) for name in SETS)
    area = roc.auc(members.score, unseen.score, level=jointly(len(attacks)), one_more=rules.one_more)
    return area.low <= 0.5


def _runner_up(points: Sequence[Point], best: int | None) -> int | None:
    others = [i for i, point in enumerate(points) if i != best and point.auc is not None]
    return max(others, key=lambda i: (points[i].auc, -i), default=None)


def _beaten(point: Point) -> bool:
    behind = point.behind
    return (
        behind is not None and behind.p_value_holm is not None and behind.p_value_holm < ALPHA and behind.difference > 0
    )


def _clear(points: Sequence[Point], best: int | None) -> bool:
    runner_up = _runner_up(points, best)
    return runner_up is not None and _beaten(points[runner_up])


def _sentence(points: Sequence[Point], best: int | None, pairs: int, axis: str | None, coin: bool) -> str:
    """What may be said of the best setting, in plain English."""
    if best is None:
        return "Too few pictures could be scored to compare these settings."
    first = points[best]
    text = f"Highest is {named(first.setting)} (AUC {first.auc:.3f})"
    text += ", which still cannot be told from guessing" if coin else ""
    runner_up = _runner_up(points, best)
    if runner_up is None:
        return f"{text}; no other setting could be scored."
    second = points[runner_up]
    text += f"; the runner-up is {named(second.setting)} ({second.auc:.3f}). {_compared(second, pairs)}"
    others = [point for i, point in enumerate(points) if i != best]
    beaten = sum(map(_beaten, others))
    if len(others) > 1:
        text += f" Beyond chance it is ahead of {_how_many(beaten, len(others))}."
    return text + _at_an_end(points, first, axis)


def _compared(second: Point, pairs: int) -> str:
    behind = second.behind
    if behind is None or behind.p_value_holm is None:
        return "Whether the first is really better, these pictures cannot tell."
    corrected = f", corrected for all {pairs} pairs" if pairs > 1 else ""
    said = f"{abs(behind.difference):.3f} on the same pictures (p = {_p(behind.p_value_holm)}{corrected})"
    if _beaten(second):
        return f"The difference of {said} is more than chance explains."
    return f"The difference of {said} is no more than chance explains."


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else "below 0.0001"


def _how_many(beaten: int, others: int) -> str:
    if beaten in (0, others):
        return f"{'none' if beaten == 0 else 'all'} of the {others} others"
    return f"{beaten} of the {others} others"


def _at_an_end(points: Sequence[Point], first: Point, axis: str | None) -> str:
    """A peak at an end of what was tried may be no peak."""
    if axis not in first.setting:
        return ""
    tried = sorted({point.setting[axis] for point in points})
    if len(tried) < FEWEST_ON_AXIS or first.setting[axis] not in (tried[0], tried[-1]):
        return ""
    end = "largest" if first.setting[axis] == tried[-1] else "smallest"
    return f" It has the {end} {axis} that was tried, so the best may lie beyond."
