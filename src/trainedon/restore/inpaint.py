"""A restorer that leaves it to the network: one that was trained to paint what is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch

from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.restore.restorer import Masked, Restorer
from trainedon.restore.walk import fresh, reverse_step, timesteps
from trainedon.spec import register
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class Inpaint(Restorer):
    """The audited model's own way, where it is an inpainting network (arXiv 2112.10752, sec. 4.5): at every step it is
    told which part is hidden, and what the kept part looks like."""

    name: ClassVar[str] = "inpaint"

    def check(self, target: Target) -> None:
        if not target.inpaints:
            raise UserError("inpaint: the model is no inpainting network, which takes a mask: choose another restorer")

    def restore(
        self, target: Target, masked: Masked, noise: NoiseStream, *, steps: int, start: float = 1.0
    ) -> torch.Tensor:
        grid = timesteps(target.timesteps, steps, start)
        given = torch.cat([masked.hidden[:, None].to(masked.original), masked.original], dim=1)
        x = target.noised(masked.degraded, grid[0], noise.next())
        for t, s in pairwise(grid):
            denoised = target.denoise(x, t, masked.condition, given)
            x = reverse_step(target, denoised, t, s, eta=self.eta, noise=fresh(noise, s, self.eta))
        return masked.paste(masked.original, target.bounded(x))

    def evaluations(self, steps: int) -> tuple[int, int]:
        return steps, 0
