"""One audit from inputs to page: inventory, scores, and what follows from these (`conclusion`)."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from trainedon import evidence, run_files
from trainedon.attacks import Attack, Progress
from trainedon.attacks.core.pool import Pool
from trainedon.attacks.wrappers.on_control import on_control
from trainedon.attacks.wrappers.recaptioned import controls, with_pool
from trainedon.attacks.wrappers.turned import Turned, leading, turned
from trainedon.errors import UserError
from trainedon.files import file_digest, write_text
from trainedon.formats import RunRecord, write_record
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
from trainedon.runs.added_attacks import taken_back, with_added
from trainedon.runs.conclusion import complete
from trainedon.runs.features import write_features
from trainedon.runs.folder import check_begun, check_known_again, check_same, locked, protocol_of, version_of
from trainedon.runs.foretold import foretold
from trainedon.runs.labels import INFERRED, Settled, settle_labels, with_inferred
from trainedon.runs.plan import Plan
from trainedon.runs.record import begun, controls_of, identity_of, now, other_code_note, record_of
from trainedon.runs.rendering_choice import notes as rendering_notes
from trainedon.runs.rendering_choice import settle_rendering
from trainedon.runs.scoring import exhibit_files as exhibits
from trainedon.runs.scoring.engine import Engine, Keep, Local, forget, score_all
from trainedon.runs.spelling import in_full
from trainedon.targets import Target

log = logging.getLogger("trainedon")


@dataclass(frozen=True)
class _Work:
    """What there is to do, read and checked before anything is written.

    plan: with the captions that its attacks draw. controls: further attacks, which are scored beside. settled: the
    pictures of all sets, with the labels that count. entries: where to read each of them. passed: what the source of
    each set holds besides. draw, twins: the coins, where there are any.
    """

    plan: Plan
    controls: list[Attack]
    settled: Settled
    entries: Listing
    passed: dict[str, Passed]
    draw: evidence.Draw | None
    twins: evidence.Twins | None


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
    work = _prepared(target, plan, rules, engine or Local(), progress)
    with locked(out):
        record = _record_in(out, target, work, version, rules)
        if not record.is_complete:
            record = _scored(out, target, work, record, version, progress, engine, keep)
        document = complete(out, record, progress)
        earlier_runs.tell(record, work.settled.items, document)
        return document


def _prepared(target: Target, plan: Plan, rules: evidence.Rules, examiners: Examiners, progress: Progress) -> _Work:
    """Raises UserError for pictures that cannot be used, and where they are not those of the coins."""
    items, entries, passed = _take_inventories(plan, examiners, progress)
    plan, others = _with_controls(target, plan, items, rules)
    settled = settle_labels(target, items, plan.labels)
    draw = None if plan.draw is None else evidence.read_draw(plan.draw)
    if draw is not None:
        evidence.check_draw(draw, settled.items.table)
    twins = None if plan.twins is None else evidence.read_twins(plan.twins)
    if twins is not None:
        evidence.check_twins(twins, settled.items.table)
    return _Work(plan, others, settled, entries, passed, draw, twins)


def _record_in(out: Path, target: Target, work: _Work, version: int, rules: evidence.Rules) -> RunRecord:
    """The record of the run in `out`: of one that begins, goes on, or is given further attacks or loses some again.

    Raises UserError where another run is there.
    """
    plan, items = work.plan, work.settled.items
    coins = (work.draw.commitment if work.draw else None, work.twins.commitment if work.twins else None)
    identity = identity_of(target, plan, work.controls, items, version, rules.name, *coins)
    record = check_same(out, identity, controls_of(work.controls))
    if record is not None and record.identity.attacks == identity.attacks:
        return taken_back(out, record) if record.is_complete else record
    fresh = record_of(target, plan, work.controls, work.settled, identity, work.passed)
    if record is not None:
        return with_added(out, record, fresh)
    fresh = earlier_runs.listed(fresh, items, out)  # the lists are settled here, before anything is scored
    return foretold(_with_shared_sources(fresh, plan, items), plan, items)


def _scored(
    out: Path,
    target: Target,
    work: _Work,
    record: RunRecord,
    version: int,
    progress: Progress,
    engine: Engine | None,
    keep: Keep,
) -> RunRecord:
    """The record of the run with all its scores; what is missing of them is computed."""
    write_record(out, record)
    settled, entries = work.settled, work.entries
    record, rendering, items = settle_rendering(
        target, work.plan.rendering, settled.items, entries, record, out, progress
    )
    record = record.noted(*settled.notes, *rendering_notes(record), *other_code_note(target, record))
    if settled.origin == INFERRED:
        items = with_inferred(target, items, entries, out, progress, rendering)
    _write_inputs(out, work, items)
    write_features(items, entries, out, progress, rendering)
    for name in (run_files.RUN, run_files.BEFORE, *run_files.INPUTS):
        if (out / name).exists():
            keep(out / name)
    attacks = [*work.plan.attacks, *work.controls]
    texts = [in_full(attack, version) for attack in attacks]
    keep = earlier_runs.Told(record, items, keep)
    score_all(target, attacks, texts, items, entries, out, progress, engine, keep, rendering)
    shutil.rmtree(out / run_files.SHARDS, ignore_errors=True)
    present = [name for name in run_files.INPUTS if (out / name).exists()]
    files = {name: file_digest(out / name) for name in present}
    record = record.but(finished=now(), files=files, restored=exhibits.digests(out))
    write_record(out, record)
    return record


def _write_inputs(out: Path, work: _Work, items: Inventory) -> None:
    """What the run was given, as far as its statistics and its page rest on it."""
    if work.plan.truth is not None:
        write_truth(out / run_files.TRUTH, work.plan.truth)
    if work.draw:
        write_text(out / run_files.DRAW, evidence.to_json(work.draw))
    if work.twins:
        write_text(out / run_files.TWINS, evidence.to_json(work.twins))
    if not (out / run_files.PICTURES).exists():
        besides = (passed_items(over, name) for name, over in work.passed.items())
        write_inventory(sum(besides, items), out / run_files.PICTURES)


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
    return turned(leading(plan.attacks, plan.lead), rules.turned)
