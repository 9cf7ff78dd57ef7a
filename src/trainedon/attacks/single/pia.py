"""PIA: the noise that the model sees in the clean picture, added and predicted again (arXiv 2305.18355)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.attacks.core.answers import Cost, Reported
from trainedon.attacks.core.compared import Compared, Pairs
from trainedon.attacks.core.registry import register
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.precise import double
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class PIA(Compared):
    """Minus `sum |e0 - e(sqrt(ab_t) x0 + sqrt(1 - ab_t) e0, t)|^p` with `e0 = e(x0, 0)` (eq. 8 and 9).

    t: timestep of the usual DDPM path; on another path the one with the nearest signal-to-noise ratio. p: the norm's
    power. No noise is drawn.
    """

    t: int = 200
    p: float = 4.0

    name: ClassVar[str] = "pia"
    title: ClassVar[str] = "Proximal initialization"
    paper: ClassVar[str] = "arXiv 2305.18355"
    reported: ClassVar[tuple[Reported, ...]] = (Reported("cifar10", auc=0.92, asr=0.85),)

    def __post_init__(self) -> None:
        if not 0 <= self.t < 1000 or self.p <= 0:
            raise UserError(f"{self.name}: t must lie in 0..999 and p must be above 0")

    def cost(self, target: Target) -> Cost:
        return Cost(2)

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        first = target.denoise(target.encode(batch.pixels), target.path.like_ddpm(0), batch.condition).noise
        return [again(target, batch, first, self.t)]

    def distance(self, pairs: Pairs) -> torch.Tensor:
        return norm(pairs, self.p)


def again(target: Target, batch: Batch, first: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The noise `first` (n, c, h, w), and what the model predicts after it is added at step `t` of the DDPM path."""
    t = target.path.like_ddpm(t)
    x_t = target.noised(target.encode(batch.pixels), t, first)
    return first, target.denoise(x_t, t, batch.condition).noise


def norm(pairs: Pairs, p: float) -> torch.Tensor:
    """Minus the sum over pixels of |a - b|^p, of one pair: float64 (n,)."""
    ((a, b),) = pairs
    return -double((a - b).abs()).pow(p).flatten(1).sum(1)
