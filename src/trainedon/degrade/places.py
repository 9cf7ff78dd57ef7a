"""Masks with an exact number of hidden pixels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from trainedon.errors import UserError


def check_ratio(ratio: float) -> None:
    """Raises UserError unless `ratio`, the hidden share of a picture, lies in (0, 1]."""
    if not 0 < ratio <= 1:
        raise UserError(
            f"mask ratio {ratio:g} is not possible: give the hidden share of the picture, above 0, at most 1"
        )


def hidden_pixels(ratio: float, height: int, width: int) -> int:
    """How many pixels a mask ratio hides: the nearest whole number, one at least."""
    return max(1, round(ratio * height * width))


def highest(values: torch.Tensor, k: int) -> torch.Tensor:
    """The k highest places of each map; among equal ones the first in reading order.

    values: float (n, h, w). Returns bool (n, h, w), exactly k True in each row.
    """
    order = values.flatten(1).cpu().sort(dim=1, descending=True, stable=True).indices
    mask = torch.zeros(len(values), values[0].numel(), dtype=torch.bool)
    mask.scatter_(1, order[:, :k], True)
    return mask.view(values.shape)


def smooth(values: torch.Tensor, sigma: float, radius: int | None = None) -> torch.Tensor:
    """Gaussian blur with edges continued outwards; float (n, c, h, w), sigma in pixels, radius 3 sigma if not given."""
    radius = radius or max(1, math.ceil(3 * sigma))
    taps = torch.arange(-radius, radius + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (taps / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    n, c, h, w = values.shape
    padded = F.pad(values, (radius, radius, radius, radius), mode="replicate").view(n * c, 1, h + 2 * radius, -1)
    return F.conv2d(F.conv2d(padded, kernel.unsqueeze(2)), kernel.unsqueeze(3)).view(n, c, h, w)


def salient(saliency: torch.Tensor, ratio: float) -> torch.Tensor:
    """The most salient share of each picture, in few connected pieces.

    Attention maps are coarse and speckled; a blur by 1/16 of the shorter side joins the speckles before the highest
    places are taken. saliency: float (n, h, w). Returns bool (n, h, w), exact to one pixel.
    """
    _, h, w = saliency.shape
    smoothed = smooth(saliency.float().unsqueeze(1), min(h, w) / 16)[:, 0]
    return highest(smoothed, hidden_pixels(ratio, h, w))


def tiles(height: int, width: int, n: int) -> torch.Tensor:
    """The number of the part, of `n` x `n` in reading order, that each pixel belongs to: int64 (h, w)."""
    return _part(height, n)[:, None] * n + _part(width, n)


def tile_means(values: torch.Tensor, n: int) -> torch.Tensor:
    """Each pixel becomes the mean of its part, of those of `tiles`. values: float32 (..., h, w), as is what is
    returned."""
    down, across = ((torch.arange(n)[:, None] == _part(side, n)).to(values) for side in values.shape[-2:])
    sums = down @ values @ across.T  # products, because sums by index differ from run to run on CUDA
    pixels = down.sum(1)[:, None] * across.sum(1)
    return down.T @ (sums / pixels.clamp(min=1)) @ across


def _part(side: int, n: int) -> torch.Tensor:
    """The number of the part, of `n`, that each pixel of a side belongs to: int64 (side,)."""
    return torch.arange(side) * n // side


def center(height: int, width: int, ratio: float) -> torch.Tensor:
    """The most square-like set of pixels around the middle: bool (h, w), exact to one pixel."""
    y = (torch.arange(height) - (height - 1) / 2).abs().view(-1, 1)
    x = (torch.arange(width) - (width - 1) / 2).abs().view(1, -1)
    # squares grow ring by ring; within the last, incomplete ring the pixels nearest to the middle come first
    ring = torch.maximum(y, x).ceil()
    distance = torch.hypot(y, x) / (height + width)  # below 1, so it orders pixels inside a ring only
    return highest(-(ring + distance).unsqueeze(0), hidden_pixels(ratio, height, width))[0]


def ellipse(height: int, width: int, box: tuple[float, float, float, float], ratio: float) -> torch.Tensor:
    """The ellipse of the shape and place of `box`, grown or shrunk to the wanted share of the picture.

    box: left, top, width, height in pixels. Returns bool (h, w), exact to one pixel.
    """
    left, top, box_width, box_height = box
    y = (torch.arange(height) + 0.5 - (top + box_height / 2)).view(-1, 1) / box_height
    x = (torch.arange(width) + 0.5 - (left + box_width / 2)).view(1, -1) / box_width
    return highest(-(y**2 + x**2).unsqueeze(0), hidden_pixels(ratio, height, width))[0]


def rectangle(height: int, width: int, ratio: float, random: np.random.Generator) -> torch.Tensor:
    """A rectangle of random place and shape (sides at most 1 : 2 where the ratio allows): bool (h, w).

    Exact to one pixel: where no rectangle has that many pixels, its first or last row is left incomplete.
    """
    k = hidden_pixels(ratio, height, width)
    tall = round(math.sqrt(k) * 2 ** random.uniform(-0.5, 0.5))
    tall = min(max(tall, math.ceil(k / width)), height)
    wide = math.ceil(k / tall)
    top = random.integers(height - tall, endpoint=True)
    left = random.integers(width - wide, endpoint=True)
    mask = torch.zeros(height, width, dtype=torch.bool)
    inside = (torch.arange(tall * wide) < k).view(tall, wide)
    if random.integers(2):  # else no corner at the lower right would ever be hidden
        inside = inside.flip(0, 1)
    mask[top : top + tall, left : left + wide] = inside
    return mask
