"""The mirror test: every suspect against its own mirror image, so that no unseen pictures are needed.

The score of an attack that is relative to the model in a mirror is a difference D: how well the model knows the
picture, minus how well it knows the mirror image. Of a picture that it never saw, of a kind whose mirror images are as
likely as the pictures, D is as likely to be positive as negative. Training pictures come out positive. Whatever sets a
folder apart from other folders (a camera, an artist, a codec) is the same on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainedon.evidence.protocol.circumstances import Circumstances
from trainedon.evidence.protocol.documents import MirrorTest
from trainedon.evidence.statistics.intervals import clopper_pearson
from trainedon.evidence.statistics.pvalues import holm
from trainedon.evidence.statistics.sign_flip import (
    MOST_ODDS,
    knockoff_q,
    least_odds_against,
    most_odds,
    positive_share,
    sign_flip_test,
    signs_needed,
)
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.scores import Sample, Scores

LEVEL = 0.01
FALSE_DISCOVERY_RATE = 0.05
DOUBT = 0.001  # chance that the odds learnt from a reference are too low, which is added to p (Berger & Boos, 1994)
# Without pictures to learn it from: unseen ones may come out positive twice as often as negative. Measured upper limits
# are 1.23 (faces) and 1.97 (emoji); text and digits lie far above, and chirality is a control of its own.
ASSUMED = 2.0
Origin = Literal["assumed", "reference", "control model"]


@dataclass(frozen=True)
class Odds:
    """How many times as often as negative pictures may come out positive that the model cannot have seen, and what says
    so. n, n_positive: pictures with a sign that it was learnt from."""

    value: float = ASSUMED
    origin: Origin = "assumed"
    n: int = 0
    n_positive: int = 0

    @classmethod
    def learnt(cls, origin: Origin, differences: np.ndarray) -> Odds | None:
        """From differences, float64 (n,), of pictures that the model that gave them cannot have seen; None where none
        has a sign."""
        signs = np.sign(differences[differences != 0])
        return cls(odds_of(differences), origin, len(signs), int((signs > 0).sum())) if len(signs) else None


def mirror_tests(scores: Scores, circumstances: Circumstances) -> dict[str, MirrorTest]:
    """The mirror test of each attack whose scores are differences to one view, by its repr, corrected for one another
    (Holm). Those where no suspect has a sign are missing.

    Unseen pictures need not be alike in other ways here, and say what chance favours; so does a control model, whose
    own differences of the suspects are among the scores. What both say, the larger holds. Works of one source are
    flipped together.
    """
    controls = {told.of: name for name, told in (circumstances.on_control or {}).items()}
    known = {attack.repr: attack for attack in scores.attacks}
    found: dict[str, MirrorTest] = {}
    for name, view in circumstances.null_views.items():
        if name not in known or name in circumstances.controls:
            continue
        suspects, unseen = (scores.sample(known[name], side) for side in ("suspect", "unseen"))
        other = known.get(controls.get(name, ""))
        learnt = [
            Odds.learnt("reference", unseen.score),
            other and Odds.learnt("control model", scores.sample(other, "suspect").score),
        ]
        test = mirror_test(suspects.score, largest(learnt), units_of(suspects), view)
        if test is not None:
            found[name] = test
    corrected = holm(np.array([test.p_value for test in found.values()]))
    return {
        name: test.model_copy(update={"p_value_holm": p, "finds": p < LEVEL})
        for (name, test), p in zip(found.items(), corrected.tolist(), strict=True)
    }


def mirror_test(
    suspects: np.ndarray, odds: Odds | None = None, units: np.ndarray | None = None, view: str = "mirror"
) -> MirrorTest | None:
    """What the signs of the suspects' differences, float64 (m,), say of them as a set; None where none has a sign.

    units: what is flipped together, see `sign_flip_test`. view: what was taken off.
    """
    share = positive_share(suspects)
    if share is None:
        return None
    odds = odds or Odds()
    plain, bounded = (sign_flip_test(suspects, one, units) for one in (1.0, odds.value))
    p_value = min(1.0, bounded.p_value + (0.0 if odds.origin == "assumed" else DOUBT))
    return MirrorTest(
        view=view,
        n=int(np.count_nonzero(suspects)),
        n_positive=int((suspects > 0).sum()),
        n_flipped=plain.n,
        share=share[0],
        share_ci=share[1],
        p_value=p_value,
        p_value_holm=p_value,
        p_value_alike=plain.p_value,
        odds=odds.value,
        odds_from=odds.origin,
        n_reference=odds.n,
        n_reference_positive=odds.n_positive,
        odds_explaining=most_odds(suspects, LEVEL, units),
        level=LEVEL,
        finds=p_value < LEVEL,
        needed=signs_needed(suspects, LEVEL, odds.value) if units is None else None,
    )


def smallest_p(test: MirrorTest) -> float:
    """What its p-value could have been at best."""
    return float((test.odds / (1 + test.odds)) ** test.n_flipped + (0.0 if test.odds_from == "assumed" else DOUBT))


def units_of(suspects: Sample) -> np.ndarray | None:
    """Whose work each picture is, (m,); one without a source is one by itself. None where no source is known."""
    source = suspects.rows.column("source")
    if (source == MISSING).all():
        return None
    return np.where(source == MISSING, -2 - suspects.picture.astype(np.int64), source)


def largest(learnt: Iterable[Odds | None]) -> Odds | None:
    """The largest of these; None where there are none."""
    return max(filter(None, learnt), key=lambda odds: odds.value, default=None)


def odds_of(reference: np.ndarray) -> float:
    """How many times as often as negative pictures may come out positive that the model cannot have seen: the upper
    limit of their share of positive ones (Clopper and Pearson, one-sided, 99.9 %), as odds, or that of their signed
    ranks if it is larger, as it is where large differences are more often positive than small ones. Never below 1.
    """
    signs = np.sign(reference[reference != 0])
    if not len(signs):
        return ASSUMED
    high = clopper_pearson(int((signs > 0).sum()), len(signs), 1 - 2 * DOUBT)[1]
    counted = min(MOST_ODDS, max(1.0, high / (1 - high))) if high < 1 else MOST_ODDS
    return max(counted, least_odds_against(reference, DOUBT))


def named_by_sign(suspects: np.ndarray, odds: float) -> np.ndarray:
    """q-values of the suspects, float64 (m,): those of the knockoff filter."""
    return knockoff_q(suspects, odds)
