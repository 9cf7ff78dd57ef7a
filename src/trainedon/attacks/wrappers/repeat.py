"""Another attack, several times with noise of its own each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper, variants
from trainedon.errors import UserError

MOST = 10_000


@register
@dataclass(frozen=True)
class Repeat(Wrapper):
    """Mean score over `n` seeds, counted up from the attack's own. Refused for an attack that draws no noise.

    n: how many seeds; each costs the attack once more.
    """

    attack: Attack
    n: int = 4

    name: ClassVar[str] = "repeat"
    title: ClassVar[str] = "Mean over repetitions"
    paper: ClassVar[str] = "averaging over noise"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UserError(f"{self.name}: n must be 1 or more")
        if self.n > MOST:
            raise UserError(f"{self.name}: n is at most {MOST:,}")
        self.runs()

    def runs(self) -> list[Attack]:
        first = getattr(self.attack, "seed", 0)
        return variants(self.attack, "seed", range(first, first + self.n), self.name)
