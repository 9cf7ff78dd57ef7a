"""What is done to the hidden part of a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from trainedon.degrade.places import smooth
from trainedon.errors import UserError
from trainedon.noise import generator

if TYPE_CHECKING:
    from trainedon.pictures import Batch
    from trainedon.targets import NoisePath

DEGRADATIONS = "hide, diffuse:T, fade:T, noise:SIGMA, blur:SIGMA, downsample:FACTOR, or several joined by +"
# Where something of the hidden part is left in the degraded picture, the walk begins half-way up the noise path: from
# the top, nothing of it would be left.
LARGEST = 10_000  # of a standard deviation
START_REVEALED = 0.5


class Degradation(ABC):
    """A degradation of the masked part; the kept part comes back bit for bit.

    reveals: whether something of the hidden part is left in the degraded picture. Where it is not, the restorer is
    given the kept part alone; where it is, a restorer may start from the degraded picture.
    still: whether the restorer starts without noise, and draws none.
    """

    reveals: ClassVar[bool] = True
    still: ClassVar[bool] = False

    def start(self, path: NoisePath) -> float:
        """The share of the noise path that a restoration walks down."""
        return START_REVEALED if self.reveals else 1.0

    def __call__(self, batch: Batch, mask: torch.Tensor, *, seed: int = 0) -> torch.Tensor:
        """The degraded pictures, float32 (n, c, h, w) in [-1, 1]; mask: bool (n, h, w), True = degrade."""
        changed = self._change(batch, seed).clamp(-1, 1)
        return torch.where(mask.unsqueeze(1).to(changed.device), changed, batch.pixels)

    @abstractmethod
    def _change(self, batch: Batch, seed: int) -> torch.Tensor:
        """The whole pictures, degraded."""


@dataclass(frozen=True)
class Hide(Degradation):
    """Nothing of the hidden part is given away: it becomes mid-grey, and the model is to invent it."""

    reveals: ClassVar[bool] = False

    def _change(self, batch: Batch, seed: int) -> torch.Tensor:
        return torch.zeros_like(batch.pixels)


@dataclass(frozen=True)
class Diffuse(Degradation):
    """The hidden part is drowned in noise along the model's own path, up to timestep `t` of the usual DDPM path (on
    another path, the step with the nearest signal-to-noise ratio), and the walk begins there.

    The noise is the restorer's own: what it is given is the picture, which it noises to the start of its walk.
    """

    t: int

    def __post_init__(self) -> None:
        if not 0 < self.t < 1000:
            raise UserError(f"{type(self).__name__.lower()}:{self.t} is not possible: give a timestep in 1..999")

    def start(self, path: NoisePath) -> float:
        return (path.like_ddpm(self.t) + 1) / len(path)

    def _change(self, batch: Batch, seed: int) -> torch.Tensor:
        return batch.pixels


@dataclass(frozen=True)
class Fade(Diffuse):
    """The hidden part loses strength as `Diffuse` has it, to `alpha_t x`, and no noise takes its place: the walk begins
    with it, and what comes back is free of chance.

    One step back errs by `sigma_t / alpha_t` times the noise that the network sees where there is none.
    """

    still: ClassVar[bool] = True


@dataclass(frozen=True)
class Noise(Degradation):
    """Gaussian noise of standard deviation `sigma` is added, in units of [-1, 1], a function of digest and seed."""

    sigma: float

    def __post_init__(self) -> None:
        _check_positive("noise", self.sigma)

    def _change(self, batch: Batch, seed: int) -> torch.Tensor:
        return batch.pixels + self.sigma * _noise(batch, seed)


@dataclass(frozen=True)
class Blur(Degradation):
    """Gaussian blur, `sigma` in pixels of the picture that the model sees."""

    sigma: float

    def __post_init__(self) -> None:
        _check_positive("blur", self.sigma)

    def _change(self, batch: Batch, seed: int) -> torch.Tensor:
        return smooth(batch.pixels, self.sigma)


@dataclass(frozen=True)
class Downsample(Degradation):
    """Blocks of `factor` x `factor` pixels become their mean."""

    factor: int

    def __post_init__(self) -> None:
        if not (isinstance(self.factor, int) and self.factor >= 2):
            raise UserError(f"downsample:{self.factor} is not possible: give a whole number of pixels, 2 or more")

    def _change(self, batch: Batch, seed: int) -> torch.Tensor:
        h, w = batch.pixels.shape[2:]
        factor = min(self.factor, max(h, w))  # a larger block is no more than the whole picture
        small = F.avg_pool2d(batch.pixels, factor, ceil_mode=True)  # blocks cut by the edge average what is there
        return small.repeat_interleave(factor, 2).repeat_interleave(factor, 3)[:, :, :h, :w]


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


def parse_degradations(text: str) -> tuple[Degradation, ...]:
    """`hide`, or several joined by +, done one after another: `diffuse:100+diffuse:200`, for short `diffuse:100+200`.

    Raises UserError as `parse_degradation` does.
    """
    found: list[Degradation] = []
    name = ""
    for part in text.split("+"):
        bare = ":" not in part and name and part.strip() not in ("", "hide")
        found.append(parse_degradation(f"{name}:{part.strip()}" if bare else part))
        name = part.strip().partition(":")[0] if not bare else name
    return tuple(found)


def parse_degradation(text: str) -> Degradation:
    """`hide`, `diffuse:200`, `fade:200`, `noise:0.5`, `blur:2`, `downsample:4`. Raises UserError with the choices."""
    name, _, value = text.strip().partition(":")
    try:
        if name == "hide" and not value:
            return Hide()
        if name == "downsample":
            return Downsample(int(value))
        if name in ("diffuse", "fade"):
            return {"diffuse": Diffuse, "fade": Fade}[name](int(value))
        if name in ("noise", "blur"):
            return {"noise": Noise, "blur": Blur}[name](float(value))
    except ValueError:
        pass  # no number after the colon: the same message as for an unknown name
    raise UserError(f"degradation {text!r} is not known: choose one of {DEGRADATIONS}")
