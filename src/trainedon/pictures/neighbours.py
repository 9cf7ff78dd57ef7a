"""Neighbours of a picture: as hard for any model as the picture itself, but not what a model was trained on.

What is easy to restore, such as a plain background, is restored well whether or not it was trained on. A picture and
its neighbour are alike in everything that makes them easy or hard, so that the difference between the two is memory
(neighbourhood comparison, Mattern et al., arXiv 2305.18462; PFAMI, arXiv 2308.12143, on diffusion models).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from trainedon.errors import UserError

CROP = 0.811  # of the side, as in PFAMI
ANGLE = 8.0  # degrees


def mirror(pixels: torch.Tensor) -> torch.Tensor:
    """Left and right swapped. A model that was trained on mirrored pictures too knows it as well as the original."""
    return pixels.flip(-1)


def crop(pixels: torch.Tensor) -> torch.Tensor:
    """The middle, enlarged to the picture's size."""
    return _moved(pixels, [[CROP, 0.0], [0.0, CROP]])


def turn(pixels: torch.Tensor) -> torch.Tensor:
    """Turned about its middle; the corners are filled by reflection."""
    cosine, sine = math.cos(math.radians(ANGLE)), math.sin(math.radians(ANGLE))
    height, width = pixels.shape[-2:]
    return _moved(pixels, [[cosine, -sine * height / width], [sine * width / height, cosine]])


NEIGHBOURS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mirror": mirror,
    "crop": crop,
    "turn": turn,
    "mirror-turn": lambda pixels: turn(mirror(pixels)),
}


def neighbour(name: str, pixels: torch.Tensor) -> torch.Tensor:
    """The neighbours called `name`. pixels: float32 (n, c, h, w) in [-1, 1]; returns the same shape and range."""
    return NEIGHBOURS[name](pixels)


def neighbouring(name: str, hidden: torch.Tensor) -> torch.Tensor:
    """A mask, bool (n, h, w), moved with its picture: it hides the same content."""
    return NEIGHBOURS[name](hidden.float().unsqueeze(1))[:, 0] >= 0.5


def parse_neighbours(text: str) -> tuple[str, ...]:
    """`mirror+crop`: names joined by +; `none` for none. Raises UserError for an unknown or repeated name."""
    names = () if text.strip() in ("", "none") else tuple(part.strip() for part in text.split("+"))
    unknown = [name for name in names if name not in NEIGHBOURS]
    if unknown or len(set(names)) < len(names):
        raise UserError(f"neighbours {text!r} are not known: choose from {', '.join(NEIGHBOURS)}, joined by +, or none")
    return names


def _moved(pixels: torch.Tensor, matrix: list[list[float]]) -> torch.Tensor:
    """Each place takes what lies at `matrix` times its own coordinates, in [-1, 1] from the middle (bicubic)."""
    theta = torch.tensor([[*row, 0.0] for row in matrix], dtype=pixels.dtype, device=pixels.device)
    grid = F.affine_grid(theta.expand(len(pixels), 2, 3), list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return moved.clamp(-1, 1)
