"""Does a record of a run agree with itself? What it was made of, what it was asked, and what it says of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from trainedon.pictures import Rendering
from trainedon.runs.folder import READABLE, SCHEMA_VERSION

SETS = {"audit": ({"suspect"}, {"suspect", "unseen"}), "evaluate": ({"member", "unseen"},)}


def disagreements(record: Mapping[str, Any]) -> list[str]:
    """What in a record, as `run_json.checked` lets it through, contradicts its identity, in words. Entries that earlier
    versions did not write contradict nothing."""
    identity = record.get("identity", {})
    if not identity.get("kind"):
        return ["it has no identity"]
    version = record.get("schema_version")
    pairs: list[tuple[str, object, object]] = [
        ("the schema's version", version, version if version in READABLE else SCHEMA_VERSION)
    ]
    pairs += _of_table(record) if identity.get("table") else _of_model(record)
    return [f"{what} is {_brief(said)}, and by its identity {_brief(due)}" for what, said, due in pairs if said != due]


def _of_table(record: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """(what, as it is said, as it is due) of a run that was made from a table of scores."""
    identity, given = record["identity"], record.get("inputs", {}).get("scores")
    yield "kind", record["kind"], identity["kind"]
    yield "the table", given.get("digest") if isinstance(given, dict) else None, identity["table"]
    yield "the pictures' sets", [*identity.get("pictures", {})], []


def _of_model(record: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """The same of a run that asked a model."""
    identity, choices = record["identity"], record.get("choices", {})
    attacks, controls = identity.get("attacks", []), identity.get("controls", [])
    inputs = {name: given for name, given in record.get("inputs", {}).items() if isinstance(given, dict)}
    yield "kind", record["kind"], identity["kind"]
    yield "the model", record.get("model", {}).get("digest"), identity.get("model")
    yield "the attacks", choices.get("attacks", attacks), attacks or None
    yield "the device", str(choices.get("device", identity.get("device"))).partition(":")[0], identity.get("device")
    for name, usual in (("precision", "float32"), ("compiled", False), ("lead", "first")):
        yield name, choices.get(name, usual), identity.get(name, usual)
    yield "the controls", [*record.get("controls", {})], controls
    groups = (record.get("sweep") or {}).get("groups", [])
    yield "the sweep", [group["title"] for group in groups], identity.get("sweep", [])
    yield "the pictures", {name: given.get("digest") for name, given in inputs.items()}, identity.get("pictures")
    if {*identity.get("pictures", {})} not in SETS.get(identity["kind"], ()):
        yield "the sets", sorted(identity.get("pictures", {})), f"those of kind {identity['kind']}"
    for name in ("labels", "costs"):
        if name in record:
            told = record[name]
            yield name, [*told] if name == "labels" else [one["attack"] for one in told], [*attacks, *controls]
    studied = Counter(one["repr"] for one in record.get("study") or [])
    yield "what is studied", [*(studied - Counter({*attacks}))], []
    varied = {one["repr"] for group in groups for one in group["settings"]}
    yield "what is varied", sorted(varied - {*attacks}), []
    yield from _of_rendering(record)


def _of_rendering(record: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """How the pictures were read: as was said, as was found, or as is usual."""
    told = record.get("rendering")
    if not told:
        return
    asked = Rendering(**record["identity"].get("rendering", {}))
    for name, due in asdict(asked.settled).items():
        answer = told.get("asked", {}).get(name) or {}
        yield name, told[name], answer.get("chosen") or due


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
