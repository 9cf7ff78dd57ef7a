"""Inputs that a stranger might send, each with what must come of it; one module for each kind of input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

_OURS = ("cases", "nursery", "test_hostile")


@dataclass(frozen=True)
class Case:
    """build: writes the input below an empty folder, and returns the arguments of the command line. says: part of the
    one line that is expected on stderr, or, where `code` is not 2, of all that the command prints."""

    build: Callable[[Path], list[str]]
    says: str
    code: int = 2


CASES: dict[str, Case] = {}


def hostile(says: str, code: int = 2, command: str = "") -> Callable[[Callable[[Path], list[str]]], Callable]:
    """Registers a function that makes an input. command: put before the arguments that it returns."""

    def register(build: Callable[[Path], list[str]]) -> Callable[[Path], list[str]]:
        def arguments(place: Path) -> list[str]:
            given = build(place)
            return given if not command or given[:1] == [command] else [command, *given]

        name = f"{build.__module__.rpartition('.')[2]}-{build.__name__}"
        assert name not in CASES, f"two cases are called {name}"
        CASES[name] = Case(arguments, says, code)
        return build

    return register


def collected() -> dict[str, Case]:
    """The cases of all modules beside this one, by `MODULE-FUNCTION`."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in _OURS:
            import_module(f"hostile.{path.stem}")
    return CASES
