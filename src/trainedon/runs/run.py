"""One audit from inputs to page: inventory, scores, statistics, report."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
    Passed,
    Rendering,
    cross_duplicates,
    inventory,
    inventory_digest,
    passed_items,
    scan,
    shown,
    write_inventory,
)
from trainedon.redact import redacted
from trainedon.runs.engine import Engine, Keep, forget, score_all
from trainedon.runs.folder import SCHEMA_VERSION, check_begun, check_same, locked, read_run
from trainedon.runs.labels import INFERRED, Settled, asked_about, check_choice, settle, with_inferred
from trainedon.runs.looks import write_looks
from trainedon.runs.rendering import notes as rendering_notes
from trainedon.runs.rendering import settle as settle_rendering
from trainedon.targets import Target

EVIDENCE = (
    "pictures.parquet",
    "looks.parquet",
    "scores.parquet",
    "labels.json",
    "draw.json",
    "truth.json",
)  # what is concluded from
PACKAGES = ("trainedon", "torch", "diffusers", "numpy", "scipy", "scikit-learn", "pillow")


@dataclass(frozen=True)
class Plan:
    """What is asked. kind: `audit` or `evaluate`. sets: set name (`suspect`, `member`, `unseen`) -> path or URL.

    dataset: the name of the pictures as papers call them, so that what papers report on them is printed beside.
    draw: the `draw.json` whose coins decided which pictures the model was given. lead: the test that an audit's claim
    speaks of, `first` or `cdi`. study: the attacks that are measurements of one question, each with its parameters.
    sweep: the questions whose settings the attacks are, as `attacks.grid.Sweep.facts` tells them.
    truth: suspect -> whether the model was trained on it, told to the page alone, never to the audit.
    caption: of all pictures, whatever their sources say. labels: where the classes of a class-conditional model come
    from, one of `labels.CHOICES`. controls: whether attacks on a model that is asked by captions are made with other
    captions too. rendering: how pictures become pixels.
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
    labels: str = "auto"
    rendering: Rendering = field(default_factory=Rendering)

    def __post_init__(self) -> None:
        check_choice(self.labels)


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
    items, entries, passed = _take_stock(plan, progress)
    plan, others = _recaptioned(target, plan, items)
    settled = settle(target, items, plan.labels)
    items = settled.items
    draw = plan.draw and evidence.read_draw(plan.draw)
    if draw:
        evidence.check_draw(draw, items.table)
    with locked(out):
        identity = _identity(target, plan, others, items) | ({"draw": draw.commitment} if draw else {})
        record = check_same(out, identity) or _record(target, plan, others, settled, identity, passed)
        if record["status"] != "complete":
            write_json(out / "run.json", record)
            rendering, items = settle_rendering(target, plan.rendering, items, entries, record, out, progress)
            record["notes"] = [*dict.fromkeys([*record["notes"], *settled.notes, *rendering_notes(record)])]
            if settled.origin == INFERRED:
                items = with_inferred(target, items, entries, out, progress, rendering)
            if plan.truth is not None:
                write_json(out / "truth.json", plan.truth)
            if draw:
                write_text(out / "draw.json", evidence.to_json(draw))
            if not (out / "pictures.parquet").exists():
                besides = (passed_items(over, name) for name, over in passed.items())
                write_inventory(sum(besides, items), out / "pictures.parquet")
            write_looks(items, entries, out, progress, rendering)
            for name in ("run.json", *EVIDENCE):
                if (out / name).exists():
                    keep(out / name)
            score_all(target, [*plan.attacks, *others], items, entries, out, progress, engine, keep, rendering)
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
    pictures = looks = None
    if (out / "pictures.parquet").exists():
        pictures = out / "pictures.parquet"
        looks = evidence.read_looks(out / "looks.parquet")
    draw, told = _draw_of(out, record), _circumstances(record)
    if record["kind"] == "audit":
        lead = record.get("choices", {}).get("lead", "first")
        return {"audit.json": evidence.audit(scores, pictures, looks, draw, lead, **told)}
    documents = {"evaluation.json": evidence.evaluate(scores, pictures, looks, draw, **told)}
    if record.get("study"):
        documents["peaks.json"] = evidence.peaks(scores, record["study"], pictures, looks)
    if record.get("sweep"):
        documents["sweep.json"] = evidence.sweep(scores, record["sweep"], record["costs"], pictures, looks)
    return documents


