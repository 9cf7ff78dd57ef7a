"""Regions that are the same whatever the picture shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from trainedon.degrade import places
from trainedon.degrade.regions.region import NOTHING, Roi, Seen, Several, Share, alike, size_of
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.spec import register

if TYPE_CHECKING:
    from trainedon.pictures import Batch

MOST_TILES = 64  # of a side


@register
@dataclass(frozen=True)
class Center(Share):
    """A square in the middle, of `ratio` of the picture."""

    name: ClassVar[str] = "center"

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        return alike(batch, places.center(*size_of(batch), self.ratio))


@register
@dataclass(frozen=True)
class Random(Share):
    """A rectangle of random place and shape, of `ratio` of the picture: a function of its digest and `seed`."""

    seed: int = 0

    name: ClassVar[str] = "random"

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        h, w = batch.pixels.shape[2:]
        keys = (generator("random region", digest, self.seed) for digest in batch.sha256)
        return torch.stack([places.rectangle(h, w, self.ratio, key) for key in keys]).to(batch.pixels.device)


@register
@dataclass(frozen=True)
class Quadrant(Roi):
    """One quarter: 0 upper left, 1 upper right, 2 lower left, 3 lower right. The four cover a picture once."""

    k: int

    name: ClassVar[str] = "quadrant"
    unnamed: ClassVar[tuple[str, ...]] = ("k",)

    def __post_init__(self) -> None:
        if self.k not in range(4):
            raise UserError(f"quadrant:{self.k} does not exist: choose 0, 1, 2 or 3")

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        h, w = batch.pixels.shape[2:]
        lower = (torch.arange(h) >= h // 2).view(-1, 1)
        right = (torch.arange(w) >= w // 2).view(1, -1)
        return alike(batch, (lower == bool(self.k & 2)) & (right == bool(self.k & 1)))


@register
@dataclass(frozen=True)
class Tile(Roi):
    """One of `n` x `n` equal parts, the k-th in reading order."""

    k: int
    n: int

    name: ClassVar[str] = "tile"
    unnamed: ClassVar[tuple[str, ...]] = ("k", "n")

    def __post_init__(self) -> None:
        if not (self.n >= 1 and 0 <= self.k < self.n**2):
            raise UserError(f"tile {self.k} of {self.n} x {self.n} does not exist")

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        return alike(batch, places.tiles(*size_of(batch), self.n) == self.k)


@register
@dataclass(frozen=True)
class Full(Roi):
    """The whole picture: the model is given nothing of it."""

    name: ClassVar[str] = "full"

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        return alike(batch, torch.ones(batch.pixels.shape[2:], dtype=torch.bool))


@register
def quadrants() -> Several:
    """The four quarters one after another: every part of the picture is hidden once."""
    return Several(tuple(Quadrant(k) for k in range(4)))


@register
def cover() -> Several:
    """The centre, then each quadrant: every part of the picture is hidden once, and the middle once more whole.

    What one region says of a picture depends on what happens to lie there; a blank corner is restored by any model.
    """
    return Several((Center(0.25), *quadrants().parts))


@register
def tiles(n: int) -> Several:
    """All of `n` x `n` equal parts, one after another."""
    if not 0 < n <= MOST_TILES:
        raise UserError(f"tiles:{n} is not possible: give the number of parts of a side, 1 to {MOST_TILES}")
    return Several(tuple(Tile(k, n) for k in range(n**2)))
