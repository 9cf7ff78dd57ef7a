"""LiRA: is the loss more like that of models which saw the picture, or of models which did not?

Carlini et al., arXiv 2112.03570; on diffusion models arXiv 2301.13188, sec. 5.
"""

from __future__ import annotations

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

FORMS = ("online", "offline")


@register
@dataclass(frozen=True)
class LiRA(Shadowed):
    """`log N(l; mu_in, s) - log N(l; mu_out, s)`, l the logarithm of the picture's loss (Algorithm 1, online).

    mu_in and mu_out are means over the shadow models that were trained on the picture, and over the others. s is shared
    by all pictures, as the paper has it for fewer than 64 models: the spread of l around those means, pooled over
    `pictures` of the shadow models' pool. Where the paper has one for each side, there is one: a loss that lies below
    both means would else speak for the side that spreads more. The logarithm makes the spread alike for easy and hard
    pictures, as the paper's logit does for classifiers. form: online, or offline for `(mu_out - l) / s`, which needs no
    model that was trained on the picture (Algorithm 2, whose probability rises with it). t: timestep of the loss.
    draws: how many noises the loss is averaged over. pictures: how many of the pool the spread is pooled over.
    """

    form: str = "online"
    t: int = 200
    draws: int = 4
    pictures: int = 256
    seed: int = 0
    shadows: Shadows | None = None

    name: ClassVar[str] = "lira"
    title: ClassVar[str] = "Likelihood ratio"
    paper: ClassVar[str] = "arXiv 2112.03570"
    unscored: ClassVar[str] = (
        "no shadow model, or every one, was trained on the picture: train some on a pool that holds it, or take "
        "lira(form=offline), for which one that was not is enough"
    )

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UserError(f"{self.name}: form {self.form!r} is not known: choose one of {', '.join(FORMS)}")
        if self.pictures < 2:
            raise UserError(f"{self.name}: pictures must be 2 or more")
        self._loss()

    def cost(self, target: Target) -> Cost:
        pictures = self.pictures if self.shadows is None else len(self._telling())
        return Cost((1 + self.models) * self.draws, setup=self.models * self.draws * pictures)

    def check(self, target: Target) -> None:
        super().check(target)
        if not len(self._telling()):
            raise UserError("lira needs 3 shadow models or more, to see how losses vary: train --shadows 4")

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        """The spread of losses among models that agree on whether they saw a picture."""
        if repr(self) not in target.kept:
            rows, pool = self._telling(), self.pool
            what = f"{self.name}: losses under the shadow models"
            losses = self._log_losses(pool.targets(target), pool.batch(rows), progress, what)
            target.kept[repr(self)] = spread(losses, pool.members[:, rows])

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        models = [target, *self.pool.targets(target)]
        losses = self._log_losses(models, batch)  # (1 + shadow models, n)
        seen = self.pool.trained_on(batch.sha256)
        s = cast(float, target.kept[repr(self)])
        mu_in, mu_out = mean_where(losses[1:], seen), mean_where(losses[1:], ~seen)
        if self.form == "offline":
            return torch.from_numpy((mu_out - losses[0]) / s)
        return torch.from_numpy(((losses[0] - mu_out) ** 2 - (losses[0] - mu_in) ** 2) / (2 * s**2))

    def _log_losses(
        self, models: list[Target], batch: Batch, progress: Progress = silent, what: str = ""
    ) -> np.ndarray:
        losses: np.ndarray = np.log(errors(self._loss(), models, batch, progress, what))
        return losses

    def _loss(self) -> Loss:
        return Loss(t=self.t, draws=self.draws, seed=self.seed)

    def _telling(self) -> np.ndarray:
        """Rows of the pool that say how losses vary: on which two models agree whether they saw the picture."""
        seen = self.pool.members.sum(0)
        telling = np.flatnonzero((seen >= 2) | (len(self.pool) - seen >= 2))
        return np.sort(generator(self.seed, self.name).permutation(telling)[: self.pictures])


def mean_where(losses: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean over the models that are chosen for each picture, (models, n) -> (n,); NaN where there is none."""
    models = chosen.sum(0)
    return np.where(models > 0, np.where(chosen, losses, 0).sum(0) / np.maximum(models, 1), np.nan)


def spread(losses: np.ndarray, seen: np.ndarray) -> float:
    """Standard deviation around each picture's own two means, over all models and pictures; (models, n) each."""
    squares, freedom = 0.0, 0
    for side in (seen, ~seen):
        squares += np.where(side, (losses - mean_where(losses, side)) ** 2, 0).sum()
        freedom += np.maximum(side.sum(0) - 1, 0).sum()
    return float(np.sqrt(squares / freedom))
