"""Conditional reverse diffusion: the model paints the hidden part from its own prior, the kept part is given.

All restorers share one signature. `hidden` is True where the model paints; `degraded` is what it may see there; the
kept pixels come back exactly as they are in `original`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from itertools import pairwise

import torch

from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.restore.walk import forward_step, jumps, reverse_step, timesteps
from trainedon.targets import Denoised, Target


@dataclass(frozen=True)
class Masked:
    """A batch to restore. original, degraded: float32 (n, c, h, w) in [-1, 1]; hidden: bool (n, h, w);
    labels: int64 (n,) for class-conditional models."""

    original: torch.Tensor
    degraded: torch.Tensor
    hidden: torch.Tensor
    labels: torch.Tensor | None = None

    def paste(self, kept: torch.Tensor, painted: torch.Tensor) -> torch.Tensor:
        """`kept` where the picture was kept, `painted` where it was hidden (eq. 4 of arXiv 2403.08487)."""
        return torch.where(self.hidden[:, None], painted, kept)


@dataclass(frozen=True)
class Restorer(ABC):
    """eta: share of fresh noise in each step, 0 deterministic, 1 the model's posterior."""

    eta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise UserError(f"restorer: eta must lie between 0 and 1, not {self.eta:g}")

    @abstractmethod
    def restore(
        self, target: Target, masked: Masked, noise: NoiseStream, *, steps: int, start: float = 1.0
    ) -> torch.Tensor:
        """Restored pictures, float32 (n, c, h, w) in [-1, 1]. start: share of the noise path that is walked."""

    @abstractmethod
    def evaluations(self, steps: int) -> tuple[int, int]:
        """Network passes for one restoration: (forward, backward)."""


@dataclass(frozen=True)
class Naive(Restorer):
    """The start that the paper argues against: noise the degraded picture and denoise it, freely."""

    def restore(self, target, masked, noise, *, steps, start=1.0):
        grid = timesteps(target.timesteps, steps, start)
        x = target.noised(masked.degraded, grid[0], noise.next())
        for t, s in pairwise(grid):
            x = reverse_step(target, target.denoise(x, t, masked.labels), t, s, eta=self.eta, noise=noise.next())
        return masked.paste(masked.original, x.clamp(-1, 1))

    def evaluations(self, steps):
        return steps, 0


@dataclass(frozen=True)
class Join(Restorer):
    """The paper's restoration (arXiv 2403.08487, eq. 4): at every step the kept pixels are noised from the original,
    the hidden ones come from the model, and the two are joined.

    With `resamplings` above 1 the walk goes back up by `jump` steps and down again (RePaint, arXiv 2201.09865).
    """

    resamplings: int = 1
    jump: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resamplings < 1 or self.jump < 1:
            raise UserError("join: resamplings and jump must be 1 or more")

    def restore(self, target, masked, noise, *, steps, start=1.0):
        grid = timesteps(target.timesteps, steps, start)
        x = begin(target, masked, grid[0], noise)
        for i, j in jumps(steps, self.jump, self.resamplings):
            t, s = grid[i], grid[j]
            if j < i:
                x = forward_step(target, x, t, s, noise.next())
                continue
            painted = reverse_step(target, target.denoise(x, t, masked.labels), t, s, eta=self.eta, noise=noise.next())
            x = masked.paste(target.noised(masked.original, s, noise.next()), painted)
        return masked.paste(masked.original, x.clamp(-1, 1))

    def evaluations(self, steps):
        return sum(j > i for i, j in jumps(steps, self.jump, self.resamplings)), 0


@dataclass(frozen=True)
class Guided(Restorer):
    """Eq. 4 with reconstruction guidance (Ho et al., arXiv 2204.03458; DPS, arXiv 2209.14687; Pi-GDM, ICLR 2023).

    Joining alone tells the hidden part about the kept part only through the network's own mixing. Here each step also
    climbs the gradient of the agreement between the kept pixels and the model's guess of the clean picture, so that the
    whole chain is pulled to a picture that fits what is kept; a memorised picture is then recalled whole.
    """

    scale: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.scale < math.inf:
            raise UserError(f"guided: scale must be a number from 0 up, not {self.scale:g}")

    def restore(self, target, masked, noise, *, steps, start=1.0):
        grid = timesteps(target.timesteps, steps, start)
        x = begin(target, masked, grid[0], noise)
        for t, s in pairwise(grid):
            denoised, pull = self._agreement(target, masked, x, t)
            alpha_t, _ = target.path.at(t, x)
            pulled = (denoised.clean + self.scale * alpha_t * pull).clamp(-1, 1)
            painted = reverse_step(target, Denoised(denoised.noise, pulled), t, s, eta=self.eta, noise=noise.next())
            x = masked.paste(target.noised(masked.original, s, noise.next()), painted)
        return masked.paste(masked.original, x.clamp(-1, 1))

    def _agreement(self, target: Target, masked: Masked, x: torch.Tensor, t: int) -> tuple[Denoised, torch.Tensor]:
        """The network's answer, and minus half the gradient in x of the kept pixels' squared error."""
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            denoised = target.denoise(x, t, masked.labels)
            error = masked.paste(masked.original - denoised.clean, torch.zeros_like(x)).detach()
            (pull,) = torch.autograd.grad((error * denoised.clean).sum(), x)
        target.evaluations.backward += len(x)
        return Denoised(denoised.noise.detach(), denoised.clean.detach()), pull

    def evaluations(self, steps):
        return steps, steps


def begin(target: Target, masked: Masked, t: int, noise: NoiseStream) -> torch.Tensor:
    """The picture as far as it is given, noised to timestep t."""
    given = masked.paste(masked.original, masked.degraded)
    return target.noised(given, t, noise.next())


RESTORERS: dict[str, type[Restorer]] = {"naive": Naive, "join": Join, "guided": Guided}


def parse_restorer(text: str) -> Restorer:
    """`guided`, `join`, `naive`, with parameters after a colon: `guided:scale=3,eta=1`, `join:resamplings=5`."""
    name, _, rest = text.partition(":")
    if name not in RESTORERS:
        raise UserError(f"unknown restorer {name!r}: choose one of {', '.join(RESTORERS)}")
    kinds = {field.name: field.type for field in fields(RESTORERS[name])}
    arguments: dict[str, float | int] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in kinds:
            raise UserError(f"restorer {name} has no parameter {key!r}: it has {', '.join(kinds)}")
        number, called = (int, "whole number") if kinds[key] == "int" else (float, "number")
        try:
            arguments[key] = number(value)
        except ValueError:
            raise UserError(f"restorer {name}: {key}={value!r} is not a {called}") from None
    return RESTORERS[name](**arguments)
