"""The mirror test: every suspect against its own mirror image, so that no unseen pictures are needed.

The score of an attack that is relative to the model in a mirror is a difference D: how well the model knows the
picture, minus how well it knows the mirror image. Of a picture that it never saw, of a kind whose mirror images are as
likely as the pictures, D is as likely to be positive as negative. Training pictures come out positive. Whatever sets a
folder apart from other folders (a camera, an artist, a codec) is the same on both sides.
"""

from __future__ import annotations

import numpy as np

from trainedon.evidence.protocol.documents import MirrorTest
from trainedon.evidence.statistics.intervals import clopper_pearson
from trainedon.evidence.statistics.sign_flip import (
    MOST_ODDS,
    knockoff_q,
    most_odds,
    positive_share,
    sign_flip_test,
    signs_needed,
)

LEVEL = 0.01
FALSE_DISCOVERY_RATE = 0.05
DOUBT = 0.001  # chance that the odds learnt from a reference are too low, which is added to p (Berger & Boos, 1994)
# Without pictures to learn it from: unseen ones may come out positive twice as often as negative. Measured upper limits
# are 1.23 (faces) and 1.97 (emoji); text and digits lie far above, and chirality is a control of its own.
ASSUMED = 2.0


def mirror_test(
    suspects: np.ndarray, reference: np.ndarray | None = None, units: np.ndarray | None = None
) -> MirrorTest | None:
    """What the signs of the suspects' differences, float64 (m,), say of them as a set; None where none has a sign.

    reference: differences of pictures of the same kind that the model cannot have seen. They need not be alike in any
    other way, and say by how much chance favours one side (`odds_of`). units: what is flipped together, see
    `sign_flip_test`.
    """
    share = positive_share(suspects)
    if share is None:
        return None
    if reference is not None and not np.any(reference):
        reference = None  # none has a sign to learn from
    odds = ASSUMED if reference is None else odds_of(reference)
    plain, bounded = (sign_flip_test(suspects, one, units) for one in (1.0, odds))
    p_value = min(1.0, bounded.p_value + (0.0 if reference is None else DOUBT))
    return MirrorTest(
        n=plain.n,
        n_positive=plain.positive,
        share=share[0],
        share_ci=share[1],
        p_value=p_value,
        p_value_alike=plain.p_value,
        odds=odds,
        odds_from="assumed" if reference is None else "reference",
        n_reference=0 if reference is None else int(np.count_nonzero(reference)),
        odds_explaining=most_odds(suspects, LEVEL, units),
        level=LEVEL,
        finds=p_value < LEVEL,
        needed=signs_needed(suspects, LEVEL),
    )


def odds_of(reference: np.ndarray) -> float:
    """How many times as often as negative pictures may come out positive that the model cannot have seen: the upper
    limit of their share of positive ones (Clopper and Pearson, one-sided, 99.9 %), as odds; never below 1.
    """
    signs = np.sign(reference[reference != 0])
    if not len(signs):
        return ASSUMED
    high = clopper_pearson(int((signs > 0).sum()), len(signs), 1 - 2 * DOUBT)[1]
    return min(MOST_ODDS, max(1.0, high / (1 - high))) if high < 1 else MOST_ODDS


def named_by_sign(suspects: np.ndarray, odds: float) -> np.ndarray:
    """q-values of the suspects, float64 (m,): those of the knockoff filter."""
    return knockoff_q(suspects, odds)
