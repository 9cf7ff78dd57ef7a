"""One audit from inputs to page: inventory, scores, statistics, report."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from trainedon import evidence, report
from trainedon.attacks import Attack, Progress, short
from trainedon.attacks.pool import Pool
from trainedon.attacks.recaptioned import Recaptioned, controls, with_pool
from trainedon.checks import WRONG_WAY_ROUND, says_opposite, swapped
from trainedon.errors import UserError
from trainedon.evidence.stream import give_back
from trainedon.files import file_digest, write_json, write_text
from trainedon.pictures import (
    Inventory,
    Listing,
    cross_duplicates,
    inventory,
    inventory_digest,
    scan,
    shown,
    write_inventory,
)
from trainedon.runs.engine import Engine, Keep, forget, score_all
from trainedon.runs.folder import SCHEMA_VERSION, check_begun, check_same, locked, read_run
from trainedon.runs.labels import infer_labels
from trainedon.runs.looks import write_looks
from trainedon.targets import Target

EVIDENCE = (
    "pictures.parquet",
    "looks.parquet",
    "scores.parquet",
    "labels.json",
    "draw.json",
    "truth.json",
)  # what is concluded from
MOST_CLASSES = 100  # above this, trying every class for every picture costs more than the audit itself
PACKAGES = ("trainedon", "torch", "diffusers", "numpy", "scipy", "scikit-learn", "pillow")


@dataclass(frozen=True)
class Plan:
    """What is asked. kind: `audit` or `evaluate`. sets: set name (`suspect`, `member`, `unseen`) -> path or URL.

    dataset: the name of the pictures as papers call them, so that what papers report on them is printed beside.
    draw: the `draw.json` whose coins decided which pictures the model was given. lead: the test that an audit's claim
    speaks of, `first` or `cdi`. study: the attacks that are measurements of one question, each with its parameters.
    sweep: the questions whose settings the attacks are, as `attacks.grid.Sweep.facts` tells them.
    truth: suspect -> whether the model was trained on it, told to the page alone, never to the audit.
    caption: of all pictures, whatever their sources say. controls: whether attacks on a model that is asked by captions
    are made with other captions too.
    """

    kind: str
    sets: dict[str, str | Path]
    attacks: Sequence[Attack]
    seed: int = 0
    limit: int | None = None
    command: str = ""
    attribution: str | None = None
    dataset: str | None = None
    draw: Path | None = None
    lead: str = "first"
    study: Sequence[dict] | None = None
    sweep: dict | None = None
    truth: dict[str, bool] | None = None
    caption: str | None = None
    controls: bool = True


def run(
    target: Target,
    plan: Plan,
    out: Path,
    progress: Progress,
    engine: Engine | None = None,
    keep: Keep = forget,
) -> evidence.Audit | evidence.Evaluation:
    """Execute a plan in the folder `out`, or go on with it, and write scores, statistics and page.

    progress: called with (what, done, total). engine: who scores the shards, this process when not given; it changes
    nothing else. keep: called with each file that a later run of the same plan can go on from. Returns the statistics.
    Raises UserError for bad input, and when `out` holds something else; nothing there is overwritten then.
    """
    check_begun(out, _begun(target, plan))
    for attack in plan.attacks:
        attack.check(target)
    items, entries = _take_stock(plan, progress)
    plan, others = _recaptioned(target, plan, items)
    missing = _without_label(target, items)
    draw = plan.draw and evidence.read_draw(plan.draw)
    if draw:
        evidence.check_draw(draw, items.table)
    with locked(out):
        identity = _identity(target, plan, others, items) | ({"draw": draw.commitment} if draw else {})
        record = check_same(out, identity) or _record(target, plan, others, items, identity)
        if record["status"] != "complete":
            write_json(out / "run.json", record)
            if missing:
                items = _with_labels(target, items, missing, entries, out, progress)
                record["notes"] = [*target.identity.notes, _labels_note(target, missing), *_swapped_note(plan)]
            if plan.truth is not None:
                write_json(out / "truth.json", plan.truth)
            if draw:
                write_text(out / "draw.json", evidence.to_json(draw))
            if not (out / "pictures.parquet").exists():
                write_inventory(items, out / "pictures.parquet")
            write_looks(items, entries, out, progress)
            for name in ("run.json", *EVIDENCE):
                if (out / name).exists():
                    keep(out / name)
            score_all(target, [*plan.attacks, *others], items, entries, out, progress, engine, keep)
            shutil.rmtree(out / "shards", ignore_errors=True)
            present = [name for name in EVIDENCE if (out / name).exists()]
            record |= {"finished": _now(), "files": {name: file_digest(out / name) for name in present}}
            write_json(out / "run.json", record)
        documents = recompute(out, record)
        if says_opposite(next(iter(documents.values())).flags) and WRONG_WAY_ROUND not in record["notes"]:
            record["notes"] = [*record["notes"], WRONG_WAY_ROUND]
            write_json(out / "run.json", record)
        document = _told(out, documents)
        write_json(out / "run.json", record | {"status": "complete"})
        return document


def conclude(out: Path) -> evidence.Audit | evidence.Evaluation:
    """Statistics and page again from the stored scores of the run `out`; no model and no picture is needed."""
    record = read_run(out)
    with locked(out):
        return _told(out, recompute(out, record))


def recompute(out: Path, record: dict) -> dict[str, evidence.Document]:
    """The documents of a run, file name -> content, from what it has stored of scores and pictures."""
    scores = evidence.read_scores(out / "scores.parquet")
    # the controls with other captions, of a model that is asked by captions
    prompts = record.get("controls", {}) if record.get("model", {}).get("conditioning") == "caption" else None
    pictures = looks = None
    if (out / "pictures.parquet").exists():
        pictures = out / "pictures.parquet"
        looks = evidence.read_looks(out / "looks.parquet")
    draw = _draw_of(out, record)
    if record["kind"] == "audit":
        lead = record.get("choices", {}).get("lead", "first")
        return {"audit.json": evidence.audit(scores, pictures, looks, draw, lead, prompts)}
    documents = {"evaluation.json": evidence.evaluate(scores, pictures, looks, draw, prompts)}
    if record.get("study"):
        documents["peaks.json"] = evidence.peaks(scores, record["study"], pictures, looks)
    if record.get("sweep"):
        documents["sweep.json"] = evidence.sweep(scores, record["sweep"], record["costs"], pictures, looks)
    return documents


def _draw_of(out: Path, record: dict) -> evidence.Draw | None:
    """The draw that the run was made with, and no other that lies in its folder."""
    commitment = record.get("identity", {}).get("draw")
    if commitment is None:
        return None
    draw = evidence.read_draw(out / "draw.json")
    if draw.commitment != commitment:
        raise UserError(f"{out / 'draw.json'} is not the draw of this run: put back the one that it was made with")
    return draw


def _told(out: Path, documents: dict[str, evidence.Document]) -> evidence.Audit | evidence.Evaluation:
    """Documents and page are written; the first document."""
    for name, document in documents.items():
        write_text(out / name, evidence.json_parts(document))
    first = next(iter(documents.values()))
    give_back()
    report.render(out, first)
    return first


def _take_stock(plan: Plan, progress: Progress) -> tuple[Inventory, Listing]:
    """The inventory of all sets, and where to read each of its pictures."""
    items, entries = Inventory.of([]), Listing()
    for name, source in plan.sets.items():
        listed = scan(source, plan.limit)
        found = inventory(listed, name, lambda done, total, n=name: progress(f"reading {n}", done, total), plan.caption)
        if not len(found.usable):
            first = found[0]
            raise UserError(f"{shown(source)} holds no picture that can be used ({first.picture}: {first.reason})")
        items, entries = items + found, Listing(entries, listed)
    items = cross_duplicates(items)
    if "unseen" in plan.sets and not len(items.of_set("unseen").usable):
        raise UserError("every unseen picture is also among the others: give pictures that the model cannot have seen")
    return items, entries


def _recaptioned(target: Target, plan: Plan, items: Inventory) -> tuple[Plan, list[Recaptioned]]:
    """The plan, its attacks with the run's captions where they draw some, and the controls with other captions."""
    if target.conditioning != "caption" or plan.study or plan.sweep:
        return plan, []
    pool = Pool.of(items.take(items.usable).column("caption").unique().to_pylist())
    plan = replace(plan, attacks=[with_pool(attack, pool) for attack in plan.attacks])
    return plan, controls(plan.attacks, pool) if plan.controls else []


