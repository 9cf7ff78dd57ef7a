"""Power of the controls: which difference they would have found, and with how few pictures that is hardly any.

A control that finds nothing says no more than what it could have found.
"""

from __future__ import annotations

from scipy.stats import norm

from trainedon.evidence.protocol.power import POWER
from trainedon.evidence.statistics.two_sample import null_spread

BASELINE_LEVEL = 0.05  # of the blind baseline; higher would be more cautious, and spoil more honest audits
VIEWS = 9  # of the blind baseline, with an encoder and without captions
WIDENED = 1.35  # times a plain AUC's spread, that of a cross-fitted one: 1.25 to 1.41 by view, at 20 to 40 suspects
HARDLY = 0.8  # AUC; 40 suspects and 40 unseen pictures keep it


def detectable(spread: float, level: float) -> float:
    """The AUC of a difference that a one-sided test at `level` finds in four cases out of five, in [0.5, 1].

    spread: standard deviation of the AUC where there is no difference; normal, as in `pictures_needed` (Noether, JASA
    82, 1987). 1/2 + (z(1 - level) + z(power)) spread.
    """
    return min(1.0, 0.5 + float(norm.isf(level) + norm.ppf(POWER)) * spread)


def could_not_fail(least: float | None) -> bool:
    """Whether a control that found nothing had too few pictures to find even sets that lie wholly apart, four times out
    of five. least: the AUC that it would have found so."""
    return least is not None and least >= 1


def too_weak(suspects: int, unseen: int) -> str | None:
    """In words why so few pictures allow no claim of level 3, or None: sets that differ by themselves would hardly be
    found out.

    That is where a usual view of the blind baseline finds only differences of an AUC above HARDLY in four cases of
    five. Counts are of usable pictures, near-duplicates once, so this can be said before anything is scored.
    """
    if min(suspects, unseen) == 0:
        return "there is nothing to compare"
    least = detectable(WIDENED * null_spread(suspects, unseen), BASELINE_LEVEL / VIEWS)
    if least <= HARDLY:
        return None
    return (
        f"with {suspects} suspects and {unseen} unseen pictures, sets that differ by themselves are found out in four "
        f"cases of five only where the difference is as large as AUC {least:.2f}; {HARDLY:.2f} is asked for, which 40 "
        "and 40 pictures give"
    )