def _circumstances(record: dict) -> dict[str, Any]:
    """What a run records of its model and of how it was asked, as far as statistics need it; runs of earlier versions
    record less."""
    model = record.get("model", {})
    return {
        "prompts": record.get("controls", {}) if model.get("conditioning") == "caption" else None,
        "asked": _asked_by(record),
        "rendering": record.get("rendering"),
        "distilled": model.get("distilled"),
    }


def _asked_by(record: dict) -> str | None:
    """By what the model of a run is asked, where the run recorded how; runs of earlier versions did not."""
    if not record.get("model", {}).get("asked"):
        return None
    if record["model"]["conditioning"] != "caption":
        return "class"
    return "caption" if record["choices"].get("caption") is None else "one caption"


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


def _take_stock(plan: Plan, progress: Progress) -> tuple[Inventory, Listing, dict[str, Passed]]:
    """The inventory of all sets, where to read each of its pictures, and what each set's source holds besides."""
    items, entries, passed = Inventory.of([]), Listing(), {}
    for name, source in plan.sets.items():
        listed = scan(source, plan.limit)
        found = inventory(
            listed,
            name,
            lambda done, total, n=name: progress(f"reading {n}", done, total),
            plan.caption,
            plan.rendering.settled,
        )
        if not len(found.usable):
            first = found[0]
            raise UserError(f"{shown(source)} holds no picture that can be used ({first.picture}: {first.reason})")
        items, entries, passed[name] = items + found, Listing(entries, listed), listed.passed
    items = cross_duplicates(items)
    if "unseen" in plan.sets and not len(items.of_set("unseen").usable):
        raise UserError("every unseen picture is also among the others: give pictures that the model cannot have seen")
    return items, entries, passed


def _recaptioned(target: Target, plan: Plan, items: Inventory) -> tuple[Plan, list[Recaptioned]]:
    """The plan, its attacks with the run's captions where they draw some, and the controls with other captions."""
    if target.conditioning != "caption" or plan.study or plan.sweep:
        return plan, []
    pool = Pool.of(items.take(items.usable).column("caption").unique().to_pylist())
    plan = replace(plan, attacks=[with_pool(attack, pool) for attack in plan.attacks])
    return plan, controls(plan.attacks, pool) if plan.controls else []


def _swapped_note(plan: Plan) -> list[str]:
    told = swapped(plan.sets)
    return [told[:1].upper() + told[1:]] if told else []


def _captions_note(target: Target, plan: Plan, items: Inventory, passed: dict[str, Passed]) -> list[str]:
    if target.conditioning != "caption":
        return []
    without = items.take(items.usable).column("caption").null_count
    bare = f"{without} pictures came without a caption; the model was asked about them with the empty prompt"
    unread = [f"{name}: {note}" for name, over in passed.items() for note in over.notes if plan.caption is None]
    return [*([bare] if without else []), *unread]


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
    if plan.rendering.said():
        identity["rendering"] = plan.rendering.said()
    if plan.sweep:  # the same attacks can answer other questions
        identity["sweep"] = [group["title"] for group in plan.sweep["groups"]]
    return identity


def _besides(passed: Passed) -> dict:
    """What a set's source holds besides its pictures, where it does."""
    found = {"passed_over": dict(passed.kinds), "companions": dict(+passed.companions)}
    return {name: counts for name, counts in found.items() if counts}


def _record(
    target: Target,
    plan: Plan,
    others: Sequence[Recaptioned],
    settled: Settled,
    identity: dict,
    passed: dict[str, Passed],
) -> dict:
    costs = {repr(attack): attack.cost(target) for attack in (*plan.attacks, *others)}
    asked = asked_about(target, settled, list(plan.sets), plan.caption)
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "running",
        "kind": plan.kind,
        "command": redacted(plan.command),
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
            "labels": plan.labels,
            "pictures": plan.rendering.words(*target.picture[1:]),
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
        }
        | ({} if asked is None else {"asked": asked})
        | ({"distilled": target.identity.distilled} if target.identity.distilled else {}),
        "inputs": {
            name: {
                "path": redacted(shown(source)),
                "digest": identity["pictures"][name],
                "pictures": len(settled.items.of_set(name)),
                **_besides(passed[name]),
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
        "rendering": None,  # until it is settled
        "notes": [
            *target.identity.notes,
            *_captions_note(target, plan, settled.items, passed),
            *settled.notes,
            *_swapped_note(plan),
        ],
        "attribution": plan.attribution,
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    }


def _conditioning(target: Target) -> str:
    return f"class ({target.classes})" if target.conditioning == "class" else target.conditioning or "none"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
