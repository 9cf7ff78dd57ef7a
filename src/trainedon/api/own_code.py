"""`my_module:make_target`: a model that the auditor's own code opens. Nothing but a MODEL argument is ever taken so."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from trainedon.errors import UserError, meant
from trainedon.files import file_digest

if TYPE_CHECKING:
    from trainedon.api.options import Machine
    from trainedon.targets import Identity, Target

CALLABLE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
FIXED = ("precision", "compile", "adapter", "base", "size", "offload", "slicing")


def names_callable(model: object) -> bool:
    """Whether a model is given as `module:callable`; what is there as a file or folder of that name is none."""
    return isinstance(model, str) and bool(CALLABLE.fullmatch(model)) and not Path(model).exists()


def made(model: str, machine: Machine) -> Target:
    """The target that `module:callable` returns, called with nothing. The module is found from the current folder, as
    `python -m` would find it.

    Raises UserError where there is no such module or callable, where its code fails, with the line, where it returns
    something else, and for options that are its own to choose.
    """
    from trainedon.targets import Target

    module_name, name = model.split(":")
    module = _module(module_name)
    target = _called(_callable(module, name), model)
    if not isinstance(target, Target):
        raise UserError(f"{model} returned {_shown(target)}: let it return a trainedon.Target, such as Target.of makes")
    _set(target, machine, model)
    _record(target, module, model)
    return target


def _module(name: str) -> ModuleType:
    from trainedon.targets.core.blame import hers

    here = str(Path.cwd())
    if name.endswith(".py") and Path(name).is_file():
        raise UserError(f"{name} is a file: name its module without .py, as in {name[:-3]}:make_target")
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        with hers(f"{name} cannot be imported"):
            return importlib.import_module(name)
    except UserError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and (cause.name == name or f"{name}.".startswith(f"{cause.name}.")):
            place = Path(here, *name.split(".")).with_suffix(".py")
            raise UserError(f"there is no module {name}: {place} does not exist, and no such package") from None
        raise


def _callable(module: ModuleType, name: str) -> Callable[[], object]:
    found = getattr(module, name, None)
    if found is None:
        ours = [one for one, what in vars(module).items() if callable(what) and not one.startswith("_")]
        raise UserError(f"{module.__name__} has no {name}{meant(name, ours)}: name a function that returns a Target")
    if not callable(found):
        raise UserError(
            f"{module.__name__}:{name} is {_shown(found)} and cannot be called: name a function that returns a Target"
        )
    return found  # type: ignore[no-any-return]  # of which only its call will tell


def _called(make: Callable[[], object], model: str) -> object:
    from inspect import Parameter, signature

    from trainedon.targets.core.blame import hers

    try:
        needed = [
            one.name
            for one in signature(make).parameters.values()
            if one.default is Parameter.empty and one.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        ]
    except (TypeError, ValueError):  # of a callable that does not tell
        needed = []
    if needed:
        raise UserError(f"{model} is called with nothing, and it needs {', '.join(needed)}: give these a default")
    with hers(f"{model} failed"):
        return make()


def _set(target: Target, machine: Machine, model: str) -> None:
    """What of `machine` can still be chosen. Raises UserError for the rest."""
    from trainedon.api.options import MACHINE

    for option in FIXED:
        if getattr(machine, option) != getattr(MACHINE, option):
            raise UserError(f"--{option.replace('_', '-')}: {model} opens the model itself; choose that in its code")
    if machine.device != "auto" and machine.device not in (str(target.device), target.device.type):
        raise UserError(
            f"--device {machine.device}: {model} opened the model on {target.device}; choose that in its code"
        )
    if machine.batch_size is not None:
        target.batching.rows = machine.batch_size


def _record(target: Target, module: ModuleType, model: str) -> None:
    """What the run says of where the target came from."""
    from trainedon.targets.core.identity import OwnCode

    file = getattr(module, "__file__", None)
    code = file_digest(Path(file)) if file and Path(file).is_file() else None
    identity = noted(target)
    own = replace(identity.own_code or OwnCode(), source=model, code=code)
    target.identity = replace(identity, own_code=own)


def noted(target: Target) -> Identity:
    """What a run records of a target that was made before. Of a class that is not of this package, the digest is what
    its author says, and nothing that was reckoned here."""
    from trainedon.targets.core.identity import OwnCode

    if type(target).__module__.partition(".")[0] == "trainedon":
        return target.identity
    own = replace(target.identity.own_code or OwnCode(), hashed=False)
    return replace(target.identity, own_code=own)


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"