def _without_label(target: Target, items: Inventory) -> list[int]:
    """Places of usable pictures that a class-conditional model needs a label for.

    Raises UserError for labels that it cannot take.
    """
    if target.classes is None:
        return []
    missing = []
    for place, (label, reason) in enumerate(zip(items.values("label"), items.values("reason"), strict=True)):
        if reason is not None:
            continue
        if label is None:
            missing.append(place)
        elif not 0 <= label < target.classes:
            name = items[place].picture
            raise UserError(f"{name} has class label {label}: the model knows 0 to {target.classes - 1}")
    if missing and target.classes > MOST_CLASSES:
        raise UserError(
            f"the model was trained with {target.classes} classes and {items[missing[0]].picture} has no class label: "
            "put the pictures into folders named by class number, or give a parquet file with a label column"
        )
    return missing


def _with_labels(
    target: Target, items: Inventory, missing: list[int], entries: Listing, out: Path, progress: Progress
) -> Inventory:
    """Every usable picture with a class label; those that were inferred are kept in `labels.json`."""
    store = out / "labels.json"
    if not store.exists():
        write_json(store, infer_labels(target, items, entries, missing, progress))
    labels = json.loads(store.read_text("utf-8"))
    digests = items.column("sha256")
    return items.replaced("label", {place: labels[digests[place].as_py()] for place in missing})


