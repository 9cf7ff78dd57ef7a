"""One audit from inputs to page: inventory, scores, statistics, report."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from trainedon import evidence, reporting, run_files
from trainedon.attacks import Attack, Progress
from trainedon.attacks.core.answers import silent
from trainedon.attacks.core.pool import Pool
from trainedon.attacks.wrappers.on_control import on_control
from trainedon.attacks.wrappers.recaptioned import controls, with_pool
from trainedon.attacks.wrappers.turned import Turned, turned
from trainedon.checks import WRONG_WAY_ROUND, says_opposite
from trainedon.errors import UserError
from trainedon.evidence.table.memory import release_unused
from trainedon.exports.score_sheet import NOTE, is_too_long
from trainedon.exports.sheets import write_sheets
from trainedon.files import file_digest, write_text
from trainedon.formats import RunRecord, read_record, write_record
from trainedon.formats.page_language import Language
from trainedon.formats.run_record import ControlEntry
from trainedon.formats.truth_json import write_truth
from trainedon.pictures import (
    Inventory,
    Listing,
    Passed,
    cross_duplicates,
    passed_items,
    scan,
    shown,
    take_inventory,
    write_inventory,
)
from trainedon.pictures.examining import Examiners
from trainedon.pictures.works import in_both, source_of
from trainedon.runs import earlier_runs
from trainedon.runs.added_attacks import taken_back, unfinished, with_added
from trainedon.runs.features import write_features
from trainedon.runs.folder import check_begun, check_known_again, check_same, locked, protocol_of, version_of
from trainedon.runs.foretold import foretold
from trainedon.runs.labels import INFERRED, settle, with_inferred
from trainedon.runs.plan import Plan
from trainedon.runs.record import begun, controls_of, identity_of, now, other_code_note, record_of
from trainedon.runs.rendering_choice import notes as rendering_notes
from trainedon.runs.rendering_choice import settle as settle_rendering
from trainedon.runs.scoring import exhibit_files as exhibits
from trainedon.runs.scoring.engine import Engine, Keep, Local, forget, score_all
from trainedon.runs.spelling import in_full
from trainedon.targets import Target

log = logging.getLogger("trainedon")
CONCLUDING = "making statistics and page"  # what progress says of it


def run(
    target: Target,
    plan: Plan,
    out: Path,
    progress: Progress,
    engine: Engine | None = None,
    keep: Keep = forget,
) -> evidence.Audit | evidence.Evaluation:
    """Execute a plan in the folder `out`, or go on with it, and write scores, statistics and page.

    progress: called with (what, done, total). engine: who examines the pictures and scores the shards, this machine
    when not given; it changes nothing else. keep: called with each file that a later run of the same plan can go on
    from. Returns the statistics.
    Raises UserError for bad input, and when `out` holds something else; nothing there is overwritten then.
    """
    version, rules = version_of(out), protocol_of(out)
    check_known_again(out, target.identity)
    check_begun(out, begun(target, plan, version))
    for attack in (*plan.attacks, *on_control(plan.attacks, plan.control)):
        attack.check(target)
    items, entries, passed = _take_inventories(plan, engine or Local(), progress)
    plan, others = _with_controls(target, plan, items, rules)
    settled = settle(target, items, plan.labels)
    items = settled.items
    draw = plan.draw and evidence.read_draw(plan.draw)
    if draw:
        evidence.check_draw(draw, items.table)
    twins = plan.twins and evidence.read_twins(plan.twins)
    if twins:
        evidence.check_twins(twins, items.table)
    with locked(out):
        coins = (draw.commitment if draw else None, twins.commitment if twins else None)
        identity = identity_of(target, plan, others, items, version, rules.name, *coins)
        record = check_same(out, identity, controls_of(others))
        if record is None:  # the lists are settled here, before anything is scored
            record = earlier_runs.listed(record_of(target, plan, others, settled, identity, passed), items, out)
            record = foretold(_with_shared_sources(record, plan, items), plan, items)
        elif record.identity.attacks != identity.attacks:
            record = with_added(out, record, record_of(target, plan, others, settled, identity, passed))
        elif record.is_complete:
            record = taken_back(out, record)
        if not record.is_complete:
            write_record(out, record)
            record, rendering, items = settle_rendering(target, plan.rendering, items, entries, record, out, progress)
            record = record.noted(*settled.notes, *rendering_notes(record), *other_code_note(target, record))
            if settled.origin == INFERRED:
                items = with_inferred(target, items, entries, out, progress, rendering)
            if plan.truth is not None:
                write_truth(out / run_files.TRUTH, plan.truth)
            if draw:
                write_text(out / run_files.DRAW, evidence.to_json(draw))
            if twins:
                write_text(out / run_files.TWINS, evidence.to_json(twins))
            if not (out / run_files.PICTURES).exists():
                besides = (passed_items(over, name) for name, over in passed.items())
                write_inventory(sum(besides, items), out / run_files.PICTURES)
            write_features(items, entries, out, progress, rendering)
            for name in (run_files.RUN, run_files.BEFORE, *run_files.INPUTS):
                if (out / name).exists():
                    keep(out / name)
            attacks = [*plan.attacks, *others]
            texts = [in_full(attack, version) for attack in attacks]
            keep = earlier_runs.Told(record, items, keep)
            score_all(target, attacks, texts, items, entries, out, progress, engine, keep, rendering)
            shutil.rmtree(out / run_files.SHARDS, ignore_errors=True)
            present = [name for name in run_files.INPUTS if (out / name).exists()]
            files = {name: file_digest(out / name) for name in present}
            record = record.but(finished=now(), files=files, restored=exhibits.digests(out))
            write_record(out, record)
        progress(CONCLUDING, 0, 1)
        documents = recompute(out, record)
        if says_opposite(documents.first.flags):
            record = record.noted(WRONG_WAY_ROUND)
            write_record(out, record)
        if is_too_long(out):
            record = record.noted(NOTE)
            write_record(out, record)
        _tell(out, record, documents)
        progress(CONCLUDING, 1, 1)
        write_record(out, record.but(status="complete"))
        (out / run_files.BEFORE).unlink(missing_ok=True)
        earlier_runs.tell(record, items, documents.first)
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


def _take_inventories(
    plan: Plan, examiners: Examiners, progress: Progress
) -> tuple[Inventory, Listing, dict[str, Passed]]:
    """The inventory of all sets, where to read each of its pictures, and what each set's source holds besides."""
    items, entries, passed = Inventory.of([]), Listing(), {}
    for name, source in plan.sets.items():
        listed = scan(source, plan.limit, plan.follow_links)
        found = take_inventory(
            listed,
            name,
            partial(progress, f"reading {'reference' if name == 'unseen' and plan.by_mirror else name}"),
            plan.caption,
            plan.rendering.settled,
            source_of(plan.source_from, source),
            examiners,
        )
        if not len(found.usable):
            first = found[0]
            raise UserError(f"{shown(source)} holds no picture that can be used ({first.picture}: {first.reason})")
        items, entries, passed[name] = items + found, Listing(entries, listed), listed.passed
    if plan.source_from and not items.take(items.usable).column("source").is_valid().to_numpy().any():
        raise UserError("no table has a column source, artist or author: leave out --source-from, or say folder")
    items = cross_duplicates(items)
    if "unseen" in plan.sets and not len(items.of_set("unseen").usable):
        option = "--mirror-reference" if plan.by_mirror else "--unseen"
        raise UserError(
            f"every picture of {option} is also among the others: give pictures that the model cannot have seen"
        )
    return items, entries, passed


