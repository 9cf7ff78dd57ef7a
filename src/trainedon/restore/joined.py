"""Restorers that need no gradient: at every step the kept part is put in, and the model paints around it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch

from trainedon.noise import NoiseStream
from trainedon.restore.restorer import MOST, Masked, Restorer
from trainedon.restore.walk import forward_step, fresh, jumps, noised, reverse_step, timesteps
from trainedon.spec import register
from trainedon.targets import Denoised, Target


@register
@dataclass(frozen=True)
class Naive(Restorer):
    """The start that the paper argues against: noise the degraded picture and denoise it, freely."""

    name: ClassVar[str] = "naive"

    def restore(
        self, target: Target, masked: Masked, noise: NoiseStream, *, steps: int, start: float = 1.0
    ) -> torch.Tensor:
        grid = timesteps(target.timesteps, steps, start)
        x = target.noised(masked.degraded, grid[0], noise.next())
        for t, s in pairwise(grid):
            denoised = target.denoise(x, t, masked.condition)
            x = reverse_step(target, denoised, t, s, eta=self.eta, noise=fresh(noise, s, self.eta))
        return masked.paste(masked.original, target.bounded(x))

    def evaluations(self, steps: int) -> tuple[int, int]:
        return steps, 0


@dataclass(frozen=True)
class Resampled(Restorer):
    """With `resamplings` above 1 the walk goes back up by `jump` steps and down again (RePaint, arXiv 2201.09865; the
    time travel of DDNM, arXiv 2212.00490), so that the hidden part can make up its mind about the kept one."""

    resamplings: int = 1
    jump: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (1 <= self.resamplings <= MOST and 1 <= self.jump <= MOST):
            self._refuse(f"resamplings and jump must be 1 or more, and at most {MOST:,}")

    def restore(
        self, target: Target, masked: Masked, noise: NoiseStream, *, steps: int, start: float = 1.0
    ) -> torch.Tensor:
        grid = timesteps(target.timesteps, steps, start)
        x = target.noised(masked.given(), grid[0], noise.next())
        for i, j in jumps(steps, self.jump, self.resamplings):
            t, s = grid[i], grid[j]
            if j < i:
                x = forward_step(target, x, t, s, noise.next())
            else:
                x = self._down(target, masked, target.denoise(x, t, masked.condition), x, t, s, noise)
        return masked.paste(masked.original, target.bounded(x))

    @abstractmethod
    def _down(
        self, target: Target, masked: Masked, denoised: Denoised, x: torch.Tensor, t: int, s: int, noise: NoiseStream
    ) -> torch.Tensor:
        """x_s given x_t and what the network says of it."""

    def evaluations(self, steps: int) -> tuple[int, int]:
        return sum(j > i for i, j in jumps(steps, self.jump, self.resamplings)), 0


@register
@dataclass(frozen=True)
class Join(Resampled):
    """The paper's restoration (arXiv 2403.08487, eq. 4): at every step the kept pixels are noised from the original,
    the hidden ones come from the model, and the two are joined."""

    name: ClassVar[str] = "join"

    def _down(
        self, target: Target, masked: Masked, denoised: Denoised, x: torch.Tensor, t: int, s: int, noise: NoiseStream
    ) -> torch.Tensor:
        painted = reverse_step(target, denoised, t, s, eta=self.eta, noise=fresh(noise, s, self.eta))
        return masked.paste(noised(target, masked.original, s, noise), painted)


@register
@dataclass(frozen=True)
class DDNM(Resampled):
    """Null-space projection (Wang et al., arXiv 2212.00490, Algorithm 1): in the guess of the clean picture the kept
    part is replaced by the original, and the reverse step goes on from there. The kept part is noised along one
    coherent path, where `join` draws its noise anew at every step."""

    name: ClassVar[str] = "ddnm"

    def _down(
        self, target: Target, masked: Masked, denoised: Denoised, x: torch.Tensor, t: int, s: int, noise: NoiseStream
    ) -> torch.Tensor:
        known = projected(target, masked, denoised, x, t)
        return reverse_step(target, known, t, s, eta=self.eta, noise=fresh(noise, s, self.eta))


def projected(target: Target, masked: Masked, denoised: Denoised, x: torch.Tensor, t: int) -> Denoised:
    """`A^+ y + (I - A^+ A) x0hat`, and the noise that then explains x_t where the picture was kept: with it the reverse
    step is the posterior q(x_s | x_t, x0) of the paper's eq. 7, on any path. Hidden pixels keep the network's noise,
    also those whose guess a mosaic's tiles moved."""
    alpha_t, sigma_t = target.path.at(t, x)
    return Denoised(
        noise=masked.paste((x - alpha_t * masked.original) / sigma_t, denoised.noise),
        clean=masked.known(denoised.clean),
    )
