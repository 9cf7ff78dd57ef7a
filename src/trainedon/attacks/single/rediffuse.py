"""ReDiffuse: noised and denoised again several times, members come back to themselves (arXiv 2405.20771)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch

from trainedon.attacks.core.answers import Cost, Reported
from trainedon.attacks.core.compared import Compared, Pairs
from trainedon.attacks.core.registry import register
from trainedon.attacks.single.secmi import move
from trainedon.compare.pixelwise import ssim_map
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.precise import double
from trainedon.targets import Service, Target

METRICS = ("l2", "ssim")


@register
@dataclass(frozen=True)
class ReDiffuse(Compared):
    """Minus the distance of the picture to the mean of its `n` variations (Algorithm 1).

    A variation: the picture noised to step t, then deterministic DDIM steps t, t - k, ..., 0. t: timestep to which it
    is noised, of the usual DDPM path; on another path the one with the nearest signal-to-noise ratio. k: how many
    timesteps one step of the way back takes. metric: l2 (sum of squared differences) or ssim (minus structural
    similarity). A service that varies pictures is enough for this attack (`targets.Service`). n: how many variations
    are averaged.
    """

    t: int = 200
    k: int = 100
    n: int = 10
    metric: str = "l2"
    seed: int = 0

    name: ClassVar[str] = "rediffuse"
    title: ClassVar[str] = "Mean of variations"
    in_pixels: ClassVar[bool] = True
    black_box: ClassVar[bool] = True
    paper: ClassVar[str] = "arXiv 2405.20771"
    reported: ClassVar[tuple[Reported, ...]] = (Reported("cifar10", auc=0.96),)

    def __post_init__(self) -> None:
        if not 0 < self.k <= self.t < 1000 or self.t % self.k or self.n < 1:
            raise UserError(f"{self.name}: t must lie in 1..999 and be a multiple of k, n must be 1 or more")
        if self.metric not in METRICS:
            raise UserError(f"{self.name}: metric {self.metric!r} is not known: choose one of {', '.join(METRICS)}")

    def cost(self, target: Target) -> Cost:
        return Cost(self.n * self.t // self.k if target.predicts else self.n)

    def rows(self) -> int:
        return self.n

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        each, draws = repeated(batch, self.n), [*range(self.n)] * len(batch)
        if isinstance(target, Service):
            captions = [caption or "" for caption in each.captions or [""] * len(each)]
            made = target.varied(each.pixels, self.t, each.sha256, [(self.seed, draw) for draw in draws], captions)
        else:
            x0 = target.encode(batch.pixels).repeat_interleave(self.n, dim=0)
            made = target.decode(self._denoised(target, each, x0, draws))
        return [(batch.pixels, made.unflatten(0, (len(batch), self.n)).mean(1))]

    def _denoised(self, target: Target, each: Batch, x0: torch.Tensor, draws: list[int]) -> torch.Tensor:
        """A variation of each x0, latents or pixels (m, c, h, w)."""
        grid = [target.path.like_ddpm(t) for t in range(self.t, -1, -self.k)]
        noise = NoiseStream(each.sha256, draws, target.shape, seed=self.seed, device=target.device)
        x = target.noised(x0, grid[0], noise.next())
        for t, s in pairwise(grid):
            x = move(target, each, x, t, s)
        return x

    def distance(self, pairs: Pairs) -> torch.Tensor:
        ((x, mean),) = pairs
        if self.metric == "l2":
            return -double((x - mean).square()).flatten(1).sum(1)
        return ssim_map((double(x) + 1) / 2, (double(mean) + 1) / 2).flatten(1).mean(1)


def repeated(batch: Batch, n: int) -> Batch:
    """Each picture n times, side by side."""
    return batch.take([i for i in range(len(batch)) for _ in range(n)])
