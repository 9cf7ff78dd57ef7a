"""What attacks that are made of another one have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import torch

from trainedon.attacks.core.answers import Cost, Progress, Scored, silent, total
from trainedon.attacks.core.attack import Attack, Need, RelativeTo
from trainedon.attacks.core.execute import run_batch
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Target


@dataclass(frozen=True)
class Wrapper(Attack):
    """An attack around one other, its field `attack`: it needs what that one needs, and its own.

    Its score is the mean over `runs`, which is that attack alone unless a wrapper says otherwise.
    """

    attack: Attack
    also_needs: ClassVar[tuple[Need, ...]] = ()

    @property
    def needs(self) -> tuple[Need, ...]:
        return (*self.attack.needs, *self.also_needs)

    @property
    def unscored(self) -> str:
        return self.attack.unscored

    @property
    def relative_to(self) -> RelativeTo | None:
        return self.attack.relative_to

    def runs(self) -> list[Attack]:
        """The attacks that are run on each picture. Raises UserError where the one inside has not what this takes."""
        return [self.attack]

    def missing(self, given: Sequence[str] = ()) -> list[Need]:
        own = [need for need in self.also_needs if need not in given and getattr(self, need, None) is None]
        return self.attack.missing(given) + own

    def check(self, target: Target) -> None:
        super().check(target)
        for attack in self.runs():
            attack.check(target)

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        for attack in self.runs():
            attack.prepare(target, progress)

    def rows(self) -> int:
        return self.attack.rows()

    def cost(self, target: Target) -> Cost:
        return total(attack.cost(target) for attack in self.runs())

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor | Scored:
        return Scored(np.mean([run_batch(attack, target, batch).scores for attack in self.runs()], axis=0))

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        return self.attack.conclude(observed, sets, sha256)


def variants(attack: Attack, parameter: str, values: Iterable[object], wrapper: str) -> list[Attack]:
    """The attack with each of the values. Raises UserError when it has no such parameter."""
    if parameter not in {field.name for field in fields(attack)}:
        raise UserError(f"{wrapper}: {attack.name} has no parameter {parameter}")
    return [replace(attack, **{parameter: value}) for value in values]
