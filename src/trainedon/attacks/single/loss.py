"""The naive attack: how well the model predicts noise that was added to the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.attacks.core.answers import Cost, Reported
from trainedon.attacks.core.compared import Compared, Pairs
from trainedon.attacks.core.registry import register
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.precise import double, mean_of
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class Loss(Compared):
    """Minus the mean squared error of the predicted noise, `- mean (e(x_t, t) - eps)^2` (arXiv 2301.13188, sec. 5).

    t: timestep of the usual DDPM path; on another path the one with the nearest signal-to-noise ratio. draws: how many
    draws of the noise are averaged.
    """

    t: int = 200
    draws: int = 1
    seed: int = 0

    name: ClassVar[str] = "loss"
    repeats: ClassVar[bool] = False
    title: ClassVar[str] = "Loss threshold"
    paper: ClassVar[str] = "arXiv 2301.13188"
    reported: ClassVar[tuple[Reported, ...]] = (
        Reported("cifar10", auc=0.718, asr=0.663, note="as given in arXiv 2302.01316"),
    )

    def __post_init__(self) -> None:
        if not 0 <= self.t < 1000 or self.draws < 1:
            raise UserError(f"{self.name}: t must lie in 0..999 and draws must be 1 or more")

    def cost(self, target: Target) -> Cost:
        return Cost(self.draws)

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        t = target.path.like_ddpm(self.t)
        pairs, x0 = [], target.encode(batch.pixels)
        for draw in range(self.draws):
            noise = NoiseStream(batch.sha256, [draw] * len(batch), target.shape, seed=self.seed, device=target.device)
            eps = noise.next()  # (n, c, h, w)
            pairs.append((target.denoise(target.noised(x0, t, eps), t, batch.condition).noise, eps))
        return pairs

    def distance(self, pairs: Pairs) -> torch.Tensor:
        errors = [double((predicted - eps).square()).flatten(1).mean(1) for predicted, eps in pairs]
        return -mean_of(errors)
