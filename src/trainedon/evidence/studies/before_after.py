"""Before and after: does a model remember the same pictures more, or less, than another one under the same attacks?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from trainedon.evidence.protocol.documents import Correlation, Count, Document, Interval, Unit
from trainedon.evidence.protocol.paired import Sides, auc_difference
from trainedon.evidence.statistics import roc, thresholds
from trainedon.evidence.statistics.intervals import jointly
from trainedon.evidence.statistics.paired_rates import RateChange, rate_change
from trainedon.evidence.statistics.pvalues import holm
from trainedon.evidence.table.rows import AttackKey, Rows, picture_ids
from trainedon.evidence.table.scores import Sample, Scores
from trainedon.evidence.table.split import calibration_mask, seed_of

LEVEL = "0.01"
ALPHA = 0.05
SHOWN = 5  # pictures that are named
Change = tuple[Correlation, Correlation]


class ComparedRun(Document):
    """One of the two runs."""

    run: str = Field(description="its folder, as it was named")
    model: str | None
    digest: str | None = Field(description="of the model")
    finished: str | None


class ComparedSet(Document):
    """How many pictures of one set are in both runs, by their digests, and what is in one of them alone."""

    set: str
    both: Count
    before_only: Count
    after_only: Count
    before_examples: tuple[str, ...] = Field(description="names of some that are in the first alone")
    after_examples: tuple[str, ...]


class SettingDifference(Document):
    """Something that the two runs did not do alike, so that a change may come from it."""

    what: str
    before: str
    after: str


class NotCompared(Document):
    """An attack that is not compared, and why."""

    attack: str = Field(description="its repr")
    called: str = Field("", description="as a person wrote it in the run that has it; earlier versions did not say")
    reason: str


class ComparedRate(Document):
    """TPR at a false-positive rate of 1 %, both thresholds set on the same unseen pictures."""

    estimable: bool
    before: Unit | None
    after: Unit | None
    change: Correlation | None = Field(description="after minus before")
    change_ci: Change | None = Field(description="paired bootstrap of members and of the unseen pictures of thresholds")
    n: Count = Field(description="unseen pictures in both runs")
    needed: Count = Field(description="unseen pictures that this takes")


class ComparedAttack(Document):
    """One attack on the pictures that both runs have scored."""

    name: str
    repr: str
    called: str = Field(description="as a person wrote it; its repr where two would be called alike")
    before: Unit | None = Field(description="AUC in the first run")
    before_ci: Interval | None
    after: Unit | None
    after_ci: Interval | None
    change: Correlation | None = Field(description="AUC after minus AUC before")
    change_ci: Change | None = Field(description="paired DeLong, together with those of all attacks compared")
    p_value: Unit | None = Field(description="two-sided; null where the pictures say nothing of the error")
    p_value_holm: Unit | None = Field(description="corrected for the number of attacks compared")
    tpr_1: ComparedRate
    n_asked: Count = Field(description="members, or suspects, that both have scored and that count in both")
    n_unseen: Count

    @property
    def changed(self) -> bool:
        """Whether a change is shown: by the interval and by the p-value, both corrected, so that neither contradicts
        what is said. Holm's p-value is the smaller one of two corrections; intervals have Bonferroni's alone."""
        p, ends = self.p_value_holm, self.change_ci
        return p is not None and p <= ALPHA and ends is not None and not ends[0] <= 0 <= ends[1]

    @property
    def tells(self) -> bool:
        """Whether an AUC above .5 is shown, in one run at least. Where none is, more or less of nothing is told."""
        return any(ends is not None and ends[0] > 0.5 for ends in (self.before_ci, self.after_ci))


class Comparison(Document):
    """What `trainedon compare` writes: two runs on the same pictures, the second against the first."""

    schema_version: Literal[1] = 1
    kind: Literal["audit", "evaluate"]
    before: ComparedRun
    after: ComparedRun
    interval_level: Unit = Field(description="of the intervals of all attacks together")
    sets: tuple[ComparedSet, ...]
    moved: Count = Field(description="pictures that are in another set in the second run; they are not compared")
    differences: tuple[SettingDifference, ...] = Field(description="what else than the model is not alike")
    attacks: Annotated[tuple[ComparedAttack, ...], Field(min_length=1)]
    not_compared: tuple[NotCompared, ...]
    sentence: str
    meaning: str = Field(description="what a change says, and what it does not")


def compared(before: Scores, after: Scores, asked: str, attacks: Mapping[AttackKey, str]) -> tuple[ComparedAttack, ...]:
    """Each attack in both tables on the pictures that count in both. asked: `member` or `suspect`. attacks: with what
    each is called. The tables are `deduplicated`, and have all of them.

    What makes a picture easy mostly makes it easy for both models, so differences are taken picture by picture.
    """
    level = jointly(len(attacks))
    found = [_compared(before, after, asked, attack, called, level) for attack, called in attacks.items()]
    p = [one.p_value for one in found if one.p_value is not None]
    adjusted = iter(holm(p).tolist() if p else [])
    return tuple(
        one if one.p_value is None else one.model_copy(update={"p_value_holm": next(adjusted)}) for one in found
    )


def _compared(
    before: Scores, after: Scores, asked: str, attack: AttackKey, called: str, level: float
) -> ComparedAttack:
    first, unseen = (matched(before.sample(attack, name), after.sample(attack, name)) for name in (asked, "unseen"))
    n = (len(first[0]), len(unseen[0]))
    if not all(n):
        return _without_numbers(attack, called, *n)
    was, now = ((first[side].column("score"), unseen[side].column("score")) for side in (0, 1))
    areas = [roc.auc(*sides, level=level) for sides in (was, now)]
    change = auc_difference(now, was, level=level)
    return ComparedAttack(
        name=attack.name,
        repr=attack.repr,
        called=called,
        before=areas[0].value,
        before_ci=areas[0].interval,
        after=areas[1].value,
        after_ci=areas[1].interval,
        change=change.value,
        change_ci=change.interval,
        p_value=change.p_value,
        p_value_holm=None,
        tpr_1=_rate(was, now, first[0], unseen[0], level),
        n_asked=n[0],
        n_unseen=n[1],
    )


def _without_numbers(attack: AttackKey, called: str, n_asked: int, n_unseen: int) -> ComparedAttack:
    """An attack that no picture of a side has a score of in both runs."""
    rate = ComparedRate(
        estimable=False, before=None, after=None, change=None, change_ci=None, n=n_unseen, needed=_needed()
    )
    return ComparedAttack(
        name=attack.name,
        repr=attack.repr,
        called=called,
        before=None,
        before_ci=None,
        after=None,
        after_ci=None,
        change=None,
        change_ci=None,
        p_value=None,
        p_value_holm=None,
        tpr_1=rate,
        n_asked=n_asked,
        n_unseen=n_unseen,
    )


def matched(before: Sample, after: Sample) -> tuple[Rows, Rows]:
    """The rows of both samples that are of the same pictures, in the same order; by digest, or by name without one."""
    first, second = (np.array([*picture_ids(side.rows)], dtype=np.str_) for side in (before, after))
    _, one, other = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return Rows(before.rows.columns, before.rows.indices[one]), Rows(after.rows.columns, after.rows.indices[other])


def _rate(was: Sides, now: Sides, asked: Rows, unseen: Rows, level: float) -> ComparedRate:
    calibrates = calibration_mask(unseen)
    seed = seed_of(picture_ids(asked), picture_ids(unseen))
    found: RateChange | None = None
    if len(unseen) >= _needed():
        sides = ((was[0], was[1][calibrates]), (now[0], now[1][calibrates]))
        found = rate_change(*sides, rate=LEVEL, level=level, seed=seed)
    return ComparedRate(
        estimable=found is not None,
        before=found and found.before,
        after=found and found.after,
        change=found and found.value,
        change_ci=found and found.interval,
        n=len(unseen),
        needed=_needed(),
    )


def _needed() -> int:
    return 2 * thresholds.unseen_needed(LEVEL)
