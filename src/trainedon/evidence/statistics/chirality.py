"""Can pictures be told from their mirror images? A cross-fitted classifier, its p-value by flips of signs.

Where they can, mirror images of such pictures are not as likely as the pictures: text, digits, clocks, faces lit from
one side. Then a model that never saw them may know them better than their mirror images too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.stats import rankdata

FOLDS = 5
FLIPS = 999
CELLS = 1 << 18  # pictures times flips that are fitted at once
SEED = 20241129


@final
@dataclass(frozen=True)
class HandedView:
    """How well one description of pictures tells them from their mirror images: the share that is told right, its
    p-value alone, and how far its statistic spreads where mirror images are as likely (standard deviation)."""

    share: float
    p_value: float
    spread: float


def chirality_test(differences: Sequence[np.ndarray], ridge: float = 1.0) -> tuple[list[HandedView], float]:
    """How well each of several descriptions tells pictures from their mirror images, and one p-value for all of them.

    differences: for each description float64 (n, d), that of the picture minus that of its mirror image. Fisher's
    discriminant with an L2 penalty of `ridge` times the mean eigenvalue is fitted on four fifths, and says of the last
    fifth which of the two is the picture, by a number whose size tells how clearly; a picture that is its own mirror
    image is told right by half. The statistic is the mean of these numbers, positive where right, over their root mean
    square, which finds what the share finds with fewer pictures. Where mirror images are as likely, every difference
    might as well have the other sign: signs are dealt anew, everything is fitted again, and the smallest p-value is
    compared with what it is then (Westfall and Young, 1993). Rows must be in an order that has nothing to do with the
    pictures, such as that of their digests.
    """
    n = len(differences[0])
    if n < FOLDS:
        return [HandedView(0.5, 1.0, 1.0) for _ in differences], 1.0
    fold = np.arange(n) % FOLDS
    kernels = [_kernels(_scaled(one), fold, ridge) for one in differences]
    flips = np.random.Generator(np.random.Philox(SEED)).choice((-1.0, 1.0), size=(n, 1 + FLIPS))
    flips[:, 0] = 1  # as observed
    parts = np.array_split(flips, max(1, flips.size // CELLS), axis=1)
    every = np.concatenate([np.stack([_clearly(_said(kernel, fold, part)) for kernel in kernels]) for part in parts], 1)
    every = every.round(9)  # (descriptions, 1 + flips)
    p = np.stack([rankdata(-row, method="max") for row in every]) / every.shape[1]
    striking = p.min(axis=0)
    shares = [_told_right(_said(kernel, fold, flips[:, :1])) for kernel in kernels]
    views = [
        HandedView(share, float(own[0]), float(row[1:].std())) for share, own, row in zip(shares, p, every, strict=True)
    ]
    return views, float((striking <= striking[0] + 1e-12).mean())


def _scaled(x: np.ndarray) -> np.ndarray:
    """Columns by their root mean square, which no flip changes."""
    size = np.sqrt((x**2).mean(axis=0))
    return x / np.where(size < 1e-9, 1.0, size)


def _kernels(x: np.ndarray, fold: np.ndarray, ridge: float) -> list[np.ndarray]:
    """For each fold x_test (X'X + r)^-1 X_train', (test, train), whatever the signs: they cancel in X'X."""
    found = []
    for k in range(FOLDS):
        train, test = x[fold != k], x[fold == k]
        gram = train @ train.T
        r = ridge * max(1e-12, float(np.trace(gram)) / max(1, min(train.shape)))
        found.append(test @ train.T @ np.linalg.inv(gram + r * np.eye(len(train))))
    return found


def _said(kernels: Sequence[np.ndarray], fold: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """What is said of each picture under each column of signs, positive where right: (n, b)."""
    said = np.empty(signs.shape)
    for k, kernel in enumerate(kernels):
        said[fold == k] = (kernel @ signs[fold != k]) * signs[fold == k]
    return said


def _clearly(said: np.ndarray) -> np.ndarray:
    """Mean over root mean square of each column: (b,)."""
    clearly: np.ndarray = said.mean(axis=0) / np.sqrt((said**2).mean(axis=0) + 1e-18)
    return clearly


def _told_right(said: np.ndarray) -> float:
    return float(np.where(np.abs(said) < 1e-9, 0.5, said > 0).mean())
