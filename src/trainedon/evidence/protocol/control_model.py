"""The attacks of a run on a model that cannot have seen any of its pictures: what differs there is no memory.

Two questions are asked of each attack. Does it find the difference on the control model too? And is a difference left
when what the control model says of each picture is taken off, as difficulty calibration does (Watson et al., arXiv
2111.08440)? The second one sees what the control model shows too faintly to be found there.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.stats import norm, rankdata

from trainedon.evidence.protocol.cdi import cdi
from trainedon.evidence.protocol.documents import ModelControl
from trainedon.evidence.protocol.power import POWER
from trainedon.evidence.protocol.prompts import Controls
from trainedon.evidence.protocol.sides import tested
from trainedon.evidence.statistics import pvalues
from trainedon.evidence.statistics.intervals import CONFIDENCE
from trainedon.evidence.table.rows import AttackKey
from trainedon.evidence.table.scores import Scores

LEVEL = 0.05  # below which a difference on the control model is found
LEFT = 0.01  # below which a difference is left beyond what the control model explains


def control_models(
    scores: Scores, told: Controls | None, sets: tuple[str, str], level: float = CONFIDENCE
) -> tuple[ModelControl, ...]:
    """What each attack finds on the control model, and last, where there are several, all of them together as CDI does.

    scores: all attacks, those on the control model among them. told: repr of each of these -> of which attack it is.
    level: of the intervals.
    """
    known = {key.repr: key for key in scores.attacks}
    pairs = [(known[one.of], known[name]) for name, one in (told or {}).items() if {one.of, name} <= known.keys()]
    single = tuple(_of_attack(scores, *pair, sets, level) for pair in pairs)
    return single if len(pairs) < 2 or sets[0] != "suspect" else (*single, *_of_all(scores, pairs, sets))


def detectable(m: int, n: int, level: float = LEVEL) -> float | None:
    """The smallest AUC that a one-sided set test of m against n pictures finds in four cases of five; None where it
    finds none.

    1/2 + (z(1 - level) + z(power)) sqrt((m + n + 1) / (12 m n)) (Noether, JASA 82, 1987).
    """
    if not m or not n or pvalues.smallest_p(m, n) >= level:
        return None
    reach = float(norm.isf(level) + norm.ppf(POWER)) * math.sqrt((m + n + 1) / (12 * m * n))
    return 0.5 + reach if reach < 0.5 else None


def explained(scores: Scores, pairs: list[tuple[AttackKey, AttackKey]]) -> Scores:
    """The first attack of each pair, its scores without what the second one explains of them: the residuals of a
    regression of normal scores on normal scores, over the pictures of all sets together. Labels have no part in it, so
    that a permutation test of the residuals is valid. Pictures that one of the two has not scored have no score.
    """
    columns, left = scores.columns, np.full(len(scores), np.nan)
    counts = np.isfinite(columns.score) & (columns.near < 0)
    for first, second in pairs:
        rows, others = (scores.of_attack(key).indices for key in (first, second))
        rows, others = rows[counts[rows]], others[counts[others]]
        mine, theirs = (
            columns.set[at].astype(np.int64) * len(columns.names) + columns.picture[at] for at in (rows, others)
        )
        _, here, there = np.intersect1d(mine, theirs, assume_unique=True, return_indices=True)
        if len(here) > 1:
            left[rows[here]] = _residuals(columns.score[rows[here]], columns.score[others[there]])
    return Scores(replace(columns, score=left)).without(
        {key.repr for key in scores.attacks} - {a.repr for a, _ in pairs}
    )


def _residuals(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """float64 (n,): y without what x explains of it, both as normal scores."""
    y, x = (norm.ppf(rankdata(values) / (len(values) + 1)) for values in (y, x))
    spread = float(x @ x)
    return y if spread == 0 else y - x * float(x @ y) / spread


def _of_attack(
    scores: Scores, attack: AttackKey, control: AttackKey, sets: tuple[str, str], level: float
) -> ModelControl:
    first, unseen = (scores.sample(control, name) for name in sets)
    left = explained(scores, [(attack, control)])
    p_value, area = tested(first, unseen, level)
    left_p, left_area = tested(left.sample(attack, sets[0]), left.sample(attack, sets[1]), level)
    finds = None if p_value is None else p_value < LEVEL
    return ModelControl(
        attack=attack.name,
        of=attack.repr,
        repr=control.repr,
        effect=area and area.value,
        effect_ci=area and area.interval,
        p_value=p_value,
        level=LEVEL,
        finds=finds,
        detectable=detectable(len(first), len(unseen)),
        left=left_area and left_area.value,
        left_p_value=left_p,
        caps=_caps(finds, left_p),
        n_pictures=len(first),
        n_unseen=len(unseen),
    )


def _of_all(
    scores: Scores, pairs: list[tuple[AttackKey, AttackKey]], sets: tuple[str, str]
) -> tuple[ModelControl, ...]:
    """The same of CDI, the test of all attacks together; nothing where it could not be made."""
    others = {key.repr for key in scores.attacks} - {control.repr for _, control in pairs}
    found, left = cdi(scores.without(others)), cdi(explained(scores, pairs))
    if found is None or left is None:
        return ()
    finds = found.p_value < LEVEL
    return (
        ModelControl(
            attack="cdi",
            of="cdi",
            repr="cdi",
            effect=found.effect,
            effect_ci=found.effect_ci,
            p_value=found.p_value,
            level=LEVEL,
            finds=finds,
            detectable=None,
            left=left.effect,
            left_p_value=left.p_value,
            caps=_caps(finds, left.p_value),
            n_pictures=found.n_suspects,
            n_unseen=found.n_unseen,
        ),
    )


def _caps(finds: bool | None, left: float | None) -> bool:
    """Whether the control model takes from a difference that it was memory: it finds it too, or leaves nothing of it.
    A control that could not be made takes nothing, and gives nothing."""
    return bool(finds) or (left is not None and left >= LEFT)
