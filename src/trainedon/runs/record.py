"""`run.json`: what a run is, and what makes it the same run when its command is given again."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from trainedon.attacks import Attack
from trainedon.attacks.wrappers.on_control import OnControl
from trainedon.attacks.wrappers.recaptioned import Recaptioned
from trainedon.attacks.wrappers.turned import Turned
from trainedon.checks import swapped
from trainedon.formats import SCHEMA_VERSION, RunRecord
from trainedon.formats.run_record import (
    ChoicesEntry,
    ControlEntry,
    CostEntry,
    DeclaredEntry,
    InputEntry,
    ModelEntry,
    OwnCodeEntry,
    ReportedEntry,
    RunIdentity,
)
from trainedon.pictures import Inventory, Passed, inventory_digest, shown
from trainedon.redact import redacted
from trainedon.runs.labels import Settled, condition_origins
from trainedon.runs.plan import Plan
from trainedon.runs.spelling import in_full
from trainedon.targets import Target

PACKAGES = ("trainedon", "torch", "diffusers", "numpy", "scipy", "scikit-learn", "pillow")


def _own_code_notes(target: Target) -> list[str]:
    own = target.identity.own_code
    if own is None:
        return []
    by = "" if own.source is None else f", {own.source}"
    rests = (
        f"The model was opened by the auditor's own code{by}: that it is the network it is said to be, asked as it was "
        "in training, rests on that code."
    )
    unknown = (
        "The network's weights were not at hand and not hashed: nothing tells whether another run asked the same one."
    )
    return [rests] if own.hashed else [rests, unknown]


def other_code_note(target: Target, record: RunRecord) -> list[str]:
    """Where a run goes on whose model was opened by other code than before, with the same weights."""
    own, earlier = target.identity.own_code, record.model.own_code
    if own is None or earlier is None or (own.source, own.code) == (earlier.source, earlier.code):
        return []
    return ["The auditor's own code that opens the model was changed before the run went on; the weights were not."]


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


def begun(target: Target, plan: Plan, version: int) -> RunIdentity:
    """The part of the identity that is known before a picture is read, as a run of this schema version has it."""
    known = RunIdentity(kind=plan.kind, model=target.identity.digest, device=target.device.type)
    if target.conditioning == "caption":  # its attacks may have captions of the run in them
        return known
    return known.but(attacks=[in_full(attack, version) for attack in plan.attacks])


def identity_of(
    target: Target,
    plan: Plan,
    others: Sequence[Attack],
    items: Inventory,
    version: int,
    protocol: str,
    draw: str | None = None,
    twins: str | None = None,
) -> RunIdentity:
    """What makes two runs of a schema version the same one; what is usual is left out, as before there was a choice.

    protocol: the name of the rules. draw, twins: the commitment of the coins, where there were any.
    """
    identity = RunIdentity(
        kind=plan.kind,
        model=target.identity.digest,
        pictures={name: inventory_digest(items.of_set(name)) for name in plan.sets},
        attacks=[in_full(attack, version) for attack in plan.attacks],
        device=target.device.type,
        precision=target.precision,
        compiled=target.batching.compiled,
        lead=plan.lead,
        controls=[in_full(control, version) for control in others],
        rendering=plan.rendering.said(),
        sweep=[group.title for group in plan.sweep.groups] if plan.sweep else [],
        draw=draw,
        twins=twins,
        protocol=protocol,
    )
    usual = ("precision", "compiled", "lead", "controls", "rendering", "sweep", "draw", "twins", "protocol")
    return identity.sparing(*usual)


def record_of(
    target: Target,
    plan: Plan,
    others: Sequence[Attack],
    settled: Settled,
    identity: RunIdentity,
    passed: dict[str, Passed],
) -> RunRecord:
    """What `run.json` says of a run that begins."""
    attacks = (*plan.attacks, *others)
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        status="running",
        kind=plan.kind,
        command=redacted(plan.command),
        started=now(),
        finished=None,
        identity=identity,
        choices=_choices(target, plan, identity),
        model=_model(target, condition_origins(target, settled, list(plan.sets), plan.caption)),
        inputs={
            name: _input(source, identity.pictures[name], len(settled.items.of_set(name)), passed[name])
            for name, source in plan.sets.items()
        },
        labels={repr(attack): attack.spelled({"seed": plan.seed}) for attack in attacks},
        controls=controls_of(others),
        control_model=_control_model(target, plan),
        costs=[_cost(attack, target) for attack in attacks],
        declared={repr(attack): _declared(attack) for attack in attacks},
        reported=[entry for attack in plan.attacks for entry in _reported(attack, plan.dataset)],
        study=[*plan.study],
        sweep=plan.sweep,
        rendering=None,  # until it is settled
        notes=[
            *_own_code_notes(target),
            *target.identity.notes,
            *_captions_note(target, plan, settled.items, passed),
            *settled.notes,
            *_swapped_note(plan),
        ],
        attribution=plan.attribution,
        versions={name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    )
    return record.sparing("control_model", "added")


def _declared(attack: Attack) -> DeclaredEntry:
    entry = DeclaredEntry(
        shown_as=attack.shown_as,
        relative_to=attack.relative_to,
        learns_from="labels" if "labels" in attack.needs else None,
        null_view=attack.null_view,
    )
    return entry.sparing("learns_from", "null_view")


def controls_of(others: Sequence[Attack]) -> dict[str, ControlEntry]:
    """repr of each control -> of what it is made."""
    return {repr(one): _control(one) for one in others}


def _control(one: Attack) -> ControlEntry:
    """What a control is made of. Raises AssertionError for an attack that is none."""
    if isinstance(one, Recaptioned):
        return ControlEntry.model_validate({"of": repr(one.attack), "captions": one.captions})
    if isinstance(one, OnControl):
        return ControlEntry(of=repr(one.attack), model=one.model.digest)
    if isinstance(one, Turned):
        return ControlEntry(of=repr(one.attack), change=one.symmetry)
    raise AssertionError(f"{one.name} is no control")


def _control_model(target: Target, plan: Plan) -> ModelEntry | None:
    return None if plan.control is None else _model(plan.control.target(target), None)


def _choices(target: Target, plan: Plan, identity: RunIdentity) -> ChoicesEntry:
    choices = ChoicesEntry(
        attacks=identity.attacks,
        seed=plan.seed,
        limit=plan.limit,
        dataset=plan.dataset,
        lead=plan.lead,
        device=str(target.device),
        rows=target.batching.rows,
        precision=target.precision,
        compiled=target.batching.compiled,
        caption=plan.caption,
        labels=plan.labels,
        pictures=plan.rendering.words(*target.picture[1:]),
        follow_links=plan.follow_links,
        source_from=plan.source_from,
    )
    return choices.sparing("follow_links", "source_from")


def _model(target: Target, asked: dict[str, dict[str, int]] | None) -> ModelEntry:
    own = target.identity.own_code
    entry = ModelEntry(
        name=target.identity.name,
        digest=target.identity.digest,
        family=target.identity.family,
        parameters=target.identity.parameters,
        shape=list(target.picture),
        latents=list(target.shape) if target.latent else None,
        prediction=target.prediction,
        timesteps=target.timesteps,
        conditioning=f"class ({target.classes})" if target.conditioning == "class" else target.conditioning or "none",
        asked=asked,
        distilled=target.identity.distilled or None,
        own_code=None if own is None else OwnCodeEntry(**asdict(own)),
    )
    return entry.sparing("asked", "distilled", "own_code")


def _input(source: str | Path, digest: str, pictures: int, passed: Passed) -> InputEntry:
    """A set's source, and what it holds besides pictures where it does."""
    entry = InputEntry(
        path=redacted(shown(source)),
        digest=digest,
        pictures=pictures,
        passed_over=dict(passed.kinds),
        companions=dict(+passed.companions),
    )
    return entry.sparing("passed_over", "companions")


def _cost(attack: Attack, target: Target) -> CostEntry:
    cost = attack.cost(target)
    return CostEntry(
        attack=repr(attack),
        forward_per_picture=cost.forward,
        backward_per_picture=cost.backward,
        setup_passes=cost.setup,
    )


def _reported(attack: Attack, dataset: str | None) -> list[ReportedEntry]:
    """What its paper prints for these pictures, where the attack has the parameters of its paper."""
    return [
        ReportedEntry(attack=repr(attack), paper=attack.paper, **asdict(figures))
        for figures in attack.reported
        if figures.data == dataset and attack.spelled() == attack.name
    ]


def now() -> str:
    """The time, as it is recorded."""
    return datetime.now(UTC).isoformat(timespec="seconds")
