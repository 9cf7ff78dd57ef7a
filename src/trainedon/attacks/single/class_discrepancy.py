"""How much better the model knows a picture under its own class than under others: CLiD's question, asked by classes.

Zhai et al., "Membership Inference on Text-to-Image Diffusion Models via Conditional Likelihood Discrepancy", NeurIPS
2024, arXiv 2405.14800, take captions. Classes have no words to lose, so other classes stand in for shortened captions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.attacks.core.answers import Cost
from trainedon.attacks.core.attack import Attack, Need
from trainedon.attacks.core.registry import register
from trainedon.condition import Classes
from trainedon.errors import UserError
from trainedon.noise import NoiseStream, generator
from trainedon.pictures import Batch
from trainedon.precise import double, mean_of
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class ClassDiscrepancy(Attack):
    """`mean_i E_t [L(c_i) - L(c)]` over other classes c_i, L the mean squared error of the predicted noise.

    A model that learnt the pair of picture and class predicts worse when the class is another one. t: timesteps of the
    usual DDPM path, joined by `+` on the command line. others: how many other classes, drawn by the picture's digest;
    all where there are fewer. All classes of a picture meet the same noise.
    """

    t: tuple[int, ...] = (440, 450, 460)
    others: int = 4
    seed: int = 0

    name: ClassVar[str] = "class-discrepancy"
    title: ClassVar[str] = "Conditional likelihood discrepancy of classes"
    paper: ClassVar[str] = "after arXiv 2405.14800"
    needs: ClassVar[tuple[Need, ...]] = ("classes",)
    repeats: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.t or not all(0 <= one < 1000 for one in self.t) or self.others < 1:
            raise UserError(f"{self.name}: every t must lie in 0..999, and others must be 1 or more")

    def check(self, target: Target) -> None:
        super().check(target)
        if target.conditioning != "class" or self._asked(target) < 1:
            raise UserError(
                f"{self.name} compares classes, and this model is not conditioned on several: leave it out, or audit a "
                "class-conditional model"
            )

    def cost(self, target: Target) -> Cost:
        return Cost(len(self.t) * (1 + max(0, self._asked(target))))

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        assert isinstance(batch.condition, Classes), "of a class-conditional model"
        conditions = [batch.condition, *self._other_classes(target, batch, batch.condition)]
        noise = NoiseStream(batch.sha256, [0] * len(batch), target.shape, seed=self.seed, device=target.device)
        x0, errors = target.encode(batch.pixels), []
        for t in map(target.path.like_ddpm, self.t):
            eps = noise.next()  # (n, c, h, w)
            x_t = target.noised(x0, t, eps)
            predicted = [target.denoise(x_t, t, classes).noise for classes in conditions]
            errors.append(torch.stack([double((one - eps).square()).flatten(1).mean(1) for one in predicted]))
        mean: torch.Tensor = mean_of(errors)  # (1 + others, n)
        return mean_of(mean[1:]) - mean[0]

    def _asked(self, target: Target) -> int:
        """How many other classes each picture is asked under."""
        return min(self.others, (target.classes or 0) - 1)

    def _other_classes(self, target: Target, batch: Batch, own: Classes) -> list[Classes]:
        """For each of the others a class for every picture, none of them its own and none twice."""
        count, rows = target.classes or 0, []
        for sha256, label in zip(batch.sha256, own.labels.tolist(), strict=True):
            drawn = generator(self.name, sha256, self.seed).permutation(count - 1)[: self._asked(target)]
            rows.append(drawn + (drawn >= label))  # the classes without its own
        return [Classes(torch.tensor(column).to(own.labels)) for column in zip(*rows, strict=True)]
