"""How many pictures does a finding take where a model remembers little?

    python -m benchmarks.power [--page docs/evidence.md]

For an effect (the AUC of one suspect against one unseen picture) the number of suspects with which the set test reaches
p < .01 in four cases out of five: as the power analysis of an audit reckons it, and how often the test itself does so
on that many normal scores with equal spread.

--page: write the tables between the marks in that file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from benchmarks.marks import write_between
from trainedon.evidence.protocol.power import POWER, pictures_needed
from trainedon.evidence.statistics.pvalues import Deals, permutation_test

BEGIN, END = "<!-- power: begin -->", "<!-- power: end -->"
LEVEL = 0.01
EFFECTS = (0.51, 0.52, 0.55, 0.6, 0.7, 0.9)
UNSEEN = (100, 1_000, 10_000)
SUSPECTS = (20, 40, 80, 160, 1_000)
DEALT = Deals(9_999)  # a tenth of an audit's, which moves p-values near .01 by .001
TIMES = 200


def reached(effect: float, suspects: int, unseen: int, times: int, seed: int = 0) -> float:
    """The share of drawn sets in which the set test reaches the level."""
    rng, shift = np.random.default_rng(seed), 2**0.5 * norm.ppf(effect)
    drawn = ((rng.normal(shift, 1, suspects), rng.normal(0, 1, unseen)) for _ in range(times))
    return float(np.mean([permutation_test(*sets, DEALT, seed=n).p_value < LEVEL for n, sets in enumerate(drawn)]))


def needed_table(times: int) -> str:
    """Effects against numbers of unseen pictures: suspects that are needed, and how often these were enough."""
    heads = [*(f"{n:,} unseen" for n in UNSEEN), "as many unseen as suspects"]
    lines = [f"| AUC | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for effect in EFFECTS:
        found = [(pictures_needed(effect, n, LEVEL).suspects, n) for n in UNSEEN]
        each = pictures_needed(effect, 1, LEVEL).each
        found.append((each, each or 0))
        cells = [f"{m:,} ({reached(effect, m, n, times):.2f})" if m else "never" for m, n in found]
        lines.append(f"| {effect:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def smallest(suspects: int, unseen: int) -> float | None:
    """The smallest effect for which that many suspects are enough."""

    def short(effect: float) -> float:
        return (pictures_needed(effect, unseen, LEVEL).suspects or 10**9) - suspects - 0.5

    return brentq(short, 0.5, 1.0, xtol=1e-4) if short(1.0) <= 0 else None


def smallest_table() -> str:
    """Numbers of suspects against numbers of unseen pictures: the smallest AUC that is found."""
    lines = [f"| suspects | {' | '.join(f'{n:,} unseen' for n in UNSEEN)} |", "|---" * (len(UNSEEN) + 1) + "|"]
    for m in SUSPECTS:
        found = [smallest(m, n) for n in UNSEEN]
        lines.append(f"| {m:,} | {' | '.join('none' if one is None else f'{one:.3f}' for one in found)} |")
    return "\n".join(lines)


def text(times: int) -> str:
    return (
        f"Suspects that are needed for p < {LEVEL:g} in {POWER:.0%} of cases; in brackets the share of {times:,} drawn "
        f"sets of that size in which the test reached it:\n\n{needed_table(times)}\n\n"
        f"The smallest AUC that so many suspects show:\n\n{smallest_table()}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=TIMES, help="sets that are drawn for each cell")
    parser.add_argument("--page", type=Path)
    given = parser.parse_args(arguments)
    found = text(given.times)
    print(found)  # noqa: T201 (a command of its own)
    if given.page is not None:
        write_between(given.page, BEGIN, END, f"\n{found}\n")


if __name__ == "__main__":
    main()