def _labels_note(target: Target, missing: list[int]) -> str:
    return (
        f"{len(missing)} pictures came without a class label; each was given the class under which the model predicts "
        f"its noise best ({4 * (target.classes or 0)} evaluations a picture, not counted in the attacks' costs)"
    )


def _swapped_note(plan: Plan) -> list[str]:
    told = swapped(plan.sets)
    return [told[:1].upper() + told[1:]] if told else []


def _captions_note(target: Target, items: Inventory) -> list[str]:
    without = items.take(items.usable).column("caption").null_count
    if target.conditioning != "caption" or not without:
        return []
    return [f"{without} pictures came without a caption; the model was asked about them with the empty prompt"]


def _begun(target: Target, plan: Plan) -> dict:
    """The part of the identity that is known before a picture is read."""
    known = {"kind": plan.kind, "model": target.identity.digest, "device": target.device.type}
    if target.conditioning != "caption":  # others may have captions of the run in them
        known["attacks"] = [repr(attack) for attack in plan.attacks]
    return known


def _identity(target: Target, plan: Plan, others: Sequence[Attack], items: Inventory) -> dict:
    """What makes two runs the same one: neither paths nor batch size, which change no score."""
    identity = {
        "kind": plan.kind,
        "model": target.identity.digest,
        "pictures": {name: inventory_digest(items.of_set(name)) for name in plan.sets},
        "attacks": [repr(attack) for attack in plan.attacks],
        "device": target.device.type,
    }
    if target.precision != "float32":
        identity["precision"] = target.precision
    if target.compiled:
        identity["compiled"] = True
    if plan.lead != "first":
        identity["lead"] = plan.lead
    if others:
        identity["controls"] = [repr(control) for control in others]
    if plan.sweep:  # the same attacks can answer other questions
        identity["sweep"] = [group["title"] for group in plan.sweep["groups"]]
    return identity


def _record(target: Target, plan: Plan, others: Sequence[Recaptioned], items: Inventory, identity: dict) -> dict:
    costs = {repr(attack): attack.cost(target) for attack in (*plan.attacks, *others)}
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "running",
        "kind": plan.kind,
        "command": _public(plan.command, plan.sets.values()),
        "started": _now(),
        "finished": None,
        "identity": identity,
        "choices": {
            "attacks": identity["attacks"],
            "seed": plan.seed,
            "limit": plan.limit,
            "dataset": plan.dataset,
            "lead": plan.lead,
            "device": str(target.device),
            "rows": target.rows,
            "precision": target.precision,
            "compiled": target.compiled,
            "caption": plan.caption,
            "pictures": f"shorter side to {target.picture[1]} x {target.picture[2]} pixels by Lanczos, centre cut out",
        },
        "model": {
            "name": target.identity.name,
            "digest": target.identity.digest,
            "family": target.identity.family,
            "parameters": target.identity.parameters,
            "shape": list(target.picture),
            "latents": list(target.shape) if target.latent else None,
            "prediction": target.prediction,
            "timesteps": target.timesteps,
            "conditioning": _conditioning(target),
        },
        "inputs": {
            name: {
                "path": shown(source),
                "digest": identity["pictures"][name],
                "pictures": len(items.of_set(name)),
            }
            for name, source in plan.sets.items()
        },
        "labels": {repr(attack): short(attack) for attack in (*plan.attacks, *others)},
        "controls": {repr(one): {"of": repr(one.attack), "captions": one.captions} for one in others},
        "costs": [
            {
                "attack": name,
                "forward_per_picture": cost.forward,
                "backward_per_picture": cost.backward,
                "setup_passes": cost.setup,
            }
            for name, cost in costs.items()
        ],
        "reported": [
            {"attack": repr(attack), "paper": attack.paper} | figures.__dict__
            for attack in plan.attacks
            for figures in attack.reported
            if figures.data == plan.dataset and short(attack) == attack.name  # papers print their own parameters
        ],
        "study": list(plan.study or []),
        "sweep": plan.sweep,
        "notes": [*target.identity.notes, *_captions_note(target, items), *_swapped_note(plan)],
        "attribution": plan.attribution,
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    }


def _conditioning(target: Target) -> str:
    return f"class ({target.classes})" if target.conditioning == "class" else target.conditioning or "none"


def _public(command: str, sources: Iterable[str | Path]) -> str:
    """A command without what must not be kept of its sources: a password, or the signature of a web address."""
    for source in sources:
        command = command.replace(str(source), shown(source))
    return command


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
