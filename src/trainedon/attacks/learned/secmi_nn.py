"""SecMI-NN: a network learns what the t-error of members looks like (Duan et al., arXiv 2302.01316, sec. 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from trainedon.attacks.core.answers import Cost, Reported
from trainedon.attacks.core.attack import Need
from trainedon.attacks.core.compared import Compared, Pairs
from trainedon.attacks.core.crossfit import TOO_FEW, Predict, crossfit
from trainedon.attacks.core.registry import register
from trainedon.attacks.single.secmi import SecMI
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.pictures import Batch
from trainedon.targets import Target

SIDE = 32  # of the square to which errors are brought, so that their width alone tells their channels
LEAST = 8  # pictures of each set


@register
@dataclass(frozen=True)
class SecMINN(Compared):
    """Log-odds of membership by a small residual network on `|x - x'|`, the two pictures that SecMI compares.

    It learns from known pictures of other folds, `epochs` times over. Where SecMI's statistic takes for granted that
    the errors of members are small, the network learns in what they differ. That takes some hundreds of pictures: from
    a few dozen it learns next to nothing. t: timestep to which the picture is moved and from which it comes back, as in
    `secmi`. k: how many timesteps one move of it takes. epochs: passes of the network over the known pictures.
    """

    t: int = 100
    k: int = 10
    epochs: int = 20
    seed: int = 0

    name: ClassVar[str] = "secmi-nn"
    title: ClassVar[str] = "Step-wise error, learnt"
    paper: ClassVar[str] = "arXiv 2302.01316"
    needs: ClassVar[tuple[Need, ...]] = ("labels",)
    reported: ClassVar[tuple[Reported, ...]] = (Reported("cifar10", auc=0.949, asr=0.889),)
    unscored: ClassVar[str] = TOO_FEW

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UserError(f"{self.name}: epochs must be 1 or more")
        self._secmi()

    def _secmi(self) -> SecMI:
        return SecMI(self.t, self.k)

    def cost(self, target: Target) -> Cost:
        return self._secmi().cost(target)

    def check(self, target: Target) -> None:
        super().check(target)
        self._secmi().check(target)

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        return self._secmi().pairs(target, batch)

    def distance(self, pairs: Pairs) -> torch.Tensor:
        """The absolute differences, pooled by area to SIDE x SIDE: (n, c * SIDE * SIDE)."""
        ((x, back),) = pairs
        return functional.adaptive_avg_pool2d((x - back).abs(), SIDE).flatten(1)

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        return crossfit(observed, sets, sha256, self.fit, least=LEAST)

    def fit(self, known: np.ndarray, member: np.ndarray) -> Predict:
        """Trains the network on errors (m, c * SIDE * SIDE) and whether each is of a member, bool (m,)."""
        errors = _pictures(known)
        mean, std = errors.mean((0, 2, 3), keepdim=True), errors.std((0, 2, 3), keepdim=True) + 1e-12
        network = _network(errors.shape[1], self.seed)
        self._train(network, (errors - mean) / std, torch.from_numpy(member).float())

        @torch.no_grad()
        def predict(observed: np.ndarray) -> np.ndarray:
            parts = ((_pictures(observed) - mean) / std).split(256)
            return torch.cat([network(part) for part in parts])[:, 0].double().numpy()

        return predict

    @torch.enable_grad()
    def _train(self, network: nn.Module, errors: torch.Tensor, member: torch.Tensor) -> None:
        """Adam on the binary cross-entropy, in which both sets weigh the same."""
        weight = (1 - member).sum() / member.sum()
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, weight_decay=1e-4)
        network.train()
        for epoch in range(self.epochs):
            order = torch.from_numpy(generator(self.name, self.seed, epoch).permutation(len(errors)))
            for rows in order.split(32):
                optimizer.zero_grad()
                logits = network(errors[rows])[:, 0]
                functional.binary_cross_entropy_with_logits(logits, member[rows], pos_weight=weight).backward()
                optimizer.step()
        network.eval()


class _Residual(nn.Module):
    """Two convolutions, the first of which halves the sides, and a short cut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.short = nn.Conv2d(before, after, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.body(x) + self.short(x))


def _network(channels: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stem = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 1))
        return nn.Sequential(stem, _Residual(8, 16), _Residual(16, 32), end)


def _pictures(observed: np.ndarray) -> torch.Tensor:
    """Observations (n, c * SIDE * SIDE) as float32 pictures (n, c, SIDE, SIDE)."""
    return torch.from_numpy(observed.astype(np.float32)).view(len(observed), -1, SIDE, SIDE)
