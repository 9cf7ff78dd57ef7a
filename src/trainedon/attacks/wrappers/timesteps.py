"""Another attack at several timesteps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper, variants
from trainedon.errors import UserError


@register
@dataclass(frozen=True)
class Timesteps(Wrapper):
    """Mean score over the timesteps `t`, joined by `+` on the command line. Refused for an attack without one.

    t: timesteps of the usual DDPM path, such as 50+100+200.
    """

    attack: Attack
    t: tuple[int, ...] = (50, 100, 200, 300)

    name: ClassVar[str] = "timesteps"
    title: ClassVar[str] = "Mean over timesteps"
    paper: ClassVar[str] = "averaging over timesteps"

    def __post_init__(self) -> None:
        if not self.t:
            raise UserError(f"{self.name}: name one t at least, or several joined by +")
        self.runs()

    def runs(self) -> list[Attack]:
        return variants(self.attack, "t", self.t, self.name)
