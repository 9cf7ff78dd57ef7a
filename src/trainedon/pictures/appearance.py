"""How a picture looks, without any model: a hash that copies share, traces of its history, a small descriptor."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

_HASH_SIDE = 32  # pixels
_HASH_BLOCK = 8  # lowest frequencies of each direction
_PLAIN = 4.0  # of a coefficient; rounding alone gives 0.3
_ENOUGH = 16  # plain coefficients; a figure symmetric both ways has 15 at most, a stripe or a gradient 7
_BLOCK = 8  # pixels, of JPEG
_WINDOW = 512  # pixels, a multiple of the block; traces of compression and scaling show in a part
_ROUNDING = 1 / 12  # variance that rounding to whole levels adds
_THUMBNAIL, _CELLS, _ORIENTATIONS = 8, 4, 8
_LAYOUT_SIDE = 64  # pixels


def perceptual_hash(rgb: np.ndarray) -> str | None:
    """64 bits that stay nearly the same under compression and scaling, as 16 hex characters.

    rgb: uint8 (h, w, 3). The grey picture at 32 x 32 pixels is transformed by the orthonormal DCT-II; a bit tells
    whether one of its 8 x 8 lowest coefficients lies above the median of the 63 that are no mean. The bit of the mean
    is 0. None for a picture without structure, flat, striped or a plain disc, where fewer than 16 coefficients reach 4:
    most of its bits would be noise or zero, and all such pictures copies of each other.
    """
    grey = Image.fromarray(rgb).convert("L").resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS)
    coefficients = (_DCT @ np.asarray(grey, dtype=np.float64) @ _DCT.T).reshape(-1)[1:]
    if (np.abs(coefficients) >= _PLAIN).sum() < _ENOUGH:
        return None
    # half the coefficients of a symmetric picture are zero but for the last digit of the arithmetic
    coefficients = coefficients.round(6)
    median = np.sort(coefficients)[len(coefficients) // 2]  # of an odd number of them
    bits = np.concatenate([[False], coefficients > median])
    return np.packbits(bits).tobytes().hex()


def _dct(side: int, lowest: int) -> np.ndarray:
    """The first rows of the orthonormal DCT-II matrix, float64 (lowest, side)."""
    k, i = np.mgrid[:lowest, :side]
    matrix: np.ndarray = np.sqrt(2 / side) * np.cos(np.pi * k * (2 * i + 1) / (2 * side))
    matrix[0] /= np.sqrt(2)
    return matrix


_DCT = _dct(_HASH_SIDE, _HASH_BLOCK)
_BLOCK_DCT = _dct(_BLOCK, _BLOCK)


def jpeg_trace(rgb: np.ndarray) -> float:
    """How much more often than elsewhere the DCT of JPEG's 8 x 8 blocks has vanishing coefficients: 1 = no trace.

    rgb: uint8 (h, w, 3); the middle 512 x 512 pixels are looked at. JPEG rounds coefficients to whole steps, most of
    them to zero, and a picture that was once a JPEG keeps that when it is saved as something else. The share of AC
    coefficients of luminance below 1 level is divided by that for blocks which begin 4 pixels further on, one per cent
    added to both. Pictures below 16 pixels on a side give 1.
    """
    if min(rgb.shape[:2]) < 2 * _BLOCK:
        return 1.0
    grey = _middle(rgb)
    here, beside = (_vanishing(grey[offset:, offset:]) for offset in (0, _BLOCK // 2))
    return (here + 0.01) / (beside + 0.01)


def _vanishing(grey: np.ndarray) -> float:
    """Share of the AC coefficients of all whole blocks that are smaller than one level."""
    down, across = (side // _BLOCK for side in grey.shape)
    blocks = grey[: down * _BLOCK, : across * _BLOCK].reshape(down, _BLOCK, across, _BLOCK).transpose(0, 2, 1, 3)
    coefficients = (_BLOCK_DCT @ blocks @ _BLOCK_DCT.T).reshape(-1, _BLOCK**2)[:, 1:]
    return float((np.abs(coefficients) < 1).mean())


def detail(rgb: np.ndarray) -> float:
    """Share of the spectral energy above half the Nyquist frequency of either direction, in [0, 1]: low when enlarged.

    rgb: uint8 (h, w, 3); the grey picture's middle 512 x 512 pixels, less their mean, under a Hann window. The energy
    that rounding adds counts as low, so that a flat picture gives 0.
    """
    grey = _middle(rgb)
    window, high, weight, rounding = _spectrum(*grey.shape)
    centred = grey - (grey * window).sum() / weight
    energy = np.abs(np.fft.fft2(centred * window)) ** 2
    return float(energy[high].sum() / (energy.sum() + rounding))


@lru_cache(maxsize=2)  # most pictures of a set have one size; 2 MB each
def _spectrum(height: int, width: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Hann window, which frequencies are high (both (height, width)), the window's sum, and the energy of rounding."""
    window = np.outer(*(np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 for side in (height, width)))
    vertical, horizontal = np.fft.fftfreq(height), np.fft.fftfreq(width)
    high = np.maximum(np.abs(vertical[:, None]), np.abs(horizontal)) > 0.25  # enlarging twice leaves these empty
    return window, high, window.sum(), _ROUNDING * (window**2).sum() * window.size


