"""What is done to the hidden part of a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from trainedon.degrade.places import smooth, tile_means
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.spec import Noun, Part, register

if TYPE_CHECKING:
    from trainedon.pictures import Batch
    from trainedon.targets import NoisePath, Target

LARGEST = 10_000  # of a standard deviation
MOST_TILES = 64  # of a side
# Where something of the hidden part is left in the degraded picture, the walk begins half-way up the noise path: from
# the top, nothing of it would be left.
START_REVEALED = 0.5
UNDER_NOISE = 400  # the timestep of the usual DDPM path by whose noise the edges of tiles are drowned


class Degradation(Part, ABC):
    """A degradation of the masked part; the kept part comes back bit for bit.

    reveals: whether something of the hidden part is left in the degraded picture. Where it is not, the restorer is
    given the kept part alone; where it is, a restorer may start from the degraded picture.
    still: whether the restorer starts without noise, and draws none.
    """

    noun: ClassVar[Noun] = Noun("degradation", "trainedon.degradations", example="hide")
    reveals: ClassVar[bool] = True
    still: ClassVar[bool] = False

    @property
    def known_tiles(self) -> int:
        """The tiles of a side whose means are what is left of the hidden part, so that a restorer may hold what it
        paints to them; 0 where it is something else."""
        return 0

    def check(self, target: Target) -> None:
        """Raises UserError where nothing of the target's pictures would be hidden; evaluates nothing."""

    def start(self, path: NoisePath) -> float:
        """The share of the noise path that a restoration walks down."""
        return START_REVEALED if self.reveals else 1.0

    def __call__(self, batch: Batch, mask: torch.Tensor, *, seed: int = 0) -> torch.Tensor:
        """The degraded pictures, float32 (n, c, h, w) in [-1, 1]; mask: bool (n, h, w), True = degrade."""
        changed = self.change(batch, seed).clamp(-1, 1)
        return torch.where(mask.unsqueeze(1).to(changed.device), changed, batch.pixels)

    @abstractmethod
    def change(self, batch: Batch, seed: int) -> torch.Tensor:
        """The whole pictures, degraded: float32 (n, c, h, w), where it leaves [-1, 1] it is clamped."""


@register
@dataclass(frozen=True)
class Hide(Degradation):
    """Nothing of the hidden part is given away: it becomes mid-grey, and the model is to invent it."""

    name: ClassVar[str] = "hide"
    reveals: ClassVar[bool] = False

    def change(self, batch: Batch, seed: int) -> torch.Tensor:
        return torch.zeros_like(batch.pixels)


@register
@dataclass(frozen=True)
class Diffuse(Degradation):
    """The hidden part is noised to timestep `t` of the usual DDPM path along the model's own path (on another one, to
    the step with the nearest signal-to-noise ratio), and the walk begins there.

    The noise is the restorer's own: what it is given is the picture, which it noises to the start of its walk.
    """

    t: int

    name: ClassVar[str] = "diffuse"
    unnamed: ClassVar[tuple[str, ...]] = ("t",)

    def __post_init__(self) -> None:
        if not 0 < self.t < 1000:
            raise UserError(f"{self.name}:{self.t} is not possible: give a timestep in 1..999")

    def start(self, path: NoisePath) -> float:
        return (path.like_ddpm(self.t) + 1) / len(path)

    def change(self, batch: Batch, seed: int) -> torch.Tensor:
        return batch.pixels


@register
@dataclass(frozen=True)
class Fade(Diffuse):
    """The hidden part loses strength as `Diffuse` has it, to `alpha_t x`, and no noise takes its place: the walk begins
    with it, and what comes back is free of chance.

    One step back errs by `sigma_t / alpha_t` times the noise that the network sees where there is none.
    """

    name: ClassVar[str] = "fade"
    still: ClassVar[bool] = True


@register
@dataclass(frozen=True)
class Noise(Degradation):
    """Gaussian noise of standard deviation `sigma` is added, in units of [-1, 1], a function of digest and seed."""

    sigma: float

    name: ClassVar[str] = "noise"
    unnamed: ClassVar[tuple[str, ...]] = ("sigma",)

    def __post_init__(self) -> None:
        _check_positive("noise", self.sigma)

    def change(self, batch: Batch, seed: int) -> torch.Tensor:
        return batch.pixels + self.sigma * _noise(batch, seed)


@register
@dataclass(frozen=True)
class Blur(Degradation):
    """Gaussian blur, `sigma` in pixels of the picture that the model sees."""

    sigma: float

    name: ClassVar[str] = "blur"
    unnamed: ClassVar[tuple[str, ...]] = ("sigma",)

    def __post_init__(self) -> None:
        _check_positive("blur", self.sigma)

    def change(self, batch: Batch, seed: int) -> torch.Tensor:
        return smooth(batch.pixels, self.sigma)


@register
@dataclass(frozen=True)
class Downsample(Degradation):
    """Blocks of `factor` x `factor` pixels become their mean."""

    factor: int

    name: ClassVar[str] = "downsample"
    unnamed: ClassVar[tuple[str, ...]] = ("factor",)

    def __post_init__(self) -> None:
        if not (isinstance(self.factor, int) and self.factor >= 2):
            raise UserError(f"downsample:{self.factor} is not possible: give a whole number of pixels, 2 or more")

    def change(self, batch: Batch, seed: int) -> torch.Tensor:
        h, w = batch.pixels.shape[2:]
        factor = min(self.factor, max(h, w))  # a larger block is no more than the whole picture
        small = F.avg_pool2d(batch.pixels, factor, ceil_mode=True)  # blocks cut by the edge average what is there
        return small.repeat_interleave(factor, 2).repeat_interleave(factor, 3)[:, :, :h, :w]


@register
@dataclass(frozen=True)
class Mosaic(Degradation):
    """`tiles` x `tiles` tiles, as many whatever the picture's size, each of which becomes its mean: nothing finer is
    given away. `ddnm` holds what it paints to these means."""

    tiles: int

    name: ClassVar[str] = "mosaic"
    unnamed: ClassVar[tuple[str, ...]] = ("tiles",)

    def __post_init__(self) -> None:
        if not (isinstance(self.tiles, int) and 1 <= self.tiles <= MOST_TILES):
            raise UserError(f"mosaic:{self.tiles} is not possible: give the tiles of a side, 1 to {MOST_TILES}")

    @property
    def known_tiles(self) -> int:
        return self.tiles

    def check(self, target: Target) -> None:
        most = min(target.shape[1:]) // 2
        if self.tiles > most:
            raise UserError(
                f"mosaic:{self.tiles} would hide next to nothing: the network works on {target.shape[2]} x "
                f"{target.shape[1]} places, where a mosaic can have {most} tiles of a side at most"
            )

    def start(self, path: NoisePath) -> float:
        return (path.like_ddpm(UNDER_NOISE) + 1) / len(path)

    def change(self, batch: Batch, seed: int) -> torch.Tensor:
        return tile_means(batch.pixels, self.tiles)


def _noise(batch: Batch, seed: int) -> torch.Tensor:
    """Standard normal noise like the pictures, a function of digest and seed.

    It has a key of its own, so that it is none of the noise that a restorer draws.
    """
    shape = batch.pixels.shape[1:]
    rows = [generator("degradation", digest, seed).standard_normal(shape, np.float32) for digest in batch.sha256]
    return torch.from_numpy(np.stack(rows)).to(batch.pixels.device)


def _check_positive(name: str, sigma: float) -> None:
    if not (0 < sigma <= LARGEST):
        raise UserError(f"{name}:{sigma} is not possible: give a positive number, at most {LARGEST:,}")
