"""Similarities without a network: squared error and SSIM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from trainedon.compare.scope import apply_scope, check_scope
from trainedon.compare.similarity import Similarity
from trainedon.condition import UNCONDITIONAL, Condition
from trainedon.degrade.places import smooth
from trainedon.spec import register

if TYPE_CHECKING:
    from trainedon.targets import Target

WINDOW, SIGMA = 11, 1.5
STABILISERS = (0.01**2, 0.03**2)


@register
@dataclass(frozen=True)
class Pixel(Similarity):
    """Minus the mean squared error where the network works: of pixels in units of [-1, 1], 0 for equal pictures and -4
    at worst; of latents in those of their standard deviation."""

    scope: str = "region"
    name: ClassVar[str] = "pixel"
    of_states: ClassVar[bool] = True
    highest: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        check_scope(self.name, self.scope)

    def encode(
        self,
        target: Target,
        pixels: torch.Tensor | None,
        mask: torch.Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
        states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Pictures scaled so that the squared distance of two of them is their mean squared error: float64 (n, d)."""
        seen = target.encode(pixels) if states is None else states  # type: ignore[arg-type]
        pixels, weight = _apply_scope_on_cpu(seen, mask, self.scope)
        share = weight / (weight.sum(dim=(1, 2), keepdim=True) * pixels.shape[1])
        return (pixels * share.sqrt().unsqueeze(1)).flatten(1)

    def compare(self, original: torch.Tensor, restored: torch.Tensor) -> torch.Tensor:
        return -(original - restored).square().sum(1)


@register
@dataclass(frozen=True)
class Ssim(Similarity):
    """Structural similarity (Wang et al., IEEE TIP 2004): 1 for equal pictures.

    Gaussian window of 11 pixels, sigma 1.5; K1 = .01, K2 = .03; pixels on [0, 1]; edges continued outwards; mean over
    channels and over the places in scope.
    """

    scope: str = "region"
    name: ClassVar[str] = "ssim"

    def __post_init__(self) -> None:
        check_scope(self.name, self.scope)

    def encode(
        self,
        target: Target,
        pixels: torch.Tensor | None,
        mask: torch.Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
        states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Pictures on [0, 1] with the weight of each place as the last channel: float64 (n, c + 1, h, w)."""
        assert pixels is not None  # it is not `of_states`
        seen, weight = _apply_scope_on_cpu(pixels, mask, self.scope)
        return torch.cat([(seen + 1) / 2, weight.unsqueeze(1)], dim=1)

    def compare(self, original: torch.Tensor, restored: torch.Tensor) -> torch.Tensor:
        weight = original[:, -1]
        similar = ssim_map(original[:, :-1], restored[:, :-1]).mean(1)
        return (similar * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2))


def _apply_scope_on_cpu(
    pixels: torch.Tensor, mask: torch.Tensor | None, scope: str
) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, weight = apply_scope(pixels.cpu().double(), mask, scope)
    return pixels, torch.ones_like(pixels[:, 0]) if weight is None else weight


def ssim_map(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Eq. 13 of the paper at every place; a, b: float64 (n, c, h, w) in [0, 1]."""

    def mean(values: torch.Tensor) -> torch.Tensor:
        return smooth(values, SIGMA, radius=WINDOW // 2)

    c1, c2 = STABILISERS
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
