"""How long a run will go on, said once its first batch is done: before hours are spent, not after."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from trainedon.attacks import Attack
from trainedon.targets import Evaluations, Target

log = logging.getLogger("trainedon")
SHORT = 60.0  # seconds of which nothing needs to be said


@dataclass
class Outlook:
    """said: whether it was said already."""

    target: Target
    attacks: Sequence[Attack]
    said: bool = False

    def tell(self, done: Sequence[int], total: int, number: int, pictures: int, spent: Evaluations) -> None:
        """After the first batch. done: how many pictures each attack had scored before it, of `total`. number: of the
        attack that has scored so many `pictures` now. spent: what that took; `spared` are its seconds."""
        passes = spent.forward + 2 * spent.backward
        if self.said or not done or passes == 0:
            return
        self.said = True
        costs = [one.cost(self.target) for one in self.attacks]
        left = [total - count - pictures * (i == number) for i, count in enumerate(done)]
        due = sum((cost.forward + 2 * cost.backward) * n for cost, n in zip(costs, left, strict=True))
        pace = spent.spared / passes
        seconds = due * pace
        if seconds > SHORT:
            log.info("about %s to go, at the pace of the first batch (%.2g s a pass)", lasting(seconds), pace)


def lasting(seconds: float) -> str:
    """In the unit that suits."""
    if seconds < 2 * 3600:
        return f"{max(1, round(seconds / 60))} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 72 * 3600 else f"{seconds / 86400:.1f} days"
