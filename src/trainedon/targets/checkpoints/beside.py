"""What lies in a checkpoint beside the tensors of its networks: what is kept as values, and what is named as left."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainedon.targets.checkpoints.stand_ins import Left, Scalar

# What trainings keep beside the network, and a reader has no use for. Whole words: `optics` may be a network.
_ASIDE = re.compile(
    r"(opt|optim\w*|scaler|(lr_?)?sched(ul(e|er|ers))?|(cuda_)?rng|callbacks?|loops?)s?(\d|[_./]|$)", re.IGNORECASE
)
LONGEST = 200  # characters of a text that is kept
MOST_VALUES = 10_000  # in one list or dictionary of them: 1000 betas, say
MOST_NAMES = 200


@dataclass
class Rest:
    """What was met and is no tensor. classes: what was not opened. dropped: where something lay that nothing holds."""

    classes: set[str] = field(default_factory=set)
    dropped: dict[str, None] = field(default_factory=dict)

    def drop(self, name: str) -> None:
        if len(self.dropped) < MOST_NAMES:
            self.dropped[_text(name)[:LONGEST]] = None
        else:
            self.dropped["and more"] = None


def is_aside(name: str) -> bool:
    """Whether a key is one that is not taken unless it is asked for."""
    return bool(_ASIDE.match(name))


def is_value(value: Any) -> bool:
    """Whether it is kept as it is: a number, a short text or nothing, or a list or dictionary of not too many such."""
    return _count(value) <= MOST_VALUES


def _count(value: Any) -> float:
    """How many numbers and texts it holds; infinite where it holds anything else."""
    if isinstance(value, Scalar):
        value = value.number()
        return math.inf if value is None else 1
    if isinstance(value, Left):
        return math.inf
    if value is None or isinstance(value, bool | int | float | str):
        return 1 if len(str(value)) <= LONGEST else math.inf
    if isinstance(value, Mapping):
        names = [str(key) for key in value]
        if len({*names}) < len(names) or any(len(name) > LONGEST for name in names):
            return math.inf
        parts = [*value.values()]
    elif isinstance(value, list | tuple):
        parts = [*value]
    else:
        return math.inf
    found: float = 1
    for part in parts:
        found += _count(part)
        if found > MOST_VALUES:
            return math.inf
    return found


def written(value: Any) -> Any:
    """A value as JSON can hold it: keys as texts, and numbers that JSON has not as texts."""
    if isinstance(value, Scalar):
        value = value.number()
    if isinstance(value, Mapping):
        return {_text(str(key)): written(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [written(part) for part in value]
    if isinstance(value, str):
        return _text(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()