def _middle(rgb: np.ndarray) -> np.ndarray:
    """The grey middle of a picture, at most 512 x 512 pixels, cut where JPEG's blocks begin: float64 (h, w)."""
    top, left = (max(0, side - _WINDOW) // 2 // _BLOCK * _BLOCK for side in rgb.shape[:2])
    part = np.ascontiguousarray(rgb[top : top + _WINDOW, left : left + _WINDOW])
    return np.asarray(Image.fromarray(part).convert("L"), dtype=np.float64)


def layout(rgb: np.ndarray) -> np.ndarray:
    """A descriptor of composition, edges and colour for telling kinds of pictures apart: float32 (224,), in [-1, 1].

    rgb: uint8 (h, w, 3), squeezed to 64 x 64 pixels. In this order: 8 x 8 grey thumbnail in [0, 1]; in 4 x 4 cells, 8
    unsigned directions of gradients weighted by magnitude, each cell's summing to at most 1; in 4 x 4 cells, the two
    colour differences red - green and (red + green) / 2 - blue.
    """
    side = _LAYOUT_SIDE
    small = np.asarray(Image.fromarray(rgb).resize((side, side), Image.Resampling.LANCZOS), dtype=np.float64) / 255
    grey = small @ (0.299, 0.587, 0.114)
    red, green, blue = _cells(small, _CELLS).transpose(2, 0, 1)
    colours = [red - green, (red + green) / 2 - blue]
    parts = [_cells(grey, _THUMBNAIL), _gradients(grey), *colours]
    return np.concatenate([part.reshape(-1) for part in parts]).astype(np.float32)


def _gradients(grey: np.ndarray) -> np.ndarray:
    """Histograms of gradient directions, float64 (4, 4, 8); a direction between two bins counts for both."""
    vertical, horizontal = np.gradient(grey)
    magnitude = np.hypot(vertical, horizontal)
    place = (np.arctan2(vertical, horizontal) / np.pi % 1) * _ORIENTATIONS
    away = np.abs(place[..., None] - np.arange(_ORIENTATIONS))
    share = np.clip(1 - np.minimum(away, _ORIENTATIONS - away), 0, None)
    histograms: np.ndarray = _cells(magnitude[..., None] * share, _CELLS)
    histograms /= histograms.sum(axis=2, keepdims=True) + 1 / 255
    return histograms


def _cells(values: np.ndarray, cells: int) -> np.ndarray:
    """Means over a grid of equal cells: (h, w, ...) -> (cells, cells, ...)."""
    step = values.shape[0] // cells
    means: np.ndarray = values.reshape(cells, step, cells, step, *values.shape[2:]).mean(axis=(1, 3))
    return means
