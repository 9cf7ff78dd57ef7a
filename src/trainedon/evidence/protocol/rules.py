"""The protocols: by which rules scores become claims. Each is frozen; a change of a rule gets a new name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from trainedon.errors import UserError
from trainedon.evidence.statistics.pvalues import DEALS, FEWER, Deals
from trainedon.evidence.statistics.roc import LEARNT

Protocol = Literal["standard-1", "standard-2"]


@dataclass(frozen=True)
class Rules:
    """What distinguishes one protocol from another. schema_version: of the documents that are written under it.

    unrefuted: why a claim of level 3 is made, as a clause.
    tells_opposite: whether a difference against the direction of training has a sentence of its own.
    tells_every_obstacle: whether a claim of level 2 names all that stands against more, or the first alone.
    by_source: whether labels are dealt by whose work a picture is, where that is known.
    deals: of set tests. seeded: whether the seed of deals follows from the pictures' digests.
    one_more: whether each end of an AUC's interval is also taken with one more picture on the wrong side.
    directed: whether CDI finds only what runs in the attacks' own direction.
    cautious_share: whether the estimate of the member share is too high in at most one case of two.
    learnt: by how much the standard error of the AUC of an attack that learnt from labels is multiplied.
    tells_assumption: whether a claim of level 3 names what it rests on.
    looks: whether the blind baseline also compares how pictures look without an encoder.
    tells_detectable: whether controls say which difference they would have found.
    turned: the symmetries of the picture plane by which an audit's pictures are turned for a control.
    needs_power: whether level 3 needs controls that could have found something.
    mirrors: whether pictures are tested against their mirror images where scores are differences to these.
    verdict: whether an evaluation says first what its strongest attack found.
    listed: so many suspects are listed in an audit, besides those that are named, and so many members in an
    evaluation."""

    name: Protocol
    schema_version: Literal[1, 2]
    unrefuted: str
    tells_opposite: bool
    tells_every_obstacle: bool
    by_source: bool
    deals: Deals
    seeded: bool
    one_more: bool
    directed: bool
    cautious_share: bool
    learnt: float
    tells_assumption: bool
    looks: bool
    tells_detectable: bool
    turned: tuple[str, ...]
    needs_power: bool
    mirrors: bool
    verdict: bool
    listed: float


STANDARD_1 = Rules(
    name="standard-1",
    schema_version=1,
    unrefuted="the blind baseline does not separate the sets",
    tells_opposite=False,
    tells_every_obstacle=False,
    by_source=False,
    deals=FEWER,
    seeded=False,
    one_more=False,
    directed=False,
    cautious_share=False,
    learnt=1.0,
    tells_assumption=False,
    looks=False,
    tells_detectable=False,
    turned=(),
    needs_power=False,
    mirrors=False,
    verdict=False,
    listed=math.inf,
)
STANDARD_2 = Rules(
    name="standard-2",
    schema_version=2,
    unrefuted="no control found another reason",
    tells_opposite=True,
    tells_every_obstacle=True,
    by_source=True,
    deals=DEALS,
    seeded=True,
    one_more=True,
    directed=True,
    cautious_share=True,
    learnt=LEARNT,
    tells_assumption=True,
    looks=True,
    tells_detectable=True,
    turned=("mirror",),
    needs_power=True,
    mirrors=True,
    verdict=True,
    listed=100_000,
)
CURRENT = STANDARD_2
_BY_NAME = {rules.name: rules for rules in (STANDARD_1, STANDARD_2)}


def rules_of(name: str) -> Rules:
    """The rules of that name. Raises UserError where this version does not know them."""
    for known, rules in _BY_NAME.items():
        if known == name:
            return rules
    raise UserError(f"protocol {str(name)[:60]!r} is not known here: a later version of trainedon wrote it")
