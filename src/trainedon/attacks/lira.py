"""LiRA: is the loss more like that of models which saw the picture, or of models which did not?

Carlini et al., arXiv 2112.03570; on diffusion models arXiv 2301.13188, sec. 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from trainedon.attacks.attack import Attack, Cost, Progress, silent
from trainedon.attacks.loss import Loss
from trainedon.attacks.registry import register
from trainedon.attacks.shadowed import count, errors
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.pictures import Batch
from trainedon.targets import Shadows, Target

FORMS = ("online", "offline")


@register
@dataclass(frozen=True)
class LiRA(Attack):
    """`log N(l; mu_in, s_in) - log N(l; mu_out, s_out)` of the picture's loss l (Algorithm 1, the online attack).

    mu_in and mu_out are means over the shadow models that were trained on the picture, and over the others. s_in and
    s_out are shared by all pictures, as the paper has it for fewer than 64 models: the spread around each picture's own
    mean, pooled over `pictures` of the shadow models' pool. form: online, or offline for `(mu_out - l) / s_out`, which
    needs no model that was trained on the picture (Algorithm 2, whose probability is an increasing function of it).
    t, draws, seed: those of the loss.
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
    needs: ClassVar[tuple[str, ...]] = ("shadows",)
    unscored: ClassVar[str] = (
        "no shadow model, or every one, was trained on the picture: train some on a pool that holds it, or take "
        "lira(form=offline), for which one that was not is enough"
    )

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UserError(f"lira: form {self.form!r} is not known: choose one of {', '.join(FORMS)}")
        if self.pictures < 2:
            raise UserError("lira: pictures must be 2 or more")
        self._loss()

    def cost(self, target: Target) -> Cost:
        models = count(self.shadows)
        pictures = self.pictures if self.shadows is None else len(self._telling())
        return Cost((1 + models) * self.draws, setup=models * self.draws * pictures)

    def check(self, target: Target) -> None:
        super().check(target)
        if not len(self._telling()):
            sides = "did not see it" if self.form == "offline" else "saw it, and two that did not"
            raise UserError(
                f"{self.name} needs a picture and two shadow models that {sides}, to know how losses vary: "
                "train 4 shadow models or more"
            )

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        """The spread of losses among models that agree on whether they saw a picture."""
        if repr(self) in target.kept:
            return
        rows = self._telling()
        losses = errors(
            *(self._loss(), self.shadows.targets(target), self.shadows.batch(rows)),  # type: ignore[union-attr]
            *(progress, f"{self.name}: losses under the shadow models"),
        )
        seen = self.shadows.members[:, rows]  # type: ignore[union-attr]
        target.kept[repr(self)] = spread(losses, seen), spread(losses, ~seen)

    def _score(self, target: Target, batch: Batch) -> torch.Tensor:
        models = [target, *self.shadows.targets(target)]  # type: ignore[union-attr]
        loss, *others = errors(self._loss(), models, batch)  # (n,), and (n,) of each shadow model
        seen = self.shadows.trained_on(batch.sha256)  # type: ignore[union-attr]
        s_in, s_out = target.kept[repr(self)]  # type: ignore[misc]
        mu_in, mu_out = mean_where(np.stack(others), seen), mean_where(np.stack(others), ~seen)
        if self.form == "offline":
            return torch.from_numpy((mu_out - loss) / s_out)
        return torch.from_numpy(log_normal(loss, mu_in, s_in) - log_normal(loss, mu_out, s_out))

    def _loss(self) -> Loss:
        return Loss(t=self.t, draws=self.draws, seed=self.seed)

    def _telling(self) -> np.ndarray:
        """Rows of the pool that say how losses vary: those which two models saw, and two did not."""
        seen = self.shadows.members.sum(0)  # type: ignore[union-attr]
        enough = len(self.shadows) - seen >= 2  # type: ignore[arg-type]
        if self.form == "online":
            enough &= seen >= 2
        return np.sort(generator(self.seed, self.name).permutation(np.flatnonzero(enough))[: self.pictures])


def mean_where(losses: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean over the models that are chosen for each picture, (models, n) -> (n,); NaN where there is none."""
    models = chosen.sum(0)
    return np.where(models > 0, np.where(chosen, losses, 0).sum(0) / np.maximum(models, 1), np.nan)


def spread(losses: np.ndarray, chosen: np.ndarray) -> float:
    """Standard deviation around each picture's own mean, over the chosen models and all pictures; (models, n) each.

    NaN where no picture has two models.
    """
    squares = np.where(chosen, (losses - mean_where(losses, chosen)) ** 2, 0).sum()
    freedom = np.maximum(chosen.sum(0) - 1, 0).sum()
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")


def log_normal(x: np.ndarray, mean: np.ndarray, deviation: float) -> np.ndarray:
    """Log density of the normal distribution, without its constant."""
    return -np.log(deviation) - 0.5 * ((x - mean) / deviation) ** 2
