"""RMIA: by how many other pictures is the picture's relative likelihood not reached? (arXiv 2312.03262)"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch

from trainedon.attacks.core.answers import Cost, Progress, silent
from trainedon.attacks.core.registry import register
from trainedon.attacks.shadow.shadowed import Shadowed, errors
from trainedon.attacks.single.loss import Loss
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.pictures import Batch
from trainedon.targets import Shadows, Target


@register
@dataclass(frozen=True)
class RMIA(Shadowed):
    """Share of population pictures z with `LR(x) / LR(z) >= gamma`, where `LR(x) = p(x | model) / p(x)` (eq. 2 to 4).

    p(x) is the mean of `p(x | shadow)` over all shadow models. A diffusion model says no likelihood; in its place
    stands the term at t of the simplified variational bound (arXiv 2006.11239, eq. 14),
    `log p(x | model) := -1/2 sum (e(x_t, t) - eps)^2`, averaged over `draws` of eps. population: how many pictures of
    the shadow models' pool x is compared with, x itself never among them. t: timestep of the loss. draws: how
    many noises the loss is averaged over. gamma: by how much x must be likelier than z, above 0.
    """

    t: int = 200
    draws: int = 4
    gamma: float = 1.0
    population: int = 256
    seed: int = 0
    shadows: Shadows | None = None

    name: ClassVar[str] = "rmia"
    title: ClassVar[str] = "Robust relative likelihood"
    paper: ClassVar[str] = "arXiv 2312.03262"

    def __post_init__(self) -> None:
        if self.gamma <= 0 or self.population < 2:
            raise UserError(f"{self.name}: gamma must be above 0 and population 2 or more")
        self._loss()

    def cost(self, target: Target) -> Cost:
        passes = (1 + self.models) * self.draws
        population = self.population if self.shadows is None else len(self._population())
        return Cost(passes, setup=passes * population)

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        """`log LR(z)` of the population."""
        if repr(self) not in target.kept:
            population = self.pool.batch(self._population())
            ratios = self._log_ratio(target, population, progress)
            target.kept[repr(self)] = np.array(population.sha256), ratios

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        names, population = cast(tuple[np.ndarray, np.ndarray], target.kept[repr(self)])
        ratios = self._log_ratio(target, batch)
        others = np.array(batch.sha256)[:, None] != names[None]  # (n, population)
        beaten = ratios[:, None] - population[None] >= math.log(self.gamma)
        return torch.from_numpy((beaten & others).sum(1) / others.sum(1))

    def _log_ratio(self, target: Target, batch: Batch, progress: Progress = silent) -> np.ndarray:
        """`log LR(x)`, (n,)."""
        models = [target, *self.pool.targets(target)]
        losses = errors(self._loss(), models, batch, progress, f"{self.name}: losses of the population")
        log_p = -math.prod(target.shape) / 2 * losses  # (1 + models, n); the loss is a mean over pixels
        ratio: np.ndarray = log_p[0] - (np.logaddexp.reduce(log_p[1:]) - math.log(len(models) - 1))
        return ratio

    def _loss(self) -> Loss:
        return Loss(t=self.t, draws=self.draws, seed=self.seed)

    def _population(self) -> np.ndarray:
        order = generator(self.seed, self.name).permutation(len(self.pool.sha256))
        return np.sort(order[: self.population])
