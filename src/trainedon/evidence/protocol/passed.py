"""What was passed over: files that lay beside the pictures, and are none that can be opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainedon.evidence.table.picture_table import Pictures, batches
from trainedon.evidence.table.rows import SETS
from trainedon.formats.reasons import PASSED

EXAMPLES = 3  # names that are told of each kind


@dataclass
class PassedOver:
    """Files of one kind in the source of one set. remedy: what to do, where they may hold pictures; else empty.

    names: the first of them.
    """

    set: str
    kind: str
    remedy: str
    n: int
    names: list[str]


def passed_over(pictures: Pictures | None, sets: Sequence[str] = SETS) -> list[PassedOver]:
    """What was passed over, set by set: first what may hold pictures, then the most frequent kind.

    pictures: `pictures.parquet` or its rows, or None. Raises UserError when it is a path of no list of pictures.
    """
    found: dict[tuple[str, str], PassedOver] = {}
    for batch in batches(pictures, ("picture", "set", "reason"), passed=True) if pictures is not None else ():
        for name, set_name, reason in zip(*(column.to_pylist() for column in batch.values()), strict=True):
            what, _, remedy = reason.removeprefix(PASSED).partition(": ")
            kind = what.partition(" (")[0]
            one = found.setdefault((set_name, kind), PassedOver(set_name, kind, remedy, 0, []))
            one.n += 1
            one.remedy = one.remedy or remedy
            if len(one.names) < EXAMPLES:
                one.names.append(name)
    order = {name: at for at, name in enumerate(sets)}
    kept = [one for one in found.values() if one.set in order]
    return sorted(kept, key=lambda one: (order[one.set], not one.remedy, -one.n, one.kind))
