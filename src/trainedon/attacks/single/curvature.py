"""Curvature: how sharp the peak of the model's density is on which the picture lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.attacks.core.answers import Cost
from trainedon.attacks.core.attack import Attack, Need
from trainedon.attacks.core.registry import register
from trainedon.condition import Condition
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.precise import double, mean_of
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class Curvature(Attack):
    """`- sigma_t^2 tr(H) / d`, with H the Hessian of the log-density of noised pictures at `x_t` and d the number of
    its pixels times channels.

    The network's score is `- e(x_t, t) / sigma_t`, so the curvature is `sigma_t div e / d`. The divergence is that of
    Hutchinson (Communications in Statistics 18, 1989), as in arXiv 2011.13456, eq. 40: the mean of `v . d/dx (v . e)`
    over random signs v. In units of `1 / sigma_t^2` the sharpest peak that there can be, one picture known by heart, is
    1, and a flat density 0; a model that spreads its guess of the clean picture over many lies between them, for by
    Tweedie's formula 1 minus this is the variance of that guess, in units of `sigma_t^2 / alpha_t^2`.

    t: timestep of the usual DDPM path; on another path the one with the nearest signal-to-noise ratio. probes: how many
    v are averaged. `x_t` is noised, the same for all of them: it is in noised pictures that the network has learnt the
    score, and a picture without noise lies where no noised one ever falls.
    """

    t: int = 50
    probes: int = 4
    seed: int = 0

    name: ClassVar[str] = "curvature"
    title: ClassVar[str] = "Curvature of the log-density"
    paper: ClassVar[str] = "after arXiv 2412.04140"
    needs: ClassVar[tuple[Need, ...]] = ("gradients",)

    def __post_init__(self) -> None:
        if not 0 <= self.t < 1000 or self.probes < 1:
            raise UserError(f"{self.name}: t must lie in 0..999 and probes must be 1 or more")

    def cost(self, target: Target) -> Cost:
        return Cost(1, self.probes)

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        t = target.path.like_ddpm(self.t)
        noise = NoiseStream(batch.sha256, [0] * len(batch), target.shape, seed=self.seed, device=target.device)
        x0 = target.encode(batch.pixels)
        x_t = target.noised(x0, t, noise.next())  # (n, c, h, w)
        probes = [torch.where(noise.next() < 0, -1.0, 1.0) for _ in range(self.probes)]
        _, sigma = target.path.at(t, x0)
        return divergence(target, x_t, t, batch.condition, probes) * double(sigma).flatten() / x_t[0].numel()


def divergence(
    target: Target, x_t: torch.Tensor, t: int, condition: Condition, probes: list[torch.Tensor]
) -> torch.Tensor:
    """Mean over the probes of `v . d/dx (v . e)`, float64 (n,): the divergence of the predicted noise in `x_t`.

    x_t and each of probes: float32 (n, c, h, w). Counts n forward evaluations, and n backward ones for each probe.
    """
    parts = [*target.batching.parts(len(x_t))]
    return torch.cat([_divergence(target, x_t[part], t, condition[part], [v[part] for v in probes]) for part in parts])


def _divergence(
    target: Target, x_t: torch.Tensor, t: int, condition: Condition, probes: list[torch.Tensor]
) -> torch.Tensor:
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_(True)
        predicted = target.denoise(x_t, t, condition).noise
        products = []
        for left, v in zip(reversed(range(len(probes))), probes):
            (pulled,) = torch.autograd.grad(predicted, x_t, v, retain_graph=left > 0)
            products.append(double(v * pulled).flatten(1).sum(1))
            target.evaluations.backward += len(x_t)
    return mean_of(products)
