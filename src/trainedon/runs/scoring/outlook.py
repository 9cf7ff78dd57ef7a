"""How long a run will go on, said once its first batch is done: before hours are spent, not after."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from trainedon.attacks import Attack, Cost
from trainedon.runs.scoring.painting import is_spared, painted, painting_cost, showing
from trainedon.targets import Evaluations, Target

log = logging.getLogger("trainedon")
SHORT = 60.0  # seconds of which nothing needs to be said


@dataclass
class Outlook:
    """said: whether it was said already."""

    target: Target
    attacks: Sequence[Attack]
    said: bool = False

    def tell(self, done: Sequence[int], sizes: Sequence[int], number: int, pictures: int, spent: Evaluations) -> None:
        """After the first batch. done: how many pictures each attack had scored before it. sizes: of the sets. number:
        of the attack that has scored so many `pictures` now. spent: what that took; `spared` are its seconds. Of a
        short run nothing is said."""
        passes = _weighed(Cost(spent.forward, spent.backward))
        if self.said or not done or passes == 0:
            return
        self.said = True
        costs = [Cost(0) if is_spared(one) else one.cost(self.target) for one in self.attacks]
        left = [sum(sizes) - count - pictures * (i == number) for i, count in enumerate(done)]
        due = sum(_weighed(cost) * n for cost, n in zip(costs, left, strict=True)) + self._painting(sizes)
        pace = spent.spared / passes
        if due * pace > SHORT:
            log.info("about %s to go, at the pace of the first batch (%.2g s a pass)", lasting(due * pace), pace)

    def _painting(self, sizes: Sequence[int]) -> int:
        """Passes for the pictures that the page shows, a shard being of 64 pictures."""
        number = showing(self.attacks)
        if number is None:
            return 0
        return painted(sizes, 64) * _weighed(painting_cost(self.target, self.attacks[number]))


def _weighed(cost: Cost) -> int:
    """In forward passes; one back takes about as long as two."""
    return cost.forward + 2 * cost.backward


def lasting(seconds: float) -> str:
    """In the unit that suits."""
    if seconds < 2 * 3600:
        return f"{max(1, round(seconds / 60))} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 72 * 3600 else f"{seconds / 86400:.1f} days"
