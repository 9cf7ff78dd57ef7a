"""What earlier runs on the same model had scored of the pictures that a run is about to ask about.

Whoever has seen scores can choose the suspects by them. So the lists are written into `run.json` before anything is
scored, with what is known of earlier runs: those in folders beside this one, and those in the user's own record.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np

from trainedon import evidence, run_files
from trainedon.errors import UserError
from trainedon.evidence.protocol.claims import FOUND
from trainedon.evidence.protocol.verdict import is_beyond_chance
from trainedon.evidence.table.picture_table import batches
from trainedon.formats import RunRecord, read_record
from trainedon.formats.run_record import ListedEntry, RunIdentity
from trainedon.pictures import Inventory
from trainedon.reading import open_regular
from trainedon.runs.own_record import Remembered, Sketch, remember, remembered
from trainedon.runs.record import now
from trainedon.runs.scoring.engine import Keep

MOST_BESIDE = 1000  # folders that are looked into
ASKED = ("suspect", "member")  # the sets whose training is in question
HEAD = 2**16  # bytes of a document, by which its claim has been told
LEVEL = re.compile(rb'"claim":\s*\{\s*"level":\s*(\d)')
SHOWN = re.compile(rb'"shown_by":\s*(null|")')
EFFECT = re.compile(rb'"auc_ci":\s*\[\s*([-+.\deE]+)')  # of the first attack, in documents without a verdict

log = logging.getLogger("trainedon")


def listed(record: RunRecord, items: Inventory, out: Path) -> RunRecord:
    """The record with the lists of the run's pictures, as they stand before any is scored, and of an audit with what of
    the suspects earlier runs had scored. items: all sets. out: the run folder."""
    known, notes = _known(record.identity, out) if record.kind == "audit" else ([], [])
    digests = record.identity.pictures
    entry = ListedEntry(
        at=now(),
        suspects=digests.get("suspect"),
        members=digests.get("member"),
        unseen=digests.get("unseen"),
        **_overlap(_asked(items), known),
    )
    entry = entry.sparing("suspects", "members", "unseen", "asked", "kept", "left_out")
    return record.but(listed=entry).noted(*notes)


class Told:
    """As `keep`, and the first file of scores puts the run into the user's own record."""

    def __init__(self, record: RunRecord, items: Inventory, keep: Keep) -> None:
        self._record, self._items, self._keep, self._begun = record, items, keep, False

    def __call__(self, path: Path, sent: bool = False) -> None:
        if not self._begun:
            self._begun = True
            tell(self._record, self._items)
        self._keep(path, sent)


def tell(record: RunRecord, items: Inventory, document: evidence.Audit | evidence.Evaluation | None = None) -> None:
    """Put a run, whose pictures are being scored or have been, into the user's own record. document: of one that is
    complete. Where that cannot be written it is said, and nothing else happens."""
    model = record.identity.model
    if model is None:
        return
    run = Remembered(key_of(record.identity), _asked(items), found=document is not None and _finds(document))
    try:
        remember(model, run)
    except OSError as error:
        _warn(run.key, str(error), _unwritten(error))


def key_of(identity: RunIdentity) -> str:
    """What tells a run from others, 32 hex digits: one of the same model, pictures and choices is the same one."""
    return hashlib.sha256(json.dumps(identity.told(), sort_keys=True).encode()).hexdigest()[:32]


def _known(identity: RunIdentity, out: Path) -> tuple[list[Remembered], list[str]]:
    """The other runs on the model of which scores are known, each once, and what could not be read of the record."""
    model, own = str(identity.model), key_of(identity)
    notes = []
    try:
        found, damaged = remembered(model)
        if damaged:
            notes.append(f"{damaged} of the runs in the user's own record could not be read")
    except OSError as error:
        found = []
        notes.append(
            f"no record of earlier runs could be read or kept ({_reason(error)}): set TRAINEDON_STATE to a folder"
        )
    every = {run.key: run for run in (*found, *_beside(model, out))}  # a folder knows best
    every.pop(own, None)
    return [*every.values()], notes


