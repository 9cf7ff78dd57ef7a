"""Of one picture, copies that serve equally well: by cut, turn, mirror, or a pattern below what is seen."""

from __future__ import annotations

import hashlib
import math
from typing import Literal, get_args

import numpy as np
from PIL import Image

from trainedon.errors import PictureError, UserError

Way = Literal["crop", "turn", "pattern", "mirror"]
WAYS: tuple[Way, ...] = get_args(Way)
AUTO: Way = "crop"  # the one that is found best again (docs/twins.md)
MARGIN = 0.06  # of the shorter side: how far the cuts of `crop` lie apart
DEGREES = 1.5  # the largest turn
LEVELS = 2.0  # root mean square of a pattern, of 255
CELLS = 16  # of a pattern along the shorter side, so that it outlasts resizing to 32 pixels
LEAST = 16  # side of a picture in pixels


def known_way(name: str) -> Way:
    """The way of that name; `auto` is AUTO. Raises UserError for another one."""
    for way in WAYS:
        if name == way:
            return way
    if name != "auto":
        raise UserError(f"--way {name!r} is not known: choose from auto, {', '.join(WAYS)}")
    return AUTO


def copies(rgb: np.ndarray, way: Way, n: int, key: str) -> list[np.ndarray]:
    """`n` copies of a picture, uint8 (h, w, 3) each and of one size, none of them the picture itself but of `mirror`.

    They come from one process and stand in a fixed order, of which `key`, a secret text, decides what is left to
    chance; which of them is published is another coin. crop: cuts of one size whose corners lie MARGIN of the shorter
    side apart. turn: turns between -DEGREES and DEGREES, cut to what all of them show. pattern: low-passed noise of
    LEVELS, the first with the opposite sign of the second, and so on. mirror: the picture and its mirror image.
    Raises UserError where a picture is too small for so many, or `mirror` is asked for more than two.
    """
    if min(rgb.shape[:2]) < LEAST:
        raise PictureError(f"a picture of {rgb.shape[1]} x {rgb.shape[0]} pixels is too small for twins")
    rng = np.random.Generator(np.random.Philox(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])))
    if way == "mirror":
        if n != 2:
            raise UserError("a picture has one mirror image: give --kept 1, or another --way")
        return [rgb, rgb[:, ::-1]]
    make = {"crop": _cuts, "turn": _turns, "pattern": _patterns}[way]
    return make(rgb, n, rng)


def _cuts(rgb: np.ndarray, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    height, width = rgb.shape[:2]
    margin = max(2, round(MARGIN * min(height, width)))
    side = math.ceil(math.sqrt(n))
    if side > margin + 1:
        raise PictureError(f"a picture of {width} x {height} pixels has no {n} cuts: give a smaller --kept")
    steps = np.rint(np.linspace(0, margin, side)).astype(int).tolist()
    corners = [(top, left) for top in steps for left in steps]
    if n == 2:  # opposite corners
        chosen = [corners[at] for at in ((0, 3) if rng.integers(2) else (1, 2))]
    else:
        chosen = [corners[at] for at in rng.permutation(len(corners))[:n].tolist()]
    return [rgb[top : top + height - margin, left : left + width - margin] for top, left in chosen]


def _turns(rgb: np.ndarray, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    height, width = rgb.shape[:2]
    even = n + n % 2  # an odd number would hold the picture unturned, which is not resampled
    degrees = np.linspace(-DEGREES, DEGREES, even)[np.sort(rng.permutation(even)[:n])]
    lost = math.tan(math.radians(DEGREES)) / 2
    top, left = math.ceil(width * lost) + 1, math.ceil(height * lost) + 1
    image = Image.fromarray(rgb)
    turned = (np.asarray(image.rotate(one, Image.Resampling.BICUBIC)) for one in degrees.tolist())
    return [one[top : height - top, left : width - left] for one in turned]


def _patterns(rgb: np.ndarray, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    height, width = rgb.shape[:2]
    cell = min(height, width) / CELLS
    found = []
    for _ in range((n + 1) // 2):
        coarse = rng.standard_normal((math.ceil(height / cell), math.ceil(width / cell), 3)).astype(np.float32)
        bands = [
            np.asarray(Image.fromarray(coarse[..., band]).resize((width, height), Image.Resampling.BICUBIC))
            for band in range(3)
        ]
        pattern = np.stack(bands, axis=-1)
        pattern *= LEVELS / math.sqrt(float((pattern**2).mean()))
        found += [np.clip(np.rint(rgb + sign * pattern), 0, 255).astype(np.uint8) for sign in (1, -1)]
    return found[:n]
