"""The attacks of a run where nothing can be remembered: on a control model, and on mirrored pictures.

Two questions are asked of each attack. Does it find the difference there too? And is a difference left when what its
counterpart says of each picture is taken off, as difficulty calibration does (Watson et al., arXiv 2111.08440)? The
second one sees what the counterpart shows too faintly to be found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata, spearmanr

from trainedon.evidence.protocol.cdi import cdi
from trainedon.evidence.protocol.detectable import detectable as detectable_at
from trainedon.evidence.protocol.documents import ModelControl, Sensitivity
from trainedon.evidence.protocol.prompts import Controls
from trainedon.evidence.protocol.rules import Rules
from trainedon.evidence.protocol.sides import set_test
from trainedon.evidence.protocol.source_evidence import Works, set_evidence
from trainedon.evidence.statistics import pvalues, roc
from trainedon.evidence.statistics.intervals import CONFIDENCE
from trainedon.evidence.statistics.two_sample import null_spread
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.rows import AttackKey
from trainedon.evidence.table.scores import Sample, Scores

LEVEL = 0.05  # below which a difference is found where nothing can be remembered
LEFT = 0.01  # below which a difference is left beyond that of the counterpart

Pair = tuple[AttackKey, AttackKey]  # an attack and its counterpart
Sets = tuple[str, str]


def control_models(
    scores: Scores, told: Controls | None, sets: Sets, rules: Rules, level: float = CONFIDENCE
) -> tuple[ModelControl, ...]:
    """What each attack finds on the control model, and last, where there are several, all of them together as CDI does.

    scores: all attacks, those on the control model among them. told: repr of each of these -> of which attack it is.
    level: of the intervals.
    """
    made = _facts(scores, told or {}, sets, rules, level)
    alike = {facts["of"]: _alike(scores, facts["of"], facts["repr"], sets[1]) for facts in made}
    each = [one for one in alike.values() if one is not None]
    if "cdi" in alike and each:
        alike["cdi"] = float(np.median(each))
    return tuple(ModelControl(**facts, alike=alike[facts["of"]]) for facts in made)


def _alike(scores: Scores, attack: str, counterpart: str, unseen: str) -> float | None:
    """How far a control model goes along with the audited one: the rank correlation (Spearman) of both scores, over
    pictures that neither has seen, so that memory has no part in it. None where there is nothing to correlate."""
    known = {key.repr: key for key in scores.attacks}
    if not {attack, counterpart} <= known.keys():
        return None
    one, other = (scores.sample(known[name], unseen) for name in (attack, counterpart))
    _, here, there = np.intersect1d(one.picture, other.picture, assume_unique=True, return_indices=True)
    own, others = one.score[here], other.score[there]
    if min(len({*values.tolist()}) for values in (own, others)) < 2:
        return None
    return float(np.clip(spearmanr(own, others).statistic, -1, 1))


def sensitivity(
    scores: Scores, told: Controls | None, sets: Sets, rules: Rules, level: float = CONFIDENCE
) -> tuple[Sensitivity, ...]:
    """The same on pictures that were changed so that memory is lost, for each change."""
    told = told or {}
    changes = dict.fromkeys(str(one.change) for one in told.values())
    alike = {change: {name: one for name, one in told.items() if one.change == change} for change in changes}
    return tuple(
        Sensitivity(change=change, **facts)
        for change, some in alike.items()
        for facts in _facts(scores, some, sets, rules, level)
    )


def detectable(m: int, n: int, level: float = LEVEL) -> float | None:
    """The smallest AUC that a one-sided set test of m against n pictures finds in four cases of five; None where it
    finds none."""
    if not m or not n or pvalues.smallest_p(m, n) >= level:
        return None
    least = detectable_at(null_spread(m, n), level)
    return least if least < 1 else None


def beyond(scores: Scores, pairs: Sequence[Pair]) -> Scores:
    """The first attack of each pair, with the difference of the two in place of its scores: of their normal scores,
    each over the pictures of all sets together. Labels have no part in it, so that a permutation test of the difference
    is valid. Pictures that one of the two has not scored have no score.
    """
    columns, left = scores.columns, np.full(len(scores), np.nan)
    counts = np.isfinite(columns.score) & (columns.near < 0)
    picture = columns.set.astype(np.int64) * len(columns.names) + columns.picture
    for first, second in pairs:
        rows, others = (scores.of_attack(key).indices for key in (first, second))
        rows, others = rows[counts[rows]], others[counts[others]]
        _, here, there = np.intersect1d(picture[rows], picture[others], assume_unique=True, return_indices=True)
        if len(here) > 1:
            own, other = columns.score[rows[here]], columns.score[others[there]]
            left[rows[here]] = normal_scores(own) - normal_scores(other)
    return _only(Scores(replace(columns, score=left)), [first for first, _ in pairs])


def _only(scores: Scores, attacks: Sequence[AttackKey]) -> Scores:
    return scores.without({key.repr for key in scores.attacks} - {key.repr for key in attacks})


def normal_scores(values: np.ndarray) -> np.ndarray:
    """float64 (n,): the normal quantiles of the ranks."""
    return np.asarray(norm.ppf(rankdata(values) / (len(values) + 1)))


def _facts(scores: Scores, told: Controls, sets: Sets, rules: Rules, level: float) -> list[dict[str, Any]]:
    """The fields that counterparts of all kinds share."""
    known = {key.repr: key for key in scores.attacks}
    pairs = [(known[one.of], known[name]) for name, one in told.items() if {one.of, name} <= known.keys()]
    single = [_of_attack(scores, pair, sets, rules, level) for pair in pairs]
    together = _of_all(scores, pairs, rules) if len(pairs) > 1 and sets[0] == "suspect" else None
    return single if together is None else [*single, together]


def _of_attack(scores: Scores, pair: Pair, sets: Sets, rules: Rules, level: float) -> dict[str, Any]:
    attack, counterpart = pair
    first, unseen = (scores.sample(counterpart, name) for name in sets)
    left = beyond(scores, [pair])
    found = _tested(first, unseen, rules, level)
    beside = _tested(left.sample(attack, sets[0]), left.sample(attack, sets[1]), rules, level)
    finds = None if found.p_value is None else found.p_value < LEVEL
    return {
        "attack": attack.name,
        "of": attack.repr,
        "repr": counterpart.repr,
        "effect": found.effect,
        "effect_ci": found.interval,
        "p_value": found.p_value,
        "level": LEVEL,
        "finds": finds,
        "detectable": detectable(len(first), len(unseen)),
        "left": beside.effect,
        "left_p_value": beside.p_value,
        "caps": _caps(finds, beside.p_value if beside.smallest < LEFT else None),
        "n_pictures": len(first),
        "n_unseen": len(unseen),
    }


def _of_all(scores: Scores, pairs: Sequence[Pair], rules: Rules) -> dict[str, Any] | None:
    """The same of CDI, the test of all attacks together; None where it could not be made."""
    found, left = cdi(_only(scores, [other for _, other in pairs]), rules), cdi(beyond(scores, pairs), rules)
    if found is None or left is None:
        return None
    finds = found.p_value < LEVEL
    return {
        "attack": "cdi",
        "of": "cdi",
        "repr": "cdi",
        "effect": found.effect,
        "effect_ci": found.effect_ci,
        "p_value": found.p_value,
        "level": LEVEL,
        "finds": finds,
        "detectable": detectable(found.n_suspects, found.n_unseen),
        "left": left.effect,
        "left_p_value": left.p_value,
        "caps": _caps(finds, left.p_value),
        "n_pictures": found.n_suspects,
        "n_unseen": found.n_unseen,
    }


@dataclass(frozen=True)
class _Tested:
    """A one-sided test of a set, with its AUC; none without scored pictures on a side, or where labels cannot be dealt.
    smallest: p-value that it could have reached."""

    p_value: float | None = None
    effect: float | None = None
    interval: tuple[float, float] | None = None
    smallest: float = 1.0


def _tested(first: Sample, unseen: Sample, rules: Rules, level: float) -> _Tested:
    """As the set is tested under the attack itself: by sources where there are any."""
    if not (len(first) and len(unseen)) or len({*first.score.tolist(), *unseen.score.tolist()}) == 1:
        return _Tested()  # what is the same for every picture says nothing of any
    sourced = any((one.rows.column("source") != MISSING).any() for one in (first, unseen))
    if rules.by_source and sourced:
        works = Works.of(first, unseen)
        found, test = set_evidence(works, level), works and works.test
        return _Tested(found.p_value, found.effect, found.effect_ci, test.smallest if test else 1.0)
    area = roc.auc(first.score, unseen.score, level=level, one_more=rules.one_more)
    smallest = pvalues.smallest_p(len(first), len(unseen))
    return _Tested(set_test(first, unseen, rules).p_value, area.value, area.interval, smallest)


def _caps(finds: bool | None, left: float | None) -> bool:
    """Whether the counterpart takes from a difference that it was memory: it finds it too, or leaves nothing of it. One
    that could not be made takes nothing, and gives nothing."""
    return bool(finds) or (left is not None and left >= LEFT)
