"""Another attack at several timesteps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainedon.attacks.attack import Attack, Cost, Judged, Progress, silent
from trainedon.attacks.registry import register
from trainedon.attacks.wrapper import Wrapper, variants
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class Timesteps(Wrapper):
    """Mean score over the timesteps `t`, joined by `+` on the command line. Refused for an attack without one."""

    attack: Attack
    t: tuple[int, ...] | str = "50+100+200+300"

    name: ClassVar[str] = "timesteps"
    title: ClassVar[str] = "Mean over timesteps"
    paper: ClassVar[str] = "averaging over timesteps"

    def __post_init__(self) -> None:
        if isinstance(self.t, str):
            try:
                object.__setattr__(self, "t", tuple(int(t) for t in self.t.split("+")))
            except ValueError:
                raise UserError(f"timesteps: t={self.t!r}: give whole numbers joined by +, such as 100+200") from None
        self._runs()

    def cost(self, target: Target) -> Cost:
        costs = [attack.cost(target) for attack in self._runs()]
        return Cost(*(sum(getattr(cost, part) for cost in costs) for part in ("forward", "backward", "setup")))

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        for attack in self._runs():
            attack.prepare(target, progress)

    def _score(self, target: Target, batch: Batch) -> Judged:
        return Judged(np.mean([attack.observe(target, batch).scores for attack in self._runs()], axis=0))

    def _runs(self) -> list[Attack]:
        return variants(self.attack, "t", self.t, self.name)
