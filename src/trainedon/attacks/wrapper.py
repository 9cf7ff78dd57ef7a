"""What attacks that are made of another one have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import ClassVar

import numpy as np

from trainedon.attacks.attack import Attack, Cost, Progress, silent
from trainedon.errors import UserError
from trainedon.targets import Target


class Wrapper(Attack):
    """An attack around one other, its field `attack`: it needs what that one needs, and its own."""

    attack: Attack
    also_needs: ClassVar[tuple[str, ...]] = ()

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*self.attack.needs, *self.also_needs)

    @property
    def unscored(self) -> str:  # type: ignore[override]
        return self.attack.unscored

    def missing(self, given: Sequence[str] = ()) -> list[str]:
        own = [need for need in self.also_needs if need not in given and getattr(self, need, None) is None]
        return self.attack.missing(given) + own

    def check(self, target: Target) -> None:
        super().check(target)
        self.attack.check(target)

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        self.attack.prepare(target, progress)

    def rows(self) -> int:
        return self.attack.rows()

    def cost(self, target: Target) -> Cost:
        return self.attack.cost(target)

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        return self.attack.conclude(observed, sets, sha256)


def times(cost: Cost, n: int) -> Cost:
    """What n passes over the same picture cost."""
    return replace(cost, forward=n * cost.forward, backward=n * cost.backward)


def variants(attack: Attack, parameter: str, values: Iterable[object], wrapper: str) -> list[Attack]:
    """The attack with each of the values. Raises UserError when it has no such parameter."""
    if parameter not in {field.name for field in fields(attack)}:  # type: ignore[arg-type]
        raise UserError(f"{wrapper}: {attack.name} has no parameter {parameter}")
    return [replace(attack, **{parameter: value}) for value in values]  # type: ignore[type-var]
