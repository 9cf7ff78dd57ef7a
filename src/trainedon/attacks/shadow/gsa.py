"""GSA: the gradient that a picture would train the model with, judged by what shadow models' gradients look like.

Pang et al., "White-box Membership Inference Attacks against Diffusion Models", PoPETs 2025, Algorithm 1 (GSA1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import torch

from trainedon.attacks.core.answers import Cost, Progress, Reported, silent
from trainedon.attacks.core.attack import Need
from trainedon.attacks.core.execute import valid
from trainedon.attacks.core.registry import register
from trainedon.attacks.shadow.shadowed import Shadowed
from trainedon.errors import UserError
from trainedon.noise import NoiseStream, generator
from trainedon.pictures import Batch
from trainedon.targets import Shadows, Target
from trainedon.targets.networks.footprint import check_weight_gradients

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

STEPS = range(99, 1000, 100)  # timesteps of the usual DDPM path
# Smallest norm of a tensor's gradient, as a share of the whole gradient's. Some gradients are zero by construction
# (biases before a normalisation, keys of attention); float32 leaves rounding errors there, whose logarithm is noise.
FLOOR = 1e-6


@register
@dataclass(frozen=True)
class GSA(Shadowed):
    """Log-odds of membership, by boosted trees, from the L2 norm of the loss's gradient in each tensor of the weights.

    The loss is averaged over ten timesteps before it is derived. The trees learn from the shadow models: from up to
    `pictures` of the pool under each, half of which that model was trained on. A picture that is scored may lie in the
    pool too: the shadow models do not know whether the audited model was trained on it. They must be built like the
    audited model, and be trained about as long on about as many pictures.

    pictures: how many of the pool the trees learn from under each shadow model.
    """

    pictures: int = 256
    seed: int = 0
    shadows: Shadows | None = None

    name: ClassVar[str] = "gsa"
    title: ClassVar[str] = "Gradients, learnt from shadow models"
    paper: ClassVar[str] = "PoPETs 2025"
    needs: ClassVar[tuple[Need, ...]] = ("gradients", "shadows")
    reported: ClassVar[tuple[Reported, ...]] = (Reported("cifar10", auc=0.999),)

    def __post_init__(self) -> None:
        if self.pictures < 2:
            raise UserError(f"{self.name}: pictures must be 2 or more, half of which each shadow model was trained on")

    def cost(self, target: Target) -> Cost:
        pictures = self.pictures if self.shadows is None else sum(len(rows) for rows in self._of_pool())
        return Cost(len(STEPS), len(STEPS), setup=len(STEPS) * (1 + pictures))

    def rows(self) -> int:
        return len(STEPS)

    def check(self, target: Target) -> None:
        if not target.gives_gradients:
            raise target.lacks("gradients of weights")
        super().check(target)

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        """The trees, fitted on pictures of the pool under each shadow model."""
        if repr(self) in target.kept:
            return
        check_weight_gradients(target, len(STEPS))  # shadow models are built like it
        features: list[np.ndarray] = []
        members, pool, known = [], self.pool, self._of_pool()
        what, total = f"{self.name}: gradients under the shadow models", sum(map(len, known))
        tensors = self.features(target, pool.batch([0])).shape[1]
        for model, seen, rows in zip(pool.targets(target), pool.members, known, strict=True):
            for row in rows:
                progress(what, len(features), total)
                features.append(self.features(model, pool.batch([row])))
                if features[-1].shape[1] != tensors:
                    raise UserError(
                        f"gsa: the shadow models have {features[-1].shape[1]} tensors of weights, the audited model "
                        f"{tensors}: train shadow models that are built like it"
                    )
            members.append(seen[rows])
        progress(what, total, total)
        target.kept[repr(self)] = _trees().fit(np.concatenate(features), np.concatenate(members))

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        trees = cast("HistGradientBoostingClassifier", target.kept[repr(self)])
        return torch.from_numpy(trees.decision_function(self.features(target, batch)))

    def features(self, model: Target, batch: Batch) -> np.ndarray:
        """Logarithms of the norms, float64 (n, tensors)."""
        batch = valid(model, batch)
        steps = torch.tensor([model.path.like_ddpm(t) for t in STEPS])
        m, x0 = len(steps), model.encode(batch.pixels)
        norms = []
        for i, digest in enumerate(batch.sha256):
            eps = NoiseStream([digest] * m, range(m), model.shape, seed=self.seed, device=model.device).next()
            x_t = model.noised(x0[i].expand_as(eps), steps, eps)  # (m, c, h, w)
            norms.append(model.gradient_norms(x_t, steps, eps, batch.condition[[i]].repeat(m)))
        together = torch.stack(norms)  # (n, tensors)
        logarithms: np.ndarray = together.maximum(FLOOR * together.norm(dim=1, keepdim=True)).log().numpy()
        return logarithms

    def _of_pool(self) -> list[np.ndarray]:
        """For each shadow model rows of the pool, as many that it was trained on as others."""
        chosen = []
        for number, seen in enumerate(self.pool.members):
            half = min(self.pictures // 2, seen.sum(), (~seen).sum())
            order = generator(self.seed, self.name, number).permutation(len(seen))
            chosen.append(np.concatenate([order[seen[order]][:half], order[~seen[order]][:half]]))
        return chosen


def _trees() -> HistGradientBoostingClassifier:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(min_samples_leaf=5, early_stopping=False, random_state=0)
