"""Who chose the suspects, and when: the lists as they were settled, and what choosing among scored pictures costs.

Of 80 pictures that a model never saw, the 40 with the highest scores look trained on when they are audited again. So
where a run's suspects are some of those that earlier runs scored without a finding, its test is made once more as if
they had been chosen in the way that helps the claim most.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainedon.evidence.protocol.documents import Chosen, SettledLists
from trainedon.evidence.protocol.rules import Rules
from trainedon.evidence.statistics.pvalues import permutation_test
from trainedon.evidence.table.rows import picture_ids
from trainedon.evidence.table.scores import Sample
from trainedon.evidence.table.split import seed_of
from trainedon.formats.run_record import ListedEntry


def listed_before(
    entry: ListedEntry | None, sides: tuple[Sample, Sample] | None, tests: int, rules: Rules
) -> SettledLists | None:
    """What the record says of the lists; None of a run that does not say it, and of scores alone.

    sides: suspects and unseen pictures under the attack that the claim speaks of; None where its test cannot be made
    again. tests: how many are made, for which the p-value is corrected. rules: of which protocol.
    """
    if entry is None:
        return None
    return SettledLists(
        suspects=entry.suspects,
        unseen=entry.unseen,
        asked=entry.asked,
        chosen=_chosen(entry, sides, tests, rules) if entry.kept and entry.left_out else None,
    )


def _chosen(entry: ListedEntry, sides: tuple[Sample, Sample] | None, tests: int, rules: Rules) -> Chosen:
    """Two ways hold however the suspects were chosen, and that which changes fewer pictures is taken. Those that were
    scored before may be dropped, taking the highest scores for theirs: what is left was never scored before. Or those
    that were left out may be added, below all others: then all that was scored before is asked about."""
    way: Literal["dropped", "added"] = "dropped" if entry.kept <= entry.left_out else "added"
    p_value = 1.0
    if sides is not None and len(sides[0]) and len(sides[1]):
        suspects, unseen = (side.score for side in sides)
        if way == "dropped":
            counted = np.sort(suspects)[: max(0, len(suspects) - entry.kept)]
        else:
            lowest = np.nextafter(min(suspects.min(), unseen.min()), -np.inf)
            counted = np.concatenate([suspects, np.full(entry.left_out, lowest)])
        if len(counted):
            seed = seed_of(*(picture_ids(side.rows) for side in sides))
            p_value = min(1.0, tests * permutation_test(counted, unseen, rules.deals, seed).p_value)
    return Chosen(kept=entry.kept, left_out=entry.left_out, way=way, p_value=p_value)


def of_earlier(listing: SettledLists | None) -> str:
    """What a claim says besides, as a clause: that the same suspects were asked about before."""
    if listing is None or not listing.asked:
        return ""
    runs = "1 earlier run" if listing.asked == 1 else f"{listing.asked} earlier runs"
    return f"{runs} on this model asked about more than half of these suspects, for which no p-value is corrected"
