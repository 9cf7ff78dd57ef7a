"""Another attack, several times with noise of its own each time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from trainedon.attacks.attack import Attack, Cost, Judged, Progress, silent
from trainedon.attacks.registry import register
from trainedon.attacks.wrapper import Wrapper, times, variants
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class Repeat(Wrapper):
    """Mean score over `n` seeds, counted up from the attack's own. Refused for an attack that draws no noise."""

    attack: Attack
    n: int = 4

    name: ClassVar[str] = "repeat"
    title: ClassVar[str] = "Mean over repetitions"
    paper: ClassVar[str] = "averaging over noise"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UserError("repeat: n must be 1 or more")
        self._runs()

    def cost(self, target: Target) -> Cost:
        cost = self.attack.cost(target)
        return replace(times(cost, self.n), setup=self.n * cost.setup)

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        for attack in self._runs():
            attack.prepare(target, progress)

    def _score(self, target: Target, batch: Batch) -> Judged:
        return Judged(np.mean([attack.observe(target, batch).scores for attack in self._runs()], axis=0))

    def _runs(self) -> list[Attack]:
        first = getattr(self.attack, "seed", 0)
        return variants(self.attack, "seed", range(first, first + self.n), self.name)
