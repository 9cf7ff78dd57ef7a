"""A restorer that needs no gradient: several restorations side by side, of which those that fit the kept part go on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch

from trainedon.noise import NoiseStream
from trainedon.restore.joined import projected
from trainedon.restore.restorer import MOST, TINY, Masked, Restorer, energy
from trainedon.restore.walk import fresh, reverse_step, shares, timesteps
from trainedon.spec import register
from trainedon.targets import Denoised, Target


@register
@dataclass(frozen=True)
class Twisted(Restorer):
    """Particles (SMC-Diff, Trippe et al., arXiv 2206.04119, Algorithm 1; weighed by the guess of the clean picture, as
    in the twisted diffusion sampler, Wu et al., arXiv 2306.17775, but without its gradient).

    All particles of a picture share one noising of the kept part, that of `ddnm`, and paint their hidden parts apart.
    At each step they are drawn anew in proportion to how well they foretell the kept part. With many particles and
    steps the hidden part is drawn from its distribution given the kept one; with few, the walk is a search for the best
    fit. At eta 0, particles that were drawn twice stay the same.
    """

    particles: int = 4

    name: ClassVar[str] = "twisted"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.particles <= MOST:
            self._refuse(f"particles must be 1 or more, and at most {MOST:,}")

    def restore(
        self, target: Target, masked: Masked, noise: NoiseStream, *, steps: int, start: float = 1.0
    ) -> torch.Tensor:
        grid = timesteps(target.timesteps, steps, start)
        crowd = masked.repeated(self.particles)  # (n * particles, ...), a picture's particles side by side
        x = target.noised(crowd.given(), grid[0], self._noise(crowd, [noise.next() for _ in range(self.particles)]))
        for t, s in pairwise(grid):
            denoised = target.denoise(x, t, crowd.condition)
            own = [fresh(noise, s, self.eta) for _ in range(self.particles)]
            drawn = self._noise(crowd, [one for one in own if one is not None]) if own[0] is not None else None
            fit = self._fit(target, crowd, denoised.clean, t, s, drawn)
            chosen = resampled(fit.view(-1, self.particles), uniform(noise)).flatten().to(x.device)
            survivors = Denoised(denoised.noise[chosen], denoised.clean[chosen])
            known = projected(target, crowd, survivors, x, t)  # of x the kept part, which they have in common
            x = reverse_step(target, known, t, s, eta=self.eta, noise=drawn)
        return masked.paste(masked.original, target.bounded(x[:: self.particles]))

    def evaluations(self, steps: int) -> tuple[int, int]:
        return steps * self.particles, 0

    def _noise(self, crowd: Masked, each: list[torch.Tensor]) -> torch.Tensor:
        """Noise for (n * particles, c, h, w), from that of each particle (n, c, h, w): a picture's particles have the
        kept part of theirs in common."""
        own = torch.stack(each, dim=1)
        return crowd.paste(own[:, :1].expand_as(own).flatten(0, 1), own.flatten(0, 1))

    def _fit(
        self, target: Target, crowd: Masked, clean: torch.Tensor, t: int, s: int, noise: torch.Tensor | None
    ) -> torch.Tensor:
        """Logarithm of the density of the kept part of x_s under the model, up to a constant: float64 (n * particles,).

        At eta 1 it is that of `original - clean` with variance `1 / (SNR_s - SNR_t)`, from the step, plus the r_t^2 of
        Pi-GDM, as the clean picture is not known from x_t; that one matters for long steps and for the last.
        """
        alpha_t, sigma_t = target.path.at(t, clean)
        alpha_s, carried, drawn = shares(target, clean, t, s, self.eta)
        heed = alpha_s - carried * alpha_t / sigma_t  # of the guess in x_s, where x_t is given
        variance = drawn**2 + heed**2 * sigma_t**2 / (alpha_t**2 + sigma_t**2)
        missed = heed * (crowd.original - clean)
        missed = missed if noise is None else missed + drawn * noise
        surprise = crowd.paste(missed, torch.zeros_like(clean))
        return -energy(surprise) / (2 * variance.item() + TINY)


def resampled(fit: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Systematic resampling (one uniform number a picture): rows of the flattened `fit`, int64 (n, particles).

    fit: float64 (n, particles), logarithms of weights. u: float64 (n,). The points go round from u on, so that the
    first particle is a fair draw.
    """
    n, particles = fit.shape
    points = (u[:, None] + torch.arange(particles) / particles) % 1
    drawn = torch.searchsorted(fit.softmax(1).cumsum(1), points, right=True).clamp(max=particles - 1)
    return drawn + particles * torch.arange(n)[:, None]


def uniform(noise: NoiseStream) -> torch.Tensor:
    """A number between 0 and 1 for each picture: float64 (n,) on the CPU."""
    drawn: torch.Tensor = torch.special.ndtr(noise.next().flatten(1)[:, 0].cpu().double())
    return drawn