def _with_shared_sources(record: RunRecord, plan: Plan, items: Inventory) -> RunRecord:
    """The record, with a note of folders of one name in both sets, which is logged too."""
    if plan.source_from != "folder":
        return record
    usable = items.take(items.usable)
    note = in_both(*(usable.of_set(name).values("source") for name in ("suspect", "unseen")))
    if note is None:
        return record
    log.warning("note: %s", note)
    return record.noted(note)


def _with_controls(target: Target, plan: Plan, items: Inventory, rules: evidence.Rules) -> tuple[Plan, list[Attack]]:
    """The plan, its attacks with the run's captions where they draw some, and its controls, which are attacks too.

    Raises UserError for a control model that is known to have seen pictures of the run.
    """
    if plan.study or plan.sweep:
        return plan, []
    if plan.control is not None:
        seen = len(plan.control.known_members() & {*items.column("sha256").to_pylist()})
        if seen:
            raise UserError(
                f"the control model was trained on {seen} of these pictures: give one that cannot have seen them"
            )
    pool = Pool.of(items.take(items.usable).column("caption").unique().to_pylist())
    plan = replace(plan, attacks=[with_pool(attack, pool) for attack in plan.attacks])
    recaptioned = controls(target, plan.attacks, pool) if plan.controls else []
    return plan, [*recaptioned, *on_control(plan.attacks, plan.control), *_turned(plan, rules)]


def _turned(plan: Plan, rules: evidence.Rules) -> list[Turned]:
    """The attacks that an audit's claim rests on, on turned pictures."""
    if not plan.controls or "unseen" not in plan.sets:
        return []
    if plan.kind != "audit" or plan.by_mirror:  # the mirror test compares with mirror images itself
        return []
    return turned(plan.attacks if plan.lead == "cdi" else plan.attacks[:1], rules.turned)
