"""What training programs do to pictures so that a model sees none twice the same, row by row and at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

SMALLEST = 0.8  # side of the smallest window of `crop`, a share of the picture's
JITTER = 0.1  # by how much `colour` changes each of its three at most
GREY = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def crop(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A window of 80 to 100 % of the side, anywhere, at the size of the whole (bilinear): float32 (n, c, h, w)."""
    side = torch.from_numpy(rng.uniform(SMALLEST, 1, len(pixels))).float()
    places = torch.from_numpy(rng.uniform(-1, 1, (len(pixels), 2))).float()
    theta = torch.zeros(len(pixels), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = side
    theta[:, :, 2] = places * (1 - side)[:, None]
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def colour(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Brightness, contrast and saturation, each times 0.9 to 1.1, in this order: float32 (n, c, h, w) in [-1, 1].

    Brightness multiplies levels from 0; contrast what differs from the picture's mean grey, saturation what differs
    from a pixel's own grey, of which one channel has nothing.
    """
    bright, contrast, saturation = torch.from_numpy(rng.uniform(1 - JITTER, 1 + JITTER, (3, len(pixels), 1, 1, 1)))
    levels: torch.Tensor = ((pixels + 1) / 2 * bright.float()).clamp(0, 1)
    mean = _grey(levels).mean((1, 2, 3), keepdim=True)
    levels = (mean + (levels - mean) * contrast.float()).clamp(0, 1)
    grey = _grey(levels)
    levels = (grey + (levels - grey) * saturation.float()).clamp(0, 1)
    return levels * 2 - 1


def _grey(levels: torch.Tensor) -> torch.Tensor:
    """(n, c, h, w) -> (n, 1, h, w)."""
    if levels.shape[1] == 1:
        return levels
    grey: torch.Tensor = (levels * torch.tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return grey


AUGMENTATIONS: dict[str, Callable[[torch.Tensor, np.random.Generator], torch.Tensor]] = {"crop": crop, "colour": colour}
