"""What a picture's handling leaves in it: where things lie, its grain, and the levels that it uses.

Moving a picture by a pixel, adding noise that no eye sees, or stretching its contrast changes what a model says of it,
and shows in these numbers.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 32  # pixels, of the thumbnail
_WINDOW = 256  # pixels; grain and levels show in a part
_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_FLAT = 0.2  # share of the differences
_AROUND = 9  # levels
_EXTREMES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)


def thumbnail(rgb: np.ndarray) -> np.ndarray:
    """The grey picture squeezed to 32 x 32 pixels, by rows: uint8 (1024,). rgb: uint8 (h, w, 3)."""
    small = Image.fromarray(rgb).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small).reshape(-1)


def grain(rgb: np.ndarray) -> np.ndarray:
    """How fine differences are spread in each channel, and how alike they are across channels: float32 (33,).

    rgb: uint8 (h, w, 3); the middle 256 x 256 pixels are looked at. d = x - right - below + diagonal is 0 in flat and
    evenly shaded parts whatever the motif, so that noise, smoothing and sharpening show. In this order: a channel
    each, seven quantiles of |d|, its mean and the mean of its lowest fifth, as log(1 + value), and the share of zeros;
    then the correlations of d of red and green, red and blue, green and blue. Zeros for a picture one pixel wide or
    high.
    """
    x = _middle(rgb).astype(np.int16)
    d = (x[:-1, :-1] - x[:-1, 1:] - x[1:, :-1] + x[1:, 1:]).reshape(-1, 3)
    if not len(d):
        return np.zeros(33, np.float32)
    sizes = [np.bincount(channel, minlength=1) for channel in np.abs(d).T]
    spread = [value for counts in sizes for value in _spread(counts)]
    return np.array([*spread, *_correlations(d)], np.float32)


def _spread(counts: np.ndarray) -> list[float]:
    """Of whole numbers 0, 1, ..., of which there are so many each: what `grain` takes."""
    values, below = np.arange(len(counts)), np.cumsum(counts)
    n = below[-1]
    flat = np.minimum(counts, np.maximum(0, np.ceil(_FLAT * n) - (below - counts)))  # those of the lowest fifth
    logs = [*_quantiles(counts, _QUANTILES), values @ counts / n, values @ flat / flat.sum()]
    return [*np.log1p(logs), counts[0] / n]


def _quantiles(counts: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """The smallest values that so many of the numbers 0, 1, ... are at or below; counts: how many there are of each."""
    below = np.cumsum(counts)
    values: np.ndarray = np.searchsorted(below, np.maximum(1, np.array(shares) * below[-1])).astype(float)
    return values


def _correlations(d: np.ndarray) -> list[float]:
    """Of the three pairs of columns, whole numbers (n, 3); 0 where a column is constant."""
    c = d - d.mean(axis=0)
    products = c.T @ c
    size = np.sqrt(np.maximum(np.diag(products), 1e-9))
    return [float(products[i, j] / size[i] / size[j]) for i, j in ((0, 1), (0, 2), (1, 2))]


def levels(rgb: np.ndarray) -> np.ndarray:
    """Which of the 256 levels each channel uses, and how evenly: float32 (42,).

    rgb: uint8 (h, w, 3); the middle 256 x 256 pixels are looked at. A channel each: quantiles from the lowest to the
    highest level, in [0, 1]; log of the number of levels; the shares of 0 and of 255; and two traces that stretching or
    squeezing contrast leaves, since levels are whole numbers: log of how rough the histogram is, and the share of gaps
    in it, both against what counting by chance gives.
    """
    return np.array([_used(np.bincount(c, minlength=256)) for c in _middle(rgb).reshape(-1, 3).T], np.float32).ravel()


def _used(counts: np.ndarray) -> list[float]:
    """What `levels` says of one channel; counts: of the pixels at each level, (256,)."""
    n, there = counts.sum(), np.flatnonzero(counts)
    within = counts[there[0] : there[-1] + 1].astype(float)
    curve = within[1:-1] - (within[:-2] + within[2:]) / 2
    rough = (curve**2).sum() / (1.5 * within.sum())  # 1 for independent counts of a smooth mean
    around = np.convolve(within, np.full(_AROUND, 1 / _AROUND), "same")[: len(within)]
    gaps = (within == 0).mean() - np.exp(-around).mean()  # a Poisson count is 0 with probability exp(-mean)
    shares = _quantiles(counts, _EXTREMES) / 255
    return [*shares, np.log(len(there)), counts[0] / n, counts[-1] / n, np.log(rough + 0.1), gaps]


def borders(rgb: np.ndarray) -> np.ndarray:
    """How the outermost rows and columns go on with the picture, and with the opposite side: float32 (10,).

    rgb: uint8 (h, w, 3). Logs of mean differences of grey values, plus half a level, over that of all neighbours: from
    the first to the second row and from the second to the third, from each of the four sides; and from the first to the
    last row and column. Rows repeated, wrapped around, blackened or filled in stand out. Zeros for pictures below three
    pixels on a side.
    """
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    if min(grey.shape) < 3:
        return np.zeros(10, np.float32)
    inner = _middle(grey).astype(np.int16)
    usual = (np.abs(np.diff(inner, axis=0)).mean() + np.abs(np.diff(inner, axis=1)).mean()) / 2
    sides = [side[:3].astype(np.int16) for side in (grey, grey[::-1], grey.T, grey.T[::-1])]
    top, bottom, left, right = sides
    apart = [np.abs(side[k] - side[k + 1]).mean() for side in sides for k in (0, 1)]
    apart += [np.abs(top[0] - bottom[0]).mean(), np.abs(left[0] - right[0]).mean()]
    logs: np.ndarray = np.log((np.array(apart) + 0.5) / (usual + 0.5))
    return logs.astype(np.float32)


def fringes(rgb: np.ndarray) -> np.ndarray:
    """Whether the edges of red and of blue lie to one side of those of green: float32 (6,), each the other sign for the
    mirror image.

    rgb: uint8 (h, w, 3); the middle 256 x 256 pixels are looked at. A channel that is moved sideways differs from
    green by a part of its slope, and in its second derivative by a part of its third, which runs against the slope.
    Returned is the correlation of the two, of red and of blue, in the picture as it is and in means over 2 x 2 and
    4 x 4 pixels, which hide noise. Scans, video frames and lenses that are out of line leave such fringes in all their
    pictures. Zeros where fewer than three pixels are left in a row.
    """
    x, found = _middle(rgb).astype(np.float64), list[float]()
    for _ in range(3):
        slope, bend = x[:, 2:] - x[:, :-2], x[:, 2:] - 2 * x[:, 1:-1] + x[:, :-2]
        found += [_along(slope[..., k], bend[..., 1] - bend[..., k]) for k in (0, 2)]
        x = _halved(x)
    return np.array(found, np.float32)


def _halved(x: np.ndarray) -> np.ndarray:
    """Means over 2 x 2 pixels, without a few columns in the middle where 4 does not divide the width, so that the
    mirror image has the same."""
    rows, columns = len(x) // 2 * 2, x.shape[1]
    side = columns // 4 * 2
    even = np.delete(x[:rows], np.s_[side : columns - side], axis=1)
    small: np.ndarray = even.reshape(rows // 2, 2, side, 2, 3).mean(axis=(1, 3))
    return small


def _along(a: np.ndarray, b: np.ndarray) -> float:
    """Their correlation about zero."""
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum() + 1e-9))


def _middle(rgb: np.ndarray) -> np.ndarray:
    top, left = (max(0, side - _WINDOW) // 2 for side in rgb.shape[:2])
    return rgb[top : top + _WINDOW, left : left + _WINDOW]
