"""CLiD: how much better the model knows a picture by its caption than by parts of the caption.

Zhai et al., "Membership Inference on Text-to-Image Diffusion Models via Conditional Likelihood Discrepancy", NeurIPS
2024, arXiv 2405.14800.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from trainedon.attacks.core.answers import Cost, Scored
from trainedon.attacks.core.attack import Attack, Need
from trainedon.attacks.core.crossfit import TOO_FEW, Predict, crossfit
from trainedon.attacks.core.registry import register
from trainedon.condition import Captions
from trainedon.errors import UserError
from trainedon.noise import NoiseStream, generator
from trainedon.pictures import Batch
from trainedon.precise import double, mean_of
from trainedon.targets import Target

SHARES = (0.3, 0.5, 0.7, 1.0)  # of its words that a caption loses; all of them leave the empty prompt
LEAST = 8  # unseen pictures


@register
@dataclass(frozen=True)
class CLiD(Attack):
    """`a S(mean_i D_i) + (1 - a) S(-L(c))`, with `D_i = E_t [L(c_i) - L(c)]` over captions c_i that lost some of their
    words, L the mean squared error of the predicted noise, and S what brings unseen pictures of other folds to median 0
    and quartiles 1 apart.

    A model that learnt the pair predicts worse when words go. t: timesteps of the usual DDPM path, joined by `+` on the
    command line. a: the weight of the first part. All captions of a picture meet the same noise.
    """

    t: tuple[int, ...] = (440, 450, 460)
    a: float = 0.9
    seed: int = 0

    name: ClassVar[str] = "clid"
    title: ClassVar[str] = "Conditional likelihood discrepancy"
    paper: ClassVar[str] = "arXiv 2405.14800"
    needs: ClassVar[tuple[Need, ...]] = ("unseen", "captions")
    unscored: ClassVar[str] = f"it has no caption that could lose words, or {TOO_FEW}"

    def __post_init__(self) -> None:
        if not self.t or not all(0 <= one < 1000 for one in self.t) or not 0 <= self.a <= 1:
            raise UserError(f"{self.name}: every t must lie in 0..999, and a in 0..1")

    def cost(self, target: Target) -> Cost:
        return Cost(len(self.t) * (1 + len(SHARES)))

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        """Mean D, and L(c), (n, 2); NaN for a picture without a caption."""
        captions = [caption or "" for caption in batch.captions or [None] * len(batch)]
        texts = [captions, *([shortened(caption, share, self.seed) for caption in captions] for share in SHARES)]
        errors = self._errors(target, batch, [Captions(tuple(each)) for each in texts])
        observed = np.stack([(errors[1:] - errors[0]).mean(0), errors[0]], axis=1)
        observed[[not caption.split() for caption in captions]] = np.nan
        return Scored(observed)

    def _errors(self, target: Target, batch: Batch, conditions: Sequence[Captions]) -> np.ndarray:
        """L under each of the captions, averaged over the timesteps: float64 (conditions, n)."""
        noise = NoiseStream(batch.sha256, [0] * len(batch), target.shape, seed=self.seed, device=target.device)
        x0 = target.encode(batch.pixels)
        errors = []
        for t in map(target.path.like_ddpm, self.t):
            eps = noise.next()  # (n, c, h, w)
            x_t = target.noised(x0, t, eps)
            predicted = [target.denoise(x_t, t, captions).noise for captions in conditions]
            errors.append(torch.stack([double((one - eps).square()).flatten(1).mean(1) for one in predicted]))
        mean: np.ndarray = mean_of(errors).cpu().numpy()
        return mean

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        return crossfit(observed, sets, sha256, self.fit, known=("unseen",), least=LEAST)

    def fit(self, known: np.ndarray, member: np.ndarray) -> Predict:
        """Median and quartiles of mean D and -L(c) over unseen pictures, observed (m, 2)."""
        from sklearn.preprocessing import RobustScaler

        signs, weights = np.array([1, -1]), np.array([self.a, 1 - self.a])
        scaler = RobustScaler().fit(known * signs)
        return lambda observed: scaler.transform(observed * signs) @ weights


def shortened(caption: str, share: float, seed: int) -> str:
    """The caption without that share of its words, one at least, in their order: a function of the three alone.

    What a smaller share drops, a larger one drops too.
    """
    words = caption.split()
    dropped = generator("clid", caption, seed).permutation(len(words))[: max(1, round(share * len(words)))]
    return " ".join(word for place, word in enumerate(words) if place not in dropped)
