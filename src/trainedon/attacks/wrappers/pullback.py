"""Pullback: another attack, without the latent dimensions that its decoder stretches least (arXiv 2511.20592)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from trainedon.attacks.core.answers import Cost, Progress, silent
from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.compared import Compared
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.pictures import Batch
from trainedon.targets import Target
from trainedon.targets.networks.footprint import fit_decoder_gradients


@register
@dataclass(frozen=True)
class Pullback(Wrapper):
    """The host attack's distance over those latent dimensions of a picture that its decoder stretches most: what is
    compared elsewhere hardly shows in pixels. For models in latents.

    dropped: the share of a picture's latent dimensions that is left out, those of the least influence, the squared norm
    of their column in the decoder's Jacobian at the picture's latents. probes: how many random patterns of signs
    estimate it, with Hutchinson's estimator, the same ones for all pictures; each costs one backward pass of the
    decoder. These, and the decoder's one forward pass, are not among the network passes that are counted.
    """

    attack: Attack
    dropped: float = 0.4
    probes: int = 8

    name: ClassVar[str] = "pullback"
    title: ClassVar[str] = "Decoder pullback"
    paper: ClassVar[str] = "arXiv 2511.20592"

    def __post_init__(self) -> None:
        if not isinstance(self.attack, Compared):
            raise UserError(f"{self.name}: {self.attack.name} compares no two pictures, so nothing can be left out")
        if self.attack.in_pixels:
            raise UserError(f"{self.name}: {self.attack.name} compares pixels, and latent dimensions are left out here")
        if not 0 <= self.dropped < 1 or self.probes < 1:
            raise UserError(f"{self.name}: dropped must lie in 0..1, below 1, and probes must be 1 or more")

    def check(self, target: Target) -> None:
        super().check(target)
        if not target.shows_influence:
            raise UserError(
                f"{self.name} differentiates the decoder of a model in latents, and {target.identity.name} has none at "
                f"hand: leave it out, or take {self.attack.name} alone"
            )

    def cost(self, target: Target) -> Cost:
        return replace(super().cost(target), decoded=1, decoded_back=self.probes)

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        super().prepare(target, progress)
        fit_decoder_gradients(target)

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        assert isinstance(self.attack, Compared)  # others are refused when it is made
        kept = self.kept(target, batch)
        pairs = self.attack.pairs(target, batch)
        return self.attack.distance([(a * kept, b * kept) for a, b in pairs])

    def kept(self, target: Target, batch: Batch) -> torch.Tensor:
        """1 where a latent dimension is compared, 0 where it is left out: float32 (n, *target.shape)."""
        influence = target.decoder_influence(target.encode(batch.pixels), self.patterns(target)).flatten(1)
        least = influence.argsort(dim=1, stable=True)[:, : round(self.dropped * influence.shape[1])]
        return torch.ones_like(influence).scatter(1, least, 0.0).view(len(batch), *target.shape)

    def patterns(self, target: Target) -> torch.Tensor:
        """Independent signs, float32 (probes, *target.picture), on the device."""
        drawn = [generator(self.name, probe).integers(0, 2, target.picture) for probe in range(self.probes)]
        return torch.from_numpy(2 * np.stack(drawn) - 1).to(target.device, torch.float32)
