"""`run.json`: what a run is, and what makes it the same run when its command is given again."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from trainedon.attacks import Attack, short
from trainedon.attacks.wrappers.recaptioned import Recaptioned
from trainedon.checks import swapped
from trainedon.pictures import Inventory, Passed, inventory_digest, shown
from trainedon.redact import redacted
from trainedon.runs.folder import SCHEMA_VERSION
from trainedon.runs.labels import Settled, asked_about
from trainedon.runs.plan import Plan
from trainedon.runs.spelling import spelled
from trainedon.targets import Target

PACKAGES = ("trainedon", "torch", "diffusers", "numpy", "scipy", "scikit-learn", "pillow")


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


def begun(target: Target, plan: Plan, version: int) -> dict:
    """The part of the identity that is known before a picture is read, as a run of this schema version has it."""
    known = {"kind": plan.kind, "model": target.identity.digest, "device": target.device.type}
    if target.conditioning != "caption":  # others may have captions of the run in them
        known["attacks"] = [spelled(attack, version) for attack in plan.attacks]
    return known


def identity_of(target: Target, plan: Plan, others: Sequence[Attack], items: Inventory, version: int) -> dict:
    """What makes two runs of a schema version the same one: neither paths nor batch size, which change no score."""
    identity = {
        "kind": plan.kind,
        "model": target.identity.digest,
        "pictures": {name: inventory_digest(items.of_set(name)) for name in plan.sets},
        "attacks": [spelled(attack, version) for attack in plan.attacks],
        "device": target.device.type,
    }
    if target.precision != "float32":
        identity["precision"] = target.precision
    if target.batching.compiled:
        identity["compiled"] = True
    if plan.lead != "first":
        identity["lead"] = plan.lead
    if others:
        identity["controls"] = [spelled(control, version) for control in others]
    if plan.rendering.said():
        identity["rendering"] = plan.rendering.said()
    if plan.sweep:  # the same attacks can answer other questions
        identity["sweep"] = [group["title"] for group in plan.sweep["groups"]]
    return identity


def _besides(passed: Passed) -> dict:
    """What a set's source holds besides its pictures, where it does."""
    found = {"passed_over": dict(passed.kinds), "companions": dict(+passed.companions)}
    return {name: counts for name, counts in found.items() if counts}


def record_of(
    target: Target,
    plan: Plan,
    others: Sequence[Recaptioned],
    settled: Settled,
    identity: dict,
    passed: dict[str, Passed],
) -> dict:
    """What `run.json` says of a run that begins."""
    costs = {repr(attack): attack.cost(target) for attack in (*plan.attacks, *others)}
    asked = asked_about(target, settled, list(plan.sets), plan.caption)
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "running",
        "kind": plan.kind,
        "command": redacted(plan.command),
        "started": now(),
        "finished": None,
        "identity": identity,
        "choices": {
            "attacks": identity["attacks"],
            "seed": plan.seed,
            "limit": plan.limit,
            "dataset": plan.dataset,
            "lead": plan.lead,
            "device": str(target.device),
            "rows": target.batching.rows,
            "precision": target.precision,
            "compiled": target.batching.compiled,
            "caption": plan.caption,
            "labels": plan.labels,
            "pictures": plan.rendering.words(*target.picture[1:]),
        }
        | ({"follow_links": True} if plan.follow_links else {}),
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


def now() -> str:
    """The time, as it is recorded."""
    return datetime.now(UTC).isoformat(timespec="seconds")
