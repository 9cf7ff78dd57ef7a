"""SimA: the noise that the model sees in the clean picture (arXiv 2509.25003)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.attacks.core.answers import Cost, Reported
from trainedon.attacks.core.compared import Compared, Pairs
from trainedon.attacks.core.registry import register
from trainedon.attacks.single.pia import norm
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class SimA(Compared):
    """Minus `sum |e(x0, t)|^p` with the clean, unscaled picture.

    t: timestep of the usual DDPM path; on another path the one with the nearest signal-to-noise ratio. It is fixed
    beforehand: the paper takes the best one in 10..300, which needs the labels that it is to find. No noise is drawn.
    p: the norm's power.
    """

    t: int = 100
    p: float = 4.0

    name: ClassVar[str] = "sima"
    title: ClassVar[str] = "Score of the clean picture"
    paper: ClassVar[str] = "arXiv 2509.25003"
    reported: ClassVar[tuple[Reported, ...]] = (Reported("cifar10", auc=0.905, asr=0.836),)

    def __post_init__(self) -> None:
        if not 0 <= self.t < 1000 or self.p <= 0:
            raise UserError(f"{self.name}: t must lie in 0..999 and p must be above 0")

    def cost(self, target: Target) -> Cost:
        return Cost(1)

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        seen = target.denoise(target.encode(batch.pixels), target.path.like_ddpm(self.t), batch.condition).noise
        return [(seen, torch.zeros_like(seen))]

    def distance(self, pairs: Pairs) -> torch.Tensor:
        return norm(pairs, self.p)
