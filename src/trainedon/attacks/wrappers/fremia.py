"""FreMIA: another attack, with what it compares seen without high frequencies (arXiv 2505.20955)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.compared import Compared
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.attacks.single.pia import PIA
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class FreMIA(Wrapper):
    """The host attack's distance after high frequencies of both sides are damped: models render them badly for members
    and others alike, and hide what differs.

    radius: half the side of the square of low frequencies that is kept, in a picture of 32 pixels; it grows with the
    picture. damping: what the other frequencies are multiplied by.

    The paper takes hosts at t = 100. It filters x0 and the model's guess of it; at one timestep these differ by a
    constant times the difference of the two noises, and the filter is linear, so that filtering the noises puts the
    pictures in the same order.
    """

    attack: Attack = field(default_factory=lambda: PIA(t=100))
    radius: float = 5.0
    damping: float = 0.2

    name: ClassVar[str] = "fremia"
    title: ClassVar[str] = "Frequency filter"
    paper: ClassVar[str] = "arXiv 2505.20955"

    def __post_init__(self) -> None:
        if not isinstance(self.attack, Compared):
            raise UserError(f"{self.name}: {self.attack.name} compares no two pictures, so there is nothing to filter")
        if self.radius <= 0 or not 0 <= self.damping <= 1:
            raise UserError(f"{self.name}: radius must be above 0, damping must lie in 0..1")

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        assert isinstance(self.attack, Compared)  # others are refused when it is made
        pairs = self.attack.pairs(target, batch)
        return self.attack.distance([(self.filtered(a), self.filtered(b)) for a, b in pairs])

    def filtered(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 (n, c, h, w) with the frequencies outside the central square damped."""
        low = [torch.fft.fftfreq(side, device=pixels.device).abs() < self.radius / 32 for side in pixels.shape[2:]]
        kept = (low[0][:, None] & low[1][None]).to(pixels).clamp(min=self.damping)  # (h, w)
        # frequencies are kept and damped in conjugate pairs, so what is real stays real
        filtered: torch.Tensor = torch.fft.ifft2(torch.fft.fft2(pixels) * kept).real
        return filtered
