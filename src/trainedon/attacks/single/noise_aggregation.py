"""Noise aggregation: predictions of one small noise at neighbouring timesteps agree for members (arXiv 2510.21783)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch

from trainedon.attacks.core.answers import Cost
from trainedon.attacks.core.compared import Compared, Pairs
from trainedon.attacks.core.registry import register
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.precise import double, mean_of
from trainedon.targets import Target

SMALLEST = 1e-12  # stands for a distance of zero, whose logarithm does not exist


@register
@dataclass(frozen=True)
class NoiseAggregation(Compared):
    """Minus the logarithm of the mean distance (L2) between `predictions` of the noise in one slightly noised picture.

    predictions: how many are compared. stride: timesteps between two of them. t: how much noise is added, once; at the
    default its sigma is 0.1. The same noised picture is then shown as if it were at step t, t + stride, t + 2 stride,
    and so on. Timesteps of the usual DDPM path; on another path those with the nearest signal-to-noise ratio.
    """

    t: int = 27
    predictions: int = 5
    stride: int = 10
    seed: int = 0

    name: ClassVar[str] = "noise-aggregation"
    title: ClassVar[str] = "Agreement of noise predictions"
    paper: ClassVar[str] = "arXiv 2510.21783"

    def __post_init__(self) -> None:
        if self.t < 0 or self.predictions < 2 or self.stride < 1 or self.last > 999:
            raise UserError(
                "noise-aggregation: predictions must be 2 or more, stride 1 or more, and all timesteps lie in 0..999"
            )

    @property
    def last(self) -> int:
        """The last timestep at which the noise is predicted."""
        return self.t + (self.predictions - 1) * self.stride

    def cost(self, target: Target) -> Cost:
        return Cost(self.predictions)

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        steps = [target.path.like_ddpm(t) for t in range(self.t, self.last + 1, self.stride)]
        eps = NoiseStream(batch.sha256, [0] * len(batch), target.shape, seed=self.seed, device=target.device).next()
        x_t = target.noised(target.encode(batch.pixels), steps[0], eps)
        return list(combinations([target.denoise(x_t, t, batch.condition).noise for t in steps], 2))

    def distance(self, pairs: Pairs) -> torch.Tensor:
        distances = [double(a - b).flatten(1).norm(dim=1) for a, b in pairs]
        return -mean_of(distances).clamp(min=SMALLEST).log()
