"""Power of the controls: which difference they would have found, and with how few pictures that is hardly any.

A control that finds nothing says no more than what it could have found.
"""

from __future__ import annotations

from scipy.stats import norm

from trainedon.evidence.protocol.power import POWER


def detectable(spread: float, level: float) -> float:
    """The AUC of a difference that a one-sided test at `level` finds in four cases out of five, in [0.5, 1].

    spread: standard deviation of the AUC where there is no difference; normal, as in `pictures_needed` (Noether, JASA
    82, 1987). 1/2 + (z(1 - level) + z(power)) spread.
    """
    return min(1.0, 0.5 + float(norm.isf(level) + norm.ppf(POWER)) * spread)
