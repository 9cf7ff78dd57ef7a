"""From two run folders to one document: which pictures and attacks both have, and how the answers differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.evidence import AttackKey, Scores, read_features, read_scores
from trainedon.evidence.statistics.intervals import CONFIDENCE
from trainedon.evidence.studies.before_after import (
    SHOWN,
    ComparedAttack,
    ComparedRun,
    ComparedSet,
    Comparison,
    NotCompared,
    compared,
)
from trainedon.evidence.table.deduplicate import deduplicate
from trainedon.evidence.table.rows import picture_ids
from trainedon.exports.exposed_sheet import called
from trainedon.formats import RunRecord, read_record
from trainedon.runs.added_attacks import unfinished
from trainedon.runs.comparing.settings_apart import settings_apart

UNTOLD = "the AUC {}, but is shown above .5 in neither run, under"
ASKED = {"audit": "suspect", "evaluate": "member"}
MEANING = {
    "evaluate": (
        "A change is one of how far these members are told from these unseen pictures. That it comes from what was "
        "done to the model takes that both runs were made alike, and that the same pictures are members of both."
    ),
    "audit": (
        "A change is one of how far the suspects stand out from the unseen pictures. Whether they were used is what "
        "each run's own claim speaks of, with its controls; a change by itself says neither that they were nor that "
        "they were not."
    ),
}


@dataclass(frozen=True)
class _Side:
    run: str
    record: RunRecord
    scores: Scores

    @property
    def attacks(self) -> Mapping[str, AttackKey]:
        return {key.repr: key for key in self.scores.attacks}

    def names(self, set_name: str) -> dict[str, str]:
        """Digest of a picture that counts under some attack -> its name."""
        samples = [self.scores.sample(key, set_name).rows for key in self.scores.attacks]
        return {digest: row.picture for rows in samples for digest, row in zip(picture_ids(rows), rows, strict=True)}


def compare_runs(before: Path, after: Path) -> Comparison:
    """The second run against the first, attack by attack, on the pictures that both have by their digests.

    Raises UserError for a folder that is no finished run, runs of different kinds, audits whose pictures are not
    compared with unseen ones, and where no attack or no picture is in both.
    """
    one, other = (_side(run) for run in (before, after))
    kind = one.record.kind
    if other.record.kind != kind:
        raise UserError(f"{before} is an {_kind(one)} and {after} an {_kind(other)}: give two of one kind")
    asked = ASKED[kind]
    shared, left_out = _attacks(one, other)
    if not shared:
        raise UserError(
            f"no attack is in both runs with the same parameters ({_few(one)} in {before}, {_few(other)} in {after}): "
            "score both with one --attacks"
        )
    names = {name: (one.names(name), other.names(name)) for name in (asked, "unseen")}
    sets = tuple(_set(name, *pair) for name, pair in names.items())
    empty = [told.set for told in sets if not told.both]
    if empty:
        raise UserError(f"no {empty[0]} picture is in both runs, by its digest: give two runs on the same pictures")
    names_of = dict(zip(one.scores.attacks, called(one.scores, one.record), strict=True))
    attacks = compared(one.scores, other.scores, asked, {key: names_of[key] for key in shared})
    return Comparison(
        kind=kind,
        before=_told(one),
        after=_told(other),
        interval_level=CONFIDENCE,
        sets=sets,
        moved=len(
            names[asked][0].keys() & names["unseen"][1].keys() | names["unseen"][0].keys() & names[asked][1].keys()
        ),
        differences=settings_apart(one.record, other.record),
        attacks=attacks,
        not_compared=left_out,
        sentence=_sentence(attacks, one, other),
        meaning=MEANING[kind],
    )


def _side(run: Path) -> _Side:
    record = read_record(run)
    if not record.is_complete:
        raise UserError(unfinished(run, record))
    asked = ASKED[record.kind]
    if not record.has_unseen_to_compare:
        raise UserError(
            f"{run} compares pictures with views or copies of themselves; only runs with --unseen can be compared"
        )
    scores = read_scores(run / run_files.SCORES).of_sets(asked, "unseen").without(record.controls)
    scores.require(asked)
    if not scores.has("unseen"):
        raise UserError(f"{run} has no unseen pictures, so that its scores have no scale: give a run with --unseen")
    pictures = run / run_files.PICTURES
    listed = pictures if pictures.exists() else None
    return _Side(str(run), record, deduplicate(scores, (asked, "unseen"), listed, read_features(run / run_files.LOOKS)))


def _attacks(one: _Side, other: _Side) -> tuple[list[AttackKey], tuple[NotCompared, ...]]:
    """The attacks of both, in the order of the first; and what is not compared, with the reason."""
    shared, left_out = [], []
    for side, there, where in ((one, other, "the second"), (other, one, "the first")):
        for name, key in side.attacks.items():
            if name in there.attacks:
                continue
            alike = [found for found in there.attacks.values() if found.name == key.name]
            reason = f"{where} run has it with other parameters" if alike else f"{where} run does not have it"
            left_out.append(NotCompared(attack=name, called=_called(side, name, key), reason=reason))
    for name, key in one.attacks.items():
        if name not in other.attacks:
            continue
        told = (one.record.declared or {}).get(name)
        if told is not None and told.learns_from is not None:
            reason = "it learnt from these pictures, so that scores depend on each other and no paired test holds"
            left_out.append(NotCompared(attack=name, called=_called(one, name, key), reason=reason))
        else:
            shared.append(key)
    return shared, tuple(left_out)


def _called(side: _Side, text: str, key: AttackKey) -> str:
    return side.record.labels.get(text, key.name)


def _set(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> ComparedSet:
    gone, come = (sorted(one[digest] for digest in one.keys() - other.keys())
                  for one, other in ((before, after), (after, before)))  # fmt: skip
    return ComparedSet(
        set=name,
        both=len(before.keys() & after.keys()),
        before_only=len(gone),
        after_only=len(come),
        before_examples=tuple(gone[:SHOWN]),
        after_examples=tuple(come[:SHOWN]),
    )


def _told(side: _Side) -> ComparedRun:
    model = side.record.model
    return ComparedRun(run=side.run, model=model.name, digest=model.digest, finished=side.record.finished)


def _kind(side: _Side) -> str:
    return "audit" if side.record.kind == "audit" else "evaluation"


def _few(side: _Side) -> str:
    return ", ".join(sorted({key.name for key in side.scores.attacks})[:SHOWN])


def _sentence(attacks: Sequence[ComparedAttack], one: _Side, other: _Side) -> str:
    """What can be said of all attacks together."""
    changed = [found for found in attacks if found.changed]
    if not changed:
        return "No change is shown: no attack differs beyond chance, corrected for the number of attacks."
    told = ("less is told by", "more is told by")
    untold = (UNTOLD.format("fell"), UNTOLD.format("rose"))
    groups: dict[str, list[str]] = {what: [] for what in (*told, *untold)}
    for found in changed:
        groups[(told if found.tells else untold)[(found.change or 0) > 0]].append(found.called)
    parts = [f"{what} {', '.join(names)}" for what, names in groups.items() if names]
    same = one.record.model.digest is not None and one.record.model.digest == other.record.model.digest
    note = " Both runs asked the same model." if same else ""
    return f"After against before, beyond chance: {'; '.join(parts)}.{note}"
