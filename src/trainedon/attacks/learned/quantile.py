"""Quantile regression: the score that an unseen picture like this one would have, as small networks predict it.

Tang et al., "Membership Inference Attacks on Diffusion Models via Quantile Regression", ICML 2024, arXiv 2312.05140.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from trainedon.attacks.core.answers import Scored
from trainedon.attacks.core.attack import Attack, Need
from trainedon.attacks.core.crossfit import TOO_FEW, Predict, Scaling, crossfit, robust_scaling
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.attacks.single.loss import Loss
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.pictures import Batch
from trainedon.targets import Target

SIDE = 16  # of the square to which pictures are brought, so that their width alone tells their channels
STEPS = 120  # the networks learn what makes a picture hard; with more steps they learn the pictures by heart
ROWS = 32
LEAST = 8  # unseen pictures
SIGMAS = (-4.0, 4.0)  # limits of log sigma, where scores have a standard deviation of 1


@register
@dataclass(frozen=True)
class Quantile(Wrapper):
    """Mean over a bag of networks of `(s - mu(x)) / sigma(x)`: how far the host's score s of a picture x lies above
    what it would be for an unseen picture like it.

    Some pictures are hard for every model and some are easy; what is left is what the model owes to its training. Each
    of the `bag` networks learns mu and sigma by the Gaussian likelihood of the host's robustly scaled scores, from a
    bootstrap sample of the unseen pictures of other folds; with a normal law every quantile is `mu + z sigma`, and the
    score is the z at which the picture is still called a member. The paper's host is the t-error of SecMI.

    bag: how many networks are averaged.
    """

    attack: Attack = field(default_factory=Loss)
    bag: int = 7
    seed: int = 0

    name: ClassVar[str] = "quantile"
    title: ClassVar[str] = "Score against the picture's own quantile"
    paper: ClassVar[str] = "arXiv 2312.05140"
    also_needs: ClassVar[tuple[Need, ...]] = ("unseen",)

    def __post_init__(self) -> None:
        if self.bag < 1:
            raise UserError(f"{self.name}: bag must be 1 or more")
        if self.attack.learns:  # its scores were learnt from the very sets that cross-fitting has to keep apart
            raise UserError(f"{self.name}: {self.attack.name} learns from the other pictures itself: take another one")

    @property
    def unscored(self) -> str:
        return f"{self.attack.unscored} or {TOO_FEW}"

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        """The host's score, and the picture pooled by area to SIDE x SIDE: (n, 1 + c * SIDE * SIDE)."""
        host = run_batch(self.attack, target, batch).scores
        pixels = functional.adaptive_avg_pool2d(batch.pixels.cpu(), SIDE).flatten(1).double().numpy()
        return Scored(np.concatenate([host[:, None], pixels], axis=1))

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        return crossfit(observed, sets, sha256, self.fit, known=("unseen",), least=LEAST)

    def fit(self, known: np.ndarray, member: np.ndarray) -> Predict:
        """Trains the bag on observations of unseen pictures (m, 1 + c * SIDE * SIDE)."""
        level = robust_scaling(known[:, :1])
        scale = level(known[:, :1]).std() + 1e-12
        pictures, scores = _parts(known, level, scale)
        networks = _networks(pictures.shape[1], self.bag, self.seed)
        self._train(networks, pictures, scores)

        @torch.no_grad()
        def predict(observed: np.ndarray) -> np.ndarray:
            pictures, scores = _parts(observed, level, scale)
            parts = [networks(part.repeat(1, self.bag, 1, 1)) for part in pictures.split(256)]
            mu, log_sigma = _normal(torch.cat(parts))
            return ((scores[:, None] - mu) / log_sigma.exp()).double().mean(1).numpy()

        return predict

    @torch.enable_grad()
    def _train(self, networks: nn.Module, pictures: torch.Tensor, scores: torch.Tensor) -> None:
        """Adam on minus the log-likelihood; each network draws its batches from a bootstrap sample of its own."""
        m, rng = len(scores), generator(self.name, self.seed)
        samples = rng.integers(m, size=(m, self.bag))
        optimizer = torch.optim.Adam(networks.parameters(), lr=3e-3, weight_decay=1e-4)
        for _ in range(STEPS):
            rows = torch.from_numpy(np.take_along_axis(samples, rng.integers(m, size=(ROWS, self.bag)), axis=0))
            mu, log_sigma = _normal(networks(pictures[rows].flatten(1, 2)))  # (ROWS, bag * c, SIDE, SIDE) goes in
            optimizer.zero_grad()
            (log_sigma + ((scores[rows] - mu) / log_sigma.exp()).square() / 2).mean().backward()
            optimizer.step()


def _networks(channels: int, bag: int, seed: int) -> nn.Module:
    """The whole bag as one network in groups. Averaging over places keeps it to what kind of picture it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(bag * channels, bag * 8, 3, stride=2, padding=1, groups=bag),
            nn.ReLU(),
            nn.Conv2d(bag * 8, bag * 16, 3, stride=2, padding=1, groups=bag),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(bag * 16, bag * 2, 1, groups=bag),
        )


def _normal(answers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """mu and log sigma, both (n, bag), of answers (n, bag * 2, 1, 1)."""
    mu, log_sigma = answers.flatten(1).unflatten(1, (-1, 2)).unbind(2)
    return mu, log_sigma.clamp(*SIGMAS)


def _parts(observed: np.ndarray, level: Scaling, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures float32 (n, c, SIDE, SIDE), and the host's scores, robustly scaled, float32 (n,)."""
    pictures = torch.from_numpy(observed[:, 1:].astype(np.float32)).unflatten(1, (-1, SIDE, SIDE))
    return pictures, torch.from_numpy(level(observed[:, :1])[:, 0] / scale).float()
