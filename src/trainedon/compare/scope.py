"""What of two pictures is compared: the hidden region, a crop around it, or the whole.

The kept part of a restoration is the original's, for members and for others alike, so it dilutes what a comparison of
whole pictures can tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from trainedon.errors import UserError

SCOPES = ("region", "crop", "picture")
MARGIN = 1.25  # the side of a crop, in sides of the hidden region


def check_scope(name: str, scope: str, possible: Sequence[str] = SCOPES) -> None:
    """Raises UserError unless `scope` is one that the similarity called `name` can work on."""
    if scope not in possible:
        raise UserError(f"{name} cannot compare {scope!r}: choose one of {', '.join(possible)}")


def apply_scope(
    pixels: torch.Tensor, mask: torch.Tensor | None, scope: str
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The pictures to encode, and how much each of their places counts (None = all alike).

    pixels: float32 (n, c, h, w), pictures or latents; mask: bool (n, h, w), at the size of pictures, True = hidden,
    None = whole pictures. Returns pictures of the same shape and, for `region`, weights float32 (n, h, w) in [0, 1].
    """
    if mask is None or scope == "picture":
        return pixels, None
    mask = mask.to(pixels.device)
    size = tuple(pixels.shape[2:])
    if scope == "region":
        weight = mask.to(pixels.dtype)
        return pixels, weight if mask.shape[1:] == size else shrunk(weight, *size)[:, 0]
    if mask.shape[1:] != size:  # latents: a place is hidden if any pixel of it is
        mask = F.adaptive_max_pool2d(mask.float(), size) > 0
    return torch.cat([_crop(row, hidden) for row, hidden in zip(torch.split(pixels, 1), mask)]), None


def shrunk(weight: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Weights at a feature map's size, each the mean over its area: (n, h, w) -> (n, 1, height, width)."""
    return F.interpolate(weight.unsqueeze(1), (height, width), mode="area")


def _crop(picture: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """A square around the hidden part, as far as the picture reaches, enlarged to the picture's size: (1, c, h, w)."""
    h, w = hidden.shape
    if not hidden.any():
        return picture
    rows, columns = hidden.any(1).nonzero()[:, 0], hidden.any(0).nonzero()[:, 0]
    tall, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    side = round(max(tall, wide) * MARGIN)
    top, bottom = _span(int(rows[0]), tall, side, h)
    left, right = _span(int(columns[0]), wide, side, w)
    return F.interpolate(picture[:, :, top:bottom, left:right], (h, w), mode="bilinear", align_corners=False)


def _span(start: int, length: int, side: int, whole: int) -> tuple[int, int]:
    side = min(side, whole)
    first = min(max(start + (length - side) // 2, 0), whole - side)
    return first, first + side
