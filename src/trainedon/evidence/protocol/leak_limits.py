"""Limits that a pipeline sets: is it shown that a model leaks more than this?

What decides is the lower end of an interval that holds for all attacks together: a number that is high by chance stops
nobody. And a run that could not have shown it, whatever the scores, has not passed: it says what it would have taken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from trainedon.errors import UserError
from trainedon.evidence.protocol.documents import AttackEvaluation, Evaluation
from trainedon.evidence.statistics.intervals import jointly

Outcome = Literal["above", "not shown", "not estimable"]
Interval = tuple[float, float]
RATES = {"tpr@5%": "0.05", "tpr@1%": "0.01", "tpr@0.1%": "0.001"}  # as it is written -> key of a document
SPELLING = "auc=0.6, tpr@5%=0.2, tpr@1%=0.05 or tpr@0.1%=0.01"


@final
@dataclass(frozen=True)
class LeakLimit:
    """What must not be shown to be higher. measure: `auc` or one of RATES. value: in [0, 1)."""

    measure: str
    value: float

    @classmethod
    def of(cls, text: str) -> LeakLimit:
        """From `auc=0.6`. Raises UserError for anything else."""
        found = re.fullmatch(r"\s*([a-z@.0-9%]+)\s*=\s*(0?\.[0-9]{1,12}|0)\s*", text.lower())
        if found is None or found[1] not in ("auc", *RATES) or not 0 <= float(found[2]) < 1:
            raise UserError(f"--fail-above {text[:40]!r} is no limit: give one such as {SPELLING}, below 1")
        return cls(found[1], float(found[2]))

    def __str__(self) -> str:
        return f"{self.measure}={self.value:g}"

    @property
    def words(self) -> str:
        """What is measured, as a sentence says it."""
        return "AUC" if self.measure == "auc" else f"TPR at a FPR of {self.measure[4:-1]} %"


@final
@dataclass(frozen=True)
class LimitAnswer:
    """Whether it is shown that a model leaks more than a limit. attack: `repr` of the one that shows most of it, None
    where none has a number. interval: of its value, for all attacks together."""

    limit: LeakLimit
    outcome: Outcome
    sentence: str
    attack: str | None = None
    value: float | None = None
    interval: Interval | None = None


def judge(document: Evaluation, limit: LeakLimit | str, labels: Mapping[str, str] | None = None) -> LimitAnswer:
    """Is it shown that the model leaks more than the limit?

    `above`: the lower end of the joint interval of some attack is above it, and the answer names the one whose lower
    end is highest. `not shown`: of none. `not estimable`: of none, and an attack has no number, so that nobody knows
    what it would show, or with so few pictures not even one that told all of them apart could have shown it; which, and
    what that would take, is said. labels: repr of an attack -> what a person called it, else its name. Raises UserError
    for a limit that is none.
    """
    limit = LeakLimit.of(limit) if isinstance(limit, str) else limit
    labels = labels or {}
    found = [(attack, value, ends) for attack in document.attacks for value, ends in _measured(attack, limit)]
    if not found:
        return LimitAnswer(limit, "not estimable", f"{limit}: not estimable, {_lacking(document, limit)}.")
    attack, value, ends = max(found, key=lambda one: (one[2][0], one[1]))
    called = labels.get(attack.repr, attack.name)
    lacking = ", ".join(labels.get(one.repr, one.name) for one in document.attacks if not _measured(one, limit))
    k = len(document.attacks)
    told = f"{limit.words} {value:.3f} (95 % interval {ends[0]:.3f} to {ends[1]:.3f}{' together' if k > 1 else ''})"
    which = f"{called}, which of {k} attacks shows most," if k > 1 else called

    def answer(outcome: Outcome, sentence: str) -> LimitAnswer:
        besides = f"; no number of {lacking}" if lacking else ""
        return LimitAnswer(limit, outcome, f"{limit}: {sentence}{besides}.", attack.repr, value, ends)

    if ends[0] > limit.value:
        return answer("above", f"shown to be exceeded: {which} has {told}")
    needed, sets = _needed(limit, k)
    if not any(_counted(attack, limit) >= needed for attack, _, _ in found):
        return answer(
            "not estimable",
            f"not estimable, as not even an attack that told all of these pictures apart could show it: {needed} "
            f"{sets} are needed ({which} has {told})",
        )
    if lacking:
        return answer("not estimable", f"not estimable for all attacks, and not shown by others: {which} has {told}")
    return answer("not shown", f"not shown to be exceeded: {which} has {told}")


def _measured(attack: AttackEvaluation, limit: LeakLimit) -> list[tuple[float, Interval]]:
    """The value of an attack and its joint interval; nothing where it has none."""
    if limit.measure == "auc":
        value, ends = attack.auc, attack.auc_ci
    else:
        rate = attack.tpr_at_fpr[RATES[limit.measure]]
        value, ends = rate.tpr, rate.tpr_ci
    return [] if value is None or ends is None else [(value, ends)]


def _needed(limit: LeakLimit, attacks: int) -> tuple[int, str]:
    """How many pictures it takes at least, and which: with all n right both intervals reach (alpha/2)^(1/n)."""
    which = "members and as many unseen pictures" if limit.measure == "auc" else "members"
    if limit.value == 0:
        return 1, which
    return math.floor(math.log((1 - jointly(attacks)) / 2) / math.log(limit.value)) + 1, which


def _counted(attack: AttackEvaluation, limit: LeakLimit) -> int:
    return min(attack.n_members, attack.n_unseen) if limit.measure == "auc" else attack.n_members


def _lacking(document: Evaluation, limit: LeakLimit) -> str:
    if limit.measure == "auc" or all(attack.auc is None for attack in document.attacks):
        return "no attack has scores of members and of unseen pictures"
    rates = [attack.tpr_at_fpr[RATES[limit.measure]] for attack in document.attacks]
    rate = max(rates, key=lambda one: one.n)
    return f"it takes {rate.needed} unseen pictures, and there are {rate.n} with a score"
