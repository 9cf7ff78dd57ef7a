"""What is said of an audit before anything is scored: which claim can be reached at all."""

from __future__ import annotations

import logging

from trainedon.attacks.wrappers.turned import mirrorable
from trainedon.evidence.protocol.claims import FOUND
from trainedon.evidence.protocol.reachable import Given, SourcesGiven, reachable
from trainedon.formats import RunRecord
from trainedon.pictures import Inventory
from trainedon.runs.plan import Plan

log = logging.getLogger("trainedon")


def foretold(record: RunRecord, plan: Plan, items: Inventory) -> RunRecord:
    """The record, with a note where no claim of training can be reached, which is logged too."""
    if plan.kind != "audit" or plan.lead == "twins":
        return record
    found = reachable(_given(plan, items, is_conditioned=record.model.conditioning not in (None, "none")))
    if found.level >= FOUND:
        return record
    log.warning("note: %s", found.sentence)
    return record.noted(found.sentence)


def _given(plan: Plan, items: Inventory, *, is_conditioned: bool) -> Given:
    usable = items.take(items.usable)
    sources: dict[str, list[str | None]] = {"suspect": [], "unseen": []}
    for name, source in zip(usable.values("set"), usable.values("source"), strict=True):
        sources[name].append(source)
    suspects, unseen = sources.values()
    if plan.by_mirror:
        return Given(
            suspects=len(suspects),
            unseen=len(unseen),
            attacks=sum(attack.null_view is not None for attack in plan.attacks),
            sources=SourcesGiven.alone(suspects),
            by_mirror=True,
            bounded=bool(unseen) or plan.control is not None,
            checked=plan.attacks[0].null_view == "mirror" and not is_conditioned,
        )
    return Given(
        suspects=len(suspects),
        unseen=len(unseen),
        attacks=len(plan.attacks),
        sources=SourcesGiven.of(suspects, unseen) if unseen else None,
        drawn=plan.draw is not None,
        mirrorable=plan.control is not None or mirrorable(plan.attacks, plan.lead),
        together=plan.lead == "cdi",
    )
