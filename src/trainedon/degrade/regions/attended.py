"""Regions that a network's attention chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from trainedon.degrade import places
from trainedon.degrade.regions.region import NOTHING, Ask, Roi, Seen, Several, Share, size_of
from trainedon.errors import UserError
from trainedon.spec import register
from trainedon.vision.vit import cls_attention

if TYPE_CHECKING:
    from trainedon.pictures import Batch

T = 100  # the timestep at which the audited model is asked, unless another one is given


@register
@dataclass(frozen=True)
class Attention(Share):
    """The places that draw most attention (Fu et al., arXiv 2403.08487, mask by attention).

    ratio: hidden share of the picture. source: "own" = the self-attention of the audited model for the noise-free
    picture at timestep `t`; otherwise the folder or hub id of a DINO vision transformer, whose CLS token is asked.
    """

    source: str = "own"
    t: int = T

    name: ClassVar[str] = "attention"
    unnamed: ClassVar[tuple[str, ...]] = ("ratio", "source")

    def asks(self) -> tuple[Ask, ...]:
        return (Ask(self.t),) if self.source == "own" else ()

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        saliency = seen[Ask(self.t)] if self.source == "own" else cls_attention(self.source, batch.pixels)
        return places.salient(saliency, self.ratio).to(batch.pixels.device)


@register
@dataclass(frozen=True)
class Words(Share):
    """The places that pay most attention to the words of the caption: what a text-to-image model takes it to name.

    ratio, t: as for `Attention`. Where a caption has no words, the places that draw most attention.
    """

    t: int = T

    name: ClassVar[str] = "words"

    def asks(self) -> tuple[Ask, ...]:
        return Ask(self.t, words=True), Ask(self.t)

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        paid, received = (seen[ask] for ask in self.asks())
        saliency = torch.where(paid.isnan(), received, paid)
        return places.salient(saliency, self.ratio).to(batch.pixels.device)


@register
@dataclass(frozen=True)
class Ranked(Roi):
    """Of `n` x `n` equal parts the one that draws the `rank`-th most of the audited model's attention, 0 the most."""

    rank: int
    n: int = 4
    t: int = T

    name: ClassVar[str] = "rank"
    unnamed: ClassVar[tuple[str, ...]] = ("rank", "n")

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.n**2:
            raise UserError(f"ranked: there are {self.n**2} parts to rank: choose from 1 to as many")

    def asks(self) -> tuple[Ask, ...]:
        return (Ask(self.t),)

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        saliency = seen[Ask(self.t)]
        numbers = places.tiles(*size_of(batch), self.n).to(saliency.device)  # (h, w)
        drawn = torch.stack([saliency[:, numbers == k].mean(1) for k in range(self.n**2)], dim=1)
        chosen = drawn.cpu().sort(dim=1, descending=True, stable=True).indices[:, self.rank].to(saliency.device)
        return (numbers == chosen[:, None, None]).to(batch.pixels.device)


@register
def ranked(k: int) -> Several:
    """Of 4 x 4 equal parts the `k` that draw most of the audited model's attention, one after another."""
    if k < 1:
        raise UserError(f"ranked:{k} is not possible: give a number of parts, 1 or more")
    return Several(tuple(Ranked(rank) for rank in range(k)))
