"""SecMI: how far one deterministic step up the noise path and back leads astray (Duan et al., arXiv 2302.01316)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch

from trainedon.attacks.core.answers import Cost, Reported
from trainedon.attacks.core.compared import Compared, Pairs
from trainedon.attacks.core.registry import register
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.precise import double
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class SecMI(Compared):
    """Minus the t-error `sum (x - x')^2` (eq. 9; the statistic of sec. 4.3).

    x: the picture after deterministic DDIM steps 0, k, ..., t - k. x': after one more step to t, and back. The picture
    itself is taken to lie at step 0.

    t: timestep from which the last move goes back, of the usual DDPM path; on another path the one with the nearest
    signal-to-noise ratio. k: how many timesteps one move takes; it divides t.

    Where two neighbours are one step there, the move between them leads nowhere; a path on which t - k
    and t are one is refused, as every error would be zero. No noise is drawn.
    """

    t: int = 100
    k: int = 10

    name: ClassVar[str] = "secmi"
    title: ClassVar[str] = "Step-wise error comparison"
    paper: ClassVar[str] = "arXiv 2302.01316"
    reported: ClassVar[tuple[Reported, ...]] = (Reported("cifar10", auc=0.881, asr=0.811, tpr_1=0.091),)

    def __post_init__(self) -> None:
        if not 0 < self.k <= self.t < 1000 or self.t % self.k:
            raise UserError(f"{self.name}: t must lie in 1..999 and be a multiple of k")

    def cost(self, target: Target) -> Cost:
        return Cost(self.t // self.k + 1)

    def check(self, target: Target) -> None:
        super().check(target)
        if len(set(self._grid(target)[-2:])) < 2:
            raise UserError(
                f"{self.name}: t = {self.t - self.k} and {self.t} are one step of this model's path: take a larger k"
            )

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        grid = self._grid(target)
        x = target.encode(batch.pixels)
        for s, t in pairwise(grid[:-1]):
            x = move(target, batch, x, s, t)
        up = move(target, batch, x, grid[-2], grid[-1])
        return [(x, move(target, batch, up, grid[-1], grid[-2]))]

    def distance(self, pairs: Pairs) -> torch.Tensor:
        ((x, back),) = pairs
        return -double((x - back).square()).flatten(1).sum(1)

    def _grid(self, target: Target) -> list[int]:
        """The model's timesteps for 0, k, ..., t."""
        return [target.path.like_ddpm(t) for t in range(0, self.t + 1, self.k)]


def move(target: Target, batch: Batch, x: torch.Tensor, t: int, s: int) -> torch.Tensor:
    """The deterministic DDIM step from t to s, up or down (arXiv 2010.02502, eq. 12): x_s float32 (n, c, h, w)."""
    said = target.denoise(x, t, batch.condition)
    return target.noised(said.clean, s, said.noise)
