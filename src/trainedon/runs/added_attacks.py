"""Attacks that are added to a run that is complete: what is there stays, and nobody can choose by what it said.

Whoever has seen scores can try attacks until one finds something. So a claim never rests on an attack that was added,
the run says which these are, and all of its tests and intervals are corrected again for all of its attacks.
"""

from __future__ import annotations

from pathlib import Path

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.formats import RunRecord
from trainedon.formats.run_record import SCHEMA_VERSION, AddedEntry, RunIdentity
from trainedon.runs.record import now


def grown(out: Path, record: RunRecord, wanted: RunIdentity) -> RunIdentity:
    """`wanted` as the run `record` in `out` was asked, where all that it asks besides is further attacks; otherwise
    `wanted` as it is. Raises UserError where the run is one to which none can be added."""
    before = record.identity.attacks
    if not before or len(wanted.attacks) <= len(before) or wanted.attacks[: len(before)] != before:
        return wanted
    if not {*record.identity.controls} <= {*wanted.controls} and wanted.controls:
        return wanted
    _check(out, record)
    return wanted.but(attacks=before, controls=record.identity.controls)


def _check(out: Path, record: RunRecord) -> None:
    why = None
    if not record.is_complete:
        why = "is not finished: give its own command first"
    elif (out / run_files.SEAL).exists():
        why = "is sealed, and a seal speaks of all that is there: choose another --out"
    elif record.study or record.sweep:
        why = "was made for a question of its own: choose another --out"
    elif record.schema_version != SCHEMA_VERSION:
        why = "was written by an earlier version of trainedon: choose another --out"
    elif record.identity.lead in ("cdi", "mirror-cdi"):
        why = "has a claim that speaks of all attacks together, whose scores have been seen: choose another --out"
    if why:
        raise UserError(f"no attack can be added to {out}, which {why}")


def with_added(record: RunRecord, fresh: RunRecord) -> RunRecord:
    """The record of a complete run, about to score further attacks. fresh: as of a run that begins with all of them."""
    added = [attack for attack in fresh.identity.attacks if attack not in record.identity.attacks]
    moment = now()
    called = ", ".join(fresh.labels.get(attack, attack) for attack in added)
    taken = ("identity", "command", "choices", "labels", "controls", "costs", "declared", "reported")
    changed = {name: getattr(fresh, name) for name in taken}
    grown_record = record.but(
        **changed, status="running", finished=None, added=[*record.added, AddedEntry(attacks=added, at=moment)]
    )
    return grown_record.noted(f"Added on {moment[:10]}, when scores of the other attacks had been seen: {called}.")
