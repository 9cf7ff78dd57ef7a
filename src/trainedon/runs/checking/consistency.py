"""Does a record of a run agree with itself? Its inputs, its choices, and what it says of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from functools import cache

from trainedon.formats.earlier_records import null_view_of, read_off
from trainedon.formats.run_record import READABLE, SCHEMA_VERSION, RunRecord
from trainedon.pictures import Rendering

SETS = {"audit": ({"suspect"}, {"suspect", "unseen"}, {"suspect", "kept"}), "evaluate": ({"member", "unseen"},)}


def disagreements(record: RunRecord) -> list[str]:
    """What in a record contradicts its identity, in words. Entries that earlier versions did not write contradict
    nothing."""
    identity, version = record.identity, record.schema_version
    if not identity.kind:
        return ["it has no identity"]
    due = version if version in READABLE else SCHEMA_VERSION
    pairs: list[tuple[str, object, object]] = [("the schema's version", version, due)]
    pairs += _of_table(record) if identity.table else _of_model(record)
    return [f"{what} is {_brief(said)}, and by its identity {_brief(due)}" for what, said, due in pairs if said != due]


Pairs = Iterator[tuple[str, object, object]]  # what, as it is said, as it is due


def _of_table(record: RunRecord) -> Pairs:
    """Of a run that was made from a table of scores."""
    identity, given = record.identity, record.inputs.get("scores")
    yield "kind", record.kind, identity.kind
    yield "the table", given and given.digest, identity.table
    yield "the pictures' sets", [*identity.pictures], []


def _of_model(record: RunRecord) -> Pairs:
    """Of a run that asked a model."""
    identity, choices = record.identity, record.choices
    device = identity.device if choices.device is None else choices.device.partition(":")[0]
    yield "kind", record.kind, identity.kind
    yield "the model", record.model.digest, identity.model
    yield "the attacks", identity.attacks if choices.attacks is None else choices.attacks, identity.attacks or None
    yield "the device", device, identity.device
    for name in ("precision", "compiled", "lead"):
        yield name, getattr(choices, name), getattr(identity, name)
    yield "the controls", [*record.controls], identity.controls
    groups = record.sweep.groups if record.sweep else []
    yield "the sweep", [group.title for group in groups], identity.sweep
    yield from _of_lists(record)
    yield "the pictures", {name: given.digest for name, given in record.inputs.items()}, identity.pictures
    if {*identity.pictures} not in SETS.get(str(identity.kind), ()):
        yield "the sets", sorted(identity.pictures), f"those of kind {identity.kind}"
    models = {entry.model for entry in record.controls.values() if entry.model is not None}
    yield "the control model", {record.control_model.digest} if record.control_model else set(), models
    if identity.protocol == "standard-1":  # which knew neither of these, nor did the version that followed it
        later = bool(record.listed or record.control_model or any(one.change for one in record.controls.values()))
        writer = record.versions.get("trainedon", "0.1")
        yield "the protocol", "standard-2" if later or not writer.startswith("0.1") else "standard-1", "standard-1"
    yield from _of_attacks(record, [*identity.attacks, *identity.controls])
    varied = {one.repr for group in groups for one in group.settings}
    yield "what is varied", sorted(varied - {*identity.attacks}), []
    yield from _of_rendering(record)


def _of_lists(record: RunRecord) -> Pairs:
    """When the lists of pictures were settled, and which."""
    listed, pictures = record.listed, record.identity.pictures
    if listed is None:
        return
    for name, said in (("suspect", listed.suspects), ("member", listed.members), ("unseen", listed.unseen)):
        yield f"the list of {name}s" if name != "unseen" else "the list of unseen pictures", said, pictures.get(name)
    times = [moment for moment in (record.started, listed.at, record.finished) if moment is not None]
    in_order = sorted(times, key=datetime.fromisoformat)
    yield "when the lists were settled", times, in_order


def _of_attacks(record: RunRecord, attacks: list[str]) -> Pairs:
    """Whether each entry on an attack is on one of the run's. attacks: their reprs, the controls among them."""
    if "labels" in record.model_fields_set:
        yield "labels", [*record.labels], attacks
    if "costs" in record.model_fields_set:
        yield "costs", [cost.attack for cost in record.costs], attacks
    if record.declared is not None or record.schema_version == SCHEMA_VERSION:
        yield "what attacks declare", [*(record.declared or {})], attacks if record.schema_version != 1 else []
    for attack, declared in (record.declared or {}).items():
        due = read_off(record.labels.get(attack, "").partition("(")[0], attack)
        yield f"what {_brief(attack)} declares", declared, due or declared
        if attack.partition("(")[0] in _ours():
            yield f"what {_brief(attack)} is compared with", declared.null_view, null_view_of(attack)
    added = {attack for entry in record.added for attack in entry.attacks}
    yield "what was added", sorted(added - {*record.identity.attacks[1:]}), []
    studied = Counter(one.repr for one in record.study)
    yield "what is studied", [*(studied - Counter(record.identity.attacks))], []


@cache
def _ours() -> set[str]:
    """The classes of our own attacks; of those of other packages a record cannot be checked against the repr."""
    from trainedon.attacks.core.registry import attacks

    return {kind.__name__ for kind in attacks().values() if kind.__module__.startswith("trainedon.")}


def _of_rendering(record: RunRecord) -> Pairs:
    """How the pictures were read: as was said, as was found, or as is usual."""
    told = record.rendering
    if told is None:
        return
    asked = Rendering(**record.identity.rendering)
    answers = {str(question): answer for question, answer in told.asked.items()}
    for name, due in asdict(asked.settled).items():
        answer = answers.get(name)
        yield name, getattr(told, name), (answer and answer.chosen) or due


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
