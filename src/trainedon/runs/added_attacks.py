"""Attacks that are added to a run that is complete: what is there stays, and nobody can choose by what it said.

Whoever has seen scores can try attacks until one finds something. So a claim never rests on an attack that was added,
the run says which these are, and all of its tests and intervals are corrected again for all of its attacks. The record
of before lies beside the new one until the run is complete again: the command of before takes the run back.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.files import file_digest
from trainedon.formats import RunRecord, read_record, write_record
from trainedon.formats.run_record import SCHEMA_VERSION, AddedEntry, ControlEntry, RunIdentity
from trainedon.runs.record import now
from trainedon.runs.scoring import exhibit_files
from trainedon.runs.scoring.engine import keep_only

Controls = Mapping[str, ControlEntry]  # by the repr of each


def grown(out: Path, record: RunRecord, wanted: RunIdentity, controls: Controls | None = None) -> RunIdentity:
    """`wanted` as the run `record` in `out` was asked, where all that it asks besides is further attacks; otherwise
    `wanted` as it is. controls: those of `wanted`; None as long as they are not known. Raises UserError where the run
    is one to which none can be added, or others of its controls would change."""
    before = record.identity.attacks
    if not before or len(wanted.attacks) <= len(before) or wanted.attacks[: len(before)] != before:
        return wanted
    _check(out, record)
    if controls is not None:
        _check_controls(out, record, controls, wanted.attacks[len(before) :])
    return wanted.but(attacks=before, controls=record.identity.controls).sparing("controls")


def _check(out: Path, record: RunRecord) -> None:
    if not record.is_complete and record.added:
        raise UserError(unfinished(out, record))
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


def _check_controls(out: Path, record: RunRecord, controls: Controls, added: list[str]) -> None:
    """What a claim is checked against is settled before scores are seen: controls of what is there can neither go nor
    come with attacks that are added."""
    gone = [entry for name, entry in record.controls.items() if name not in controls]
    come = [entry for name, entry in controls.items() if name not in record.controls]
    models = {entry.model for entry in record.controls.values()}
    models |= {record.control_model.digest} if record.control_model else set()
    if any(entry.model for entry in gone):
        why = "was made with a control model, which stays: give the same --control again"
    elif gone:
        why = "was made with controls that stay: repeat its command with the further attacks at the end"
    elif any(entry.model and entry.model not in models for entry in come):
        why = "was made without this control model, and none can be added after scores were seen: leave out --control"
    elif any(entry.of not in added for entry in come):
        why = (
            "was made without some of these controls, and none can be added after scores were seen: repeat its choices"
        )
    else:
        return
    raise UserError(f"no attack can be added so to {out}, which {why}, or choose another --out")


def with_added(out: Path, record: RunRecord, fresh: RunRecord) -> RunRecord:
    """The record of a complete run in `out`, about to score further attacks; `record` is set aside. fresh: as of a run
    that begins with all of them."""
    write_record(out, record, run_files.BEFORE)
    added = [attack for attack in fresh.identity.attacks if attack not in record.identity.attacks]
    moment = now()
    called = ", ".join(fresh.labels.get(attack, attack) for attack in added)
    taken = ("identity", "command", "choices", "labels", "controls", "costs", "declared", "reported")
    changed = {name: getattr(fresh, name) for name in taken}
    grown_record = record.but(
        **changed, status="running", finished=None, added=[*record.added, AddedEntry(attacks=added, at=moment)]
    )
    return grown_record.noted(f"Added on {moment[:10]}, when scores of the other attacks had been seen: {called}.")


def as_asked(out: Path, record: RunRecord, wanted: RunIdentity) -> RunRecord:
    """The record that the run in `out` had before attacks were added, where that is not finished and `wanted` has none
    of them; else `record`, which is what the folder has now."""
    before = _before(out, record)
    return before if before is not None and before.identity.attacks == wanted.attacks else record


def taken_back(out: Path, record: RunRecord) -> RunRecord:
    """`record`, of a complete run, once its folder holds that and nothing of attacks whose addition was not
    finished."""
    if not read_record(out).is_complete:
        known = {*record.identity.attacks, *record.identity.controls}
        if keep_only(out / run_files.SCORES, known):  # the rows are those of before, the bytes of the file may not be
            files = record.files | {run_files.SCORES: file_digest(out / run_files.SCORES)}
            record = record.but(files=files)
        exhibit_files.keep_only(out, record.restored)
        shutil.rmtree(out / run_files.SHARDS, ignore_errors=True)
        write_record(out, record)
    (out / run_files.BEFORE).unlink(missing_ok=True)
    return record


def unfinished(out: Path, record: RunRecord) -> str:
    """How a run that is not finished goes on, in a sentence."""
    before = _before(out, record)
    if before is None:
        return f"the run in {out} is not finished: give its command again, and it goes on"
    called = ", ".join(record.labels.get(attack, attack) for attack in record.added[-1].attacks)
    return (
        f"{called} is being added to the run in {out}, and that is not finished: its command goes on"
        f"{_quoted(record)}, and the command of before, without it, takes the run back{_quoted(before)}; nothing of "
        "the earlier scores is lost"
    )


def _before(out: Path, record: RunRecord) -> RunRecord | None:
    if record.is_complete or not record.added or not (out / run_files.BEFORE).exists():
        return None
    return read_record(out, run_files.BEFORE)


def _quoted(record: RunRecord) -> str:
    return f" (`{record.command}`)" if record.command else ""