def _overlap(suspects: Sketch, known: list[Remembered]) -> dict[str, int]:
    """How many runs asked about more than half of these suspects; and, of runs without a finding that scored some of
    them, how many of theirs are among these, and how many are not."""
    asked, without = 0, []
    for run in known:
        n, share = _common(suspects, run.suspects)
        asked += share > 0.5
        if n and not run.found:
            without.append(run.suspects)
    if not without:
        return {"asked": asked, "kept": 0, "left_out": 0}
    every = _union(without)
    kept, _ = _common(suspects, every)
    return {"asked": asked, "kept": kept, "left_out": every.total - kept}


def _common(one: Sketch, other: Sketch) -> tuple[int, float]:
    """How many pictures are in both sets, and which share of the first that is; of large sets estimated from what both
    sketches know."""
    last = min(one.last, other.last)
    mine = one.prefixes[one.prefixes <= last]
    n = int(np.isin(mine, other.prefixes).sum())
    share = n / len(mine) if len(mine) else 0.0
    return (n if last == 2**64 - 1 else round(share * one.total)), share


def _union(sketches: list[Sketch]) -> Sketch:
    last = min(one.last for one in sketches)
    prefixes = np.unique(np.concatenate([one.prefixes[one.prefixes <= last] for one in sketches]))
    if last == 2**64 - 1:
        return Sketch(prefixes, len(prefixes))
    return Sketch(prefixes, max(len(prefixes) + 1, round(len(prefixes) * 2**64 / (last + 1))))


def _asked(items: Inventory) -> Sketch:
    usable = items.take(items.usable)
    rows = zip(usable.values("sha256"), usable.values("set"), strict=True)
    return Sketch.of([digest for digest, name in rows if name in ASKED and digest])


def _beside(model: str, out: Path) -> Iterator[Remembered]:
    """The runs on the model in the folders beside `out` that have scored something."""
    parent = out.absolute().parent
    try:
        folders = [*islice((path for path in parent.iterdir() if (path / run_files.RUN).is_file()), MOST_BESIDE)]
    except OSError:
        return
    for path in folders:
        if path == out.absolute():
            continue
        try:
            identity = read_record(path).identity
            if identity.model == model and _has_scores(path):
                yield Remembered(key_of(identity), _listed_in(path), _has_found(path))
        except (
            OSError,
            UserError,
            ValueError,
            KeyError,
        ):  # whatever is wrong with somebody's folder is not this run's matter
            continue


def _has_scores(run: Path) -> bool:
    return (run / run_files.SCORES).exists() or any((run / run_files.SHARDS).glob("*/*"))


def _listed_in(run: Path) -> Sketch:
    found: list[str] = []
    for batch in batches(run / run_files.PICTURES, ("sha256", "set", "reason")):
        rows = zip(*(batch[name].to_pylist() for name in ("sha256", "set", "reason")), strict=True)
        found += [digest for digest, name, reason in rows if name in ASKED and digest and not reason]
    return Sketch.of(found)


def _has_found(run: Path) -> bool:
    """Whether a run has a finding, by the beginning of its document."""
    for name, known, least in ((run_files.AUDIT, LEVEL, FOUND), (run_files.EVALUATION, EFFECT, 0.5 + 1e-12)):
        if (run / name).exists():
            with open_regular(run / name) as stream:
                head = stream.read(HEAD)
            shown, said = SHOWN.search(head), known.search(head)
            if shown is not None and name == run_files.EVALUATION:
                return shown[1] != b"null"
            return said is not None and float(said[1]) >= least
    return False


def _finds(document: evidence.Audit | evidence.Evaluation) -> bool:
    if isinstance(document, evidence.Audit):
        return document.claim.level >= FOUND
    shown = document.best_shown
    return shown is not None and is_beyond_chance(shown)


@cache
def _warn(key: str, error: str, text: str) -> None:
    """Say it, of one run and error once: a run is told of when it begins and when it ends."""
    log.warning("note: %s", text)


def _reason(error: OSError) -> str:
    """Without the path: notes are published with the run."""
    return error.strerror or type(error).__name__


def _unwritten(error: OSError) -> str:
    return (
        f"the record of earlier runs cannot be written ({_reason(error)}): a later run will not know of this "
        "one unless its folder lies beside it"
    )
