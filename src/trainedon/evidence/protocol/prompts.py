"""Attacks conditioned on other captions than the pictures' own: controls, which enter no correction and carry no
claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainedon.evidence.protocol.documents import AuditPromptControl, PromptControl
from trainedon.evidence.protocol.paired import auc_difference, scored_by_both
from trainedon.evidence.protocol.rules import Rules
from trainedon.evidence.protocol.sides import set_test
from trainedon.evidence.statistics import roc
from trainedon.evidence.table.rows import AttackKey
from trainedon.evidence.table.scores import Scores
from trainedon.formats.run_record import ControlEntry

# repr of each control -> of which attack it is. Empty where a model is conditioned on captions and controls were
# switched off, None where it is not conditioned on captions.
Controls = Mapping[str, ControlEntry]


def evaluated(scores: Scores, prompts: Controls | None, level: float, rules: Rules) -> tuple[PromptControl, ...]:
    """The controls among the attacks of `scores`, as they were prepared. level: of the intervals."""
    sets = ("member", "unseen")
    return tuple(
        PromptControl(**_facts(scores, key, told, sets, level, rules)) for key, told in _among(scores, prompts)
    )


def audited(scores: Scores, prompts: Controls | None, level: float, rules: Rules) -> tuple[AuditPromptControl, ...]:
    """The same with the test that the suspects as a set are put to."""
    sets = ("suspect", "unseen")
    return tuple(
        AuditPromptControl(**_facts(scores, key, told, sets, level, rules), **_test(scores, key, sets, rules))
        for key, told in _among(scores, prompts)
    )


def _among(scores: Scores, prompts: Controls | None) -> list[tuple[AttackKey, ControlEntry]]:
    known = {key.repr: key for key in scores.attacks}
    return [(known[name], told) for name, told in (prompts or {}).items() if name in known]


def _facts(
    scores: Scores, key: AttackKey, told: ControlEntry, sets: tuple[str, str], level: float, rules: Rules
) -> dict[str, Any]:
    first, unseen = (scores.sample(key, name) for name in sets)
    own = next((other for other in scores.attacks if other.repr == told.of), None)
    both = None if own is None else scored_by_both(scores, own, key, sets)
    lost = None if both is None else auc_difference(*both, level=level)
    area = (
        roc.auc(first.score, unseen.score, level=level, one_more=rules.one_more) if len(first) and len(unseen) else None
    )
    return {
        "attack": own.name if own else told.of,
        "of": told.of,
        "repr": key.repr,
        "captions": told.captions,
        "auc": area and area.value,
        "auc_ci": area and area.interval,
        "lost": lost and lost.value,
        "lost_ci": lost and lost.interval,
        "gone": bool(area and area.interval[0] <= 0.5 and lost and lost.interval and lost.interval[0] > 0),
        "n_pictures": len(first),
        "n_unseen": len(unseen),
    }


def _test(scores: Scores, key: AttackKey, sets: tuple[str, str], rules: Rules) -> dict[str, Any]:
    first, unseen = (scores.sample(key, name) for name in sets)
    test = set_test(first, unseen, rules) if len(first) and len(unseen) else None
    return {"p_value": test and test.p_value, "n_permutations": test and test.permutations}
