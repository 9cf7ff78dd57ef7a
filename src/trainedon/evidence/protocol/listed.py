"""Who chose the suspects, and when: the lists as they were settled, and what choosing among scored pictures costs.

Of 80 pictures that a model never saw, the 40 with the highest scores look trained on when they are audited again. So
where a run's suspects are some of those that earlier runs scored without a finding, its test is made once more as if
they had been chosen in the way that helps the claim most.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainedon.evidence.protocol.documents import Chosen, Listed
from trainedon.evidence.statistics import pvalues
from trainedon.formats.run_record import ListedEntry


def listed_before(entry: ListedEntry | None, suspects: np.ndarray, unseen: np.ndarray, tests: int) -> Listed | None:
    """What the record says of the lists; None of a run that does not say it, and of scores alone.

    suspects, unseen: float64 (m,) and (n,), scores of the pictures that count in the test that the claim speaks of;
    without any where it cannot be made again. tests: how many are made, for which the p-value is corrected.
    """
    if entry is None:
        return None
    return Listed(
        at=entry.at,
        suspects=entry.suspects,
        unseen=entry.unseen,
        asked=entry.asked,
        chosen=_chosen(entry, suspects, unseen, tests) if entry.kept and entry.left_out else None,
    )


def _chosen(entry: ListedEntry, suspects: np.ndarray, unseen: np.ndarray, tests: int) -> Chosen:
    """Two ways hold however the suspects were chosen, and that which changes fewer pictures is taken. Those that were
    scored before may be dropped, taking the highest scores for theirs: what is left was never scored before. Or those
    that were left out may be added, below all others: then all that was scored before is asked about."""
    way: Literal["dropped", "added"]
    if entry.kept <= entry.left_out:
        way, counted = "dropped", np.sort(suspects)[: max(0, len(suspects) - entry.kept)]
    else:
        lowest = min((*suspects, *unseen), default=0.0)
        way, counted = "added", np.concatenate([suspects, np.full(entry.left_out, np.nextafter(lowest, -np.inf))])
    p_value = 1.0
    if len(suspects) and len(counted) and len(unseen):
        p_value = min(1.0, tests * pvalues.permutation_test(counted, unseen).p_value)
    return Chosen(kept=entry.kept, left_out=entry.left_out, way=way, p_value=p_value)


def of_earlier(listing: Listed | None) -> str:
    """What a claim says besides, as a clause: that the same suspects were asked about before."""
    if listing is None or not listing.asked:
        return ""
    runs = "1 earlier run" if listing.asked == 1 else f"{listing.asked} earlier runs"
    return f"{runs} on this model asked about more than half of these suspects, for which no p-value is corrected"
