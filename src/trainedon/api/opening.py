"""The model and the engine that a `Machine` stands for."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainedon.api.options import Machine
from trainedon.api.own_code import made, names_callable, noted
from trainedon.checks import device_of, precision_of
from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.runs.scoring.engine import Engine
    from trainedon.targets import Target

log = logging.getLogger("trainedon")


def opened(model: str | Path | Target, machine: Machine, out: str | None = None) -> Target:
    """The model, for the run folder `out` if any: with no device or precision named, a run goes on in that in which it
    was begun.

    Raises UserError as `load_target` and `own_code.made`, and for options about a model that is loaded already.
    """
    if not isinstance(model, str | Path):
        if replace(machine, workers=None) != Machine():
            raise UserError("the model is loaded already: give load_target what it shall be loaded with, or a path")
        model.identity = noted(model)
        model.renew()
        return model
    if names_callable(model):
        return made(str(model), machine)
    from trainedon.targets import load_target

    options = _loading(machine)
    if machine.device == "auto" and out is not None:
        options["device"] = device_of(out) or "auto"
    if machine.precision == "auto" and out is not None:
        options["precision"] = precision_of(out) or "auto"
    target = load_target(model, **options)
    if machine.device == "auto":
        log.info("device: %s", target.device)
    if machine.precision == "auto" and target.precision != "float32":
        log.info("precision: %s, as the model's files are", target.precision)
    return target


def engine_of(model: str | Path | Target, machine: Machine, out: str | None = None) -> Engine | None:
    """None for this process. Raises UserError for an engine that there is not, and options of another one."""
    if machine.engine == "ray":
        if not isinstance(model, str | Path):
            raise UserError("workers open the model themselves: give its path or hub id, and no loaded one")
        if names_callable(model):
            raise UserError(
                f"workers open the model themselves, and no code runs there: {model} goes with --engine local"
            )
        from trainedon.pictures.places.stores import is_url
        from trainedon.runs.scoring.cluster import Cluster

        store = out if out and is_url(out) else None
        return Cluster(str(model), _loading(machine), machine.address, machine.workers, store)
    if machine.engine != "local":
        raise UserError(f"there is no engine {machine.engine!r}: choose local or ray")
    if machine.address:
        raise UserError("--address is of the engine ray: add --engine ray")
    if machine.workers:
        from trainedon.runs.scoring.engine import Local

        return Local(workers=machine.workers)
    return None


def _loading(machine: Machine) -> dict[str, Any]:
    """What `load_target` takes of it."""
    return {
        "device": machine.device,
        "rows": machine.batch_size,
        "precision": machine.precision,
        "compile": machine.compile,
        "adapter": tuple(machine.adapter or ()),
        "base": machine.base,
        "size": machine.size,
        "offload": machine.offload,
        "slicing": machine.slicing,
    }
