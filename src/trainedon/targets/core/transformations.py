"""Views of a picture that a model is asked about as well, each with what it does to noise and latents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from trainedon.errors import UserError
from trainedon.pictures.batch import VIEWS, Batch

if TYPE_CHECKING:
    from trainedon.targets.core.target import Target

Move = Callable[[torch.Tensor], torch.Tensor]
DEGREES = 8.0  # of `rotate`
SHEAR = 0.15  # of `shear`: how far to the side a row moves, a share of its distance from the middle
HIDDEN = 0.2  # share of a place of an interpolated region from which it counts as hidden: one pixel never gets lost


@dataclass(frozen=True)
class Transformation:
    """One way to look at pictures.

    move: float32 (n, c, h, w) -> the same shape. back: undoes it; None where it interpolates.

    kind: `places`: places are permuted, so that noise and latents are moved along exactly. `levels`: so are pixels and
    their noise, by a sign or a permutation of the channels, but not latents, which know no such thing. `interpolated`:
    noise that was moved along would no longer be white.
    """

    move: Move
    back: Move | None
    kind: Literal["places", "levels", "interpolated"]

    @property
    def undoes_itself(self) -> bool:
        return self.back is self.move

    def conjugates(self, target: Target) -> bool:
        """Whether `g^-1 f(g x)` can be asked of the target, noise moved along. Else the view of the picture, in latents
        encoded, is scored with the noise of the picture."""
        return self.kind == "places" or (self.kind == "levels" and not (target.latent or target.inpaints))

    def of(self, batch: Batch) -> Batch:
        """The pictures in this view; their digests, and so their noise, stay."""
        return replace(batch, pixels=self.move(batch.pixels), turned_first={})

    def of_region(self, region: torch.Tensor) -> torch.Tensor:
        """The same region, bool (n, h, w), of pictures in this view."""
        return region if self.kind == "levels" else self.move(region.float()[:, None])[:, 0] > HIDDEN


def _interpolated(matrix: Callable[[float], list[list[float]]], pixels: torch.Tensor) -> torch.Tensor:
    """Bilinear, mirrored at the edges. matrix: from places of the view to those of the picture, in units of half a
    side, for a picture whose height is so many times its width."""
    n, _, height, width = pixels.shape
    theta = torch.tensor(matrix(height / width), dtype=torch.float32).expand(n, 2, 3)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    # on the CPU: all devices are shown the same picture, and some lack this way to continue the edges
    seen = F.grid_sample(pixels.cpu(), grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return seen.to(pixels.device)


def _rotation(tall: float) -> list[list[float]]:
    cos, sin = math.cos(math.radians(DEGREES)), math.sin(math.radians(DEGREES))
    return [[cos, -sin * tall, 0.0], [sin / tall, cos, 0.0]]


def _shear(tall: float) -> list[list[float]]:
    return [[1.0, SHEAR * tall, 0.0], [0.0, 1.0, 0.0]]


def _swap_quarters(pixels: torch.Tensor, sign: int = 1) -> torch.Tensor:
    """Each quarter goes where the one across lies; of an odd side the middle goes to the edge."""
    height, width = pixels.shape[-2:]
    return torch.roll(pixels, (sign * (height // 2), sign * (width // 2)), dims=(-2, -1))


def _own_inverse(move: Move, kind: Literal["places", "levels"]) -> Transformation:
    return Transformation(move, move, kind)


# The first three keep the shape of every rectangle, and any two of them make the third one.
TRANSFORMATIONS: dict[str, Transformation] = {
    name: _own_inverse(partial(torch.flip, dims=axes), "places") for name, axes in VIEWS.items()
} | {
    "quarter-turn": Transformation(
        partial(torch.rot90, k=1, dims=(-2, -1)), partial(torch.rot90, k=-1, dims=(-2, -1)), "places"
    ),
    "rotate": Transformation(partial(_interpolated, _rotation), None, "interpolated"),
    "shear": Transformation(partial(_interpolated, _shear), None, "interpolated"),
    "quarters": Transformation(_swap_quarters, partial(_swap_quarters, sign=-1), "places"),
    "negative": _own_inverse(torch.neg, "levels"),
    "red-blue": _own_inverse(partial(torch.flip, dims=(-3,)), "levels"),
}


def check_symmetries(names: Sequence[str], target: Target, called: str) -> None:
    """Raises UserError for a view that pictures of the target do not have. called: the attack."""
    channels, height, width = target.picture
    if "quarter-turn" in names and height != width:
        raise UserError(
            f"{called}: quarter-turn is for square pictures, and the model takes {width} x {height}: leave it out"
        )
    if "red-blue" in names and channels != 3:
        raise UserError(f"{called}: red-blue is for pictures in colour, and the model takes grey ones: leave it out")
