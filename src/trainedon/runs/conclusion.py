"""What follows from the scores of a run, and needs neither model nor pictures: statistics, tables, page."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from trainedon import evidence, reporting, run_files
from trainedon.attacks import Progress
from trainedon.attacks.core.answers import silent
from trainedon.checks import WRONG_WAY_ROUND, says_opposite
from trainedon.errors import UserError
from trainedon.evidence.table.memory import release_unused
from trainedon.exports.score_sheet import NOTE, is_too_long
from trainedon.exports.sheets import write_sheets
from trainedon.files import write_text
from trainedon.formats import RunRecord, read_record, write_record
from trainedon.formats.page_language import Language
from trainedon.formats.run_record import ControlEntry
from trainedon.runs.added_attacks import unfinished
from trainedon.runs.folder import locked

CONCLUDING = "making statistics and page"  # what progress says of it


def complete(out: Path, record: RunRecord, progress: Progress) -> evidence.Audit | evidence.Evaluation:
    """The first statistics and page of a run whose scores are all there; from then on it is complete."""
    progress(CONCLUDING, 0, 1)
    documents = recompute(out, record)
    for note, due in ((WRONG_WAY_ROUND, says_opposite(documents.first.flags)), (NOTE, is_too_long(out))):
        if due:
            record = record.noted(note)
            write_record(out, record)
    _tell(out, record, documents)
    progress(CONCLUDING, 1, 1)
    write_record(out, record.but(status="complete"))
    (out / run_files.BEFORE).unlink(missing_ok=True)
    return documents.first


def conclude(
    out: Path, tables: Collection[str] = (), language: Language | None = None, progress: Progress = silent
) -> evidence.Audit | evidence.Evaluation:
    """Statistics and page again from the stored scores of the run `out`; no model and no picture is needed.

    tables: those of `exports.sheets.ASKED_FOR` that are written too. language: of the page, from now on; where it is
    not given, it stays as it is. progress: called with (what, done, total).
    """
    record = read_record(out)
    if not record.finished and (record.added or not (out / run_files.SCORES).exists()):
        raise UserError(unfinished(out, record))
    with locked(out):
        progress(CONCLUDING, 0, 1)
        documents = recompute(out, record)
        if language not in (None, record.language):
            record = record.but(language=language)
            write_record(out, record)
        _tell(out, record, documents, tables)
        progress(CONCLUDING, 1, 1)
        return documents.first


@dataclass(frozen=True)
class Documents:
    """What follows from the scores of a run. peaks, sweep: of a run that was made for that question."""

    first: evidence.Audit | evidence.Evaluation
    peaks: evidence.Peaks | None = None
    sweep: evidence.Sweep | None = None

    def named(self) -> dict[str, evidence.Document]:
        """File name -> content."""
        first = run_files.AUDIT if isinstance(self.first, evidence.Audit) else run_files.EVALUATION
        every = {first: self.first, run_files.PEAKS: self.peaks, run_files.SWEEP: self.sweep}
        return {name: document for name, document in every.items() if document is not None}


def recompute(out: Path, record: RunRecord) -> Documents:
    """The documents of a run, from what it has stored of scores and pictures."""
    scores = evidence.read_scores(out / run_files.SCORES)
    pictures = features = None
    if (out / run_files.PICTURES).exists():
        pictures = out / run_files.PICTURES
        features = evidence.read_features(out / run_files.LOOKS)
    draw, circumstances = _draw_of(out, record), _circumstances(record)
    rules = evidence.rules_of(record.identity.protocol)
    if record.kind == "audit":
        lead, twins = record.choices.lead, _twins_of(out, record)
        return Documents(
            evidence.audit_table(scores, pictures, features, draw, lead, circumstances, rules, twins),
        )
    return Documents(
        evidence.evaluate_table(scores, pictures, features, draw, circumstances, rules),
        evidence.peaks(scores, record.study, pictures, features) if record.study else None,
        evidence.sweep(scores, record.sweep, record.costs, pictures, features, rules) if record.sweep else None,
    )


def _circumstances(record: RunRecord) -> evidence.Circumstances:
    """What a run records of its model and of how it was asked; runs of earlier versions record less."""
    shape = record.model.shape
    return evidence.Circumstances(
        prompts=_of_kind(record, "captions") if record.model.is_conditioned_on_captions else None,
        on_control=_of_kind(record, "model"),
        turned=_of_kind(record, "change"),
        conditioned_on=_conditioned_on(record),
        rendering=record.rendering,
        distilled=record.model.distilled,
        listed=record.listed,
        added={one: record.labels.get(one, one) for entry in record.added for one in entry.attacks},
        learnt=frozenset(name for name, told in (record.declared or {}).items() if told.learns_from == "labels"),
        size=None if shape is None or len(shape) != 3 else (shape[1], shape[2]),
        null_views={name: one.null_view for name, one in (record.declared or {}).items() if one.null_view},
    )


def _of_kind(record: RunRecord, kind: str) -> dict[str, ControlEntry]:
    """The controls of a run that are made with other `captions`, on another `model`, or after a `change`."""
    return {name: entry for name, entry in record.controls.items() if getattr(entry, kind) is not None}


def _conditioned_on(record: RunRecord) -> str | None:
    """What the model of a run is conditioned on, where the run recorded it; runs of earlier versions did not."""
    if not record.model.asked:
        return None
    if not record.model.is_conditioned_on_captions:
        return "class"
    return "caption" if record.choices.caption is None else "one caption"


def _draw_of(out: Path, record: RunRecord) -> evidence.Draw | None:
    """The draw that the run was made with, and no other that lies in its folder."""
    commitment = record.identity.draw
    if commitment is None:
        return None
    draw = evidence.read_draw(out / run_files.DRAW)
    if draw.commitment != commitment:
        raise UserError(f"{out / 'draw.json'} is not the draw of this run: put back the one that it was made with")
    return draw


def _twins_of(out: Path, record: RunRecord) -> evidence.Twins | None:
    """The twins that the run was made with, and no others that lie in its folder."""
    commitment = record.identity.twins
    if commitment is None:
        return None
    twins = evidence.read_twins(out / run_files.TWINS)
    if twins.commitment != commitment:
        raise UserError(f"{out / 'twins.json'} is not that of this run: put back the one that it was made with")
    return twins


def _tell(out: Path, record: RunRecord, documents: Documents, tables: Collection[str] = ()) -> None:
    """Write documents, tables and page."""
    for name, document in documents.named().items():
        write_text(out / name, evidence.json_parts(document))
    release_unused()
    write_sheets(out, record, documents.first, tables)
    release_unused()
    reporting.render(out, documents.first)
