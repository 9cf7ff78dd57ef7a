"""Who chose the suspects, and when: the lists as they were settled, and what choosing among scored pictures costs.

Of 80 pictures that a model never saw, the 40 with the highest scores look trained on when they are audited again. So
where a run's suspects are some of those that earlier runs scored without a finding, its test is made once more as if
they had been chosen in the way that helps the claim most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainedon.evidence.protocol.documents import Chosen, SettledLists
from trainedon.evidence.protocol.rules import Rules
from trainedon.evidence.statistics.pvalues import permutation_test
from trainedon.evidence.statistics.sign_flip import sign_flip_test
from trainedon.evidence.table.rows import picture_ids
from trainedon.evidence.table.scores import Sample
from trainedon.evidence.table.split import seed_of
from trainedon.formats.run_record import ListedEntry


@dataclass(frozen=True)
class Again:
    """The test that a claim speaks of, to be made with other suspects. score: of the suspects, float64 (m,). lowest:
    what speaks most against training. p_value: of scores (any,)."""

    score: np.ndarray
    lowest: float
    p_value: Callable[[np.ndarray], float]

    @classmethod
    def with_unseen(cls, suspects: Sample, unseen: Sample, rules: Rules) -> Again | None:
        """The permutation test; None where a side has no picture."""
        if not len(suspects) or not len(unseen):
            return None
        seed = seed_of(*(picture_ids(side.rows) for side in (suspects, unseen)))
        lowest = float(np.nextafter(min(suspects.score.min(), unseen.score.min()), -np.inf))
        return cls(
            suspects.score, lowest, lambda score: permutation_test(score, unseen.score, rules.deals, seed).p_value
        )

    @classmethod
    def with_signs(cls, score: np.ndarray, odds: float, doubt: float) -> Again:
        """The mirror test, of differences, float64 (n,), of which there are some. doubt: what is added to its p."""
        lowest = float(-np.nextafter(np.abs(score).max(), np.inf))
        return cls(score, lowest, lambda counted: min(1.0, sign_flip_test(counted, odds).p_value + doubt))


def listed_before(entry: ListedEntry | None, again: Again | None, tests: int) -> SettledLists | None:
    """What the record says of the lists; None of a run that does not say it, and of scores alone.

    again: the test that the claim speaks of; None where it cannot be made again. tests: how many are made, for which
    the p-value is corrected.
    """
    if entry is None:
        return None
    return SettledLists(
        suspects=entry.suspects,
        unseen=entry.unseen,
        asked=entry.asked,
        chosen=_chosen(entry, again, tests) if entry.kept and entry.left_out else None,
    )


def _chosen(entry: ListedEntry, again: Again | None, tests: int) -> Chosen:
    """Two ways hold however the suspects were chosen, and that which changes fewer pictures is taken. Those that were
    scored before may be dropped, taking the highest scores for theirs: what is left was never scored before. Or those
    that were left out may be added, below all others: then all that was scored before is asked about."""
    way: Literal["dropped", "added"] = "dropped" if entry.kept <= entry.left_out else "added"
    p_value = 1.0
    if again is not None:
        counted = np.concatenate([again.score, np.full(entry.left_out, again.lowest)])
        if way == "dropped":
            counted = np.sort(again.score)[: max(0, len(again.score) - entry.kept)]
        if len(counted):
            p_value = min(1.0, tests * again.p_value(counted))
    return Chosen(kept=entry.kept, left_out=entry.left_out, way=way, p_value=p_value)


def of_earlier(listing: SettledLists | None, *, corrected: bool = False) -> str:
    """What a claim says besides, as a clause: that the same suspects were asked about before. corrected: whether its
    p-value allows for that."""
    if listing is None or not listing.asked:
        return ""
    runs = "1 earlier run" if listing.asked == 1 else f"{listing.asked} earlier runs"
    told = f"{runs} on this model asked about more than half of these suspects"
    return told if corrected else f"{told}, for which no p-value is corrected"
