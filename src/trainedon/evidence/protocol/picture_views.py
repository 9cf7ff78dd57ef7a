"""What pictures say without an encoder: views of the blind baseline which see what handling leaves in a picture.

A model that has learnt how its pictures lie, how sharp and how noisy they are notices a shift by one pixel, and its
scores do; what a picture shows is the same, so that an encoder's features do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trainedon.evidence.statistics.two_sample import View, discriminant
from trainedon.evidence.table.feature_table import FeatureTable, Vectors

COMPOSITION, PLACE, POSITION, JITTER = "composition", "place", "position", "jitter"
GRAIN, LEVELS, BORDERS = "grain", "levels", "borders"
RIDGE = 0.5  # of the mean eigenvalue; between 0.3 and 1 a shift by a pixel is found best


def picture_views(features: FeatureTable, keys: Sequence[tuple[str, str]]) -> dict[str, View]:
    """The views of these pictures by name, in the order of `keys`, (set, picture), from how they look.

    Without what the encoder sees already, where that is the built-in one.
    """
    looks = {column: stacked(rows, keys) for column, rows in features.looks.items()}
    lie = position(looks["thumbnail"])
    many = {} if features.encoder in looks else {COMPOSITION: looks["layout"]}
    many[PLACE] = shapes(looks["thumbnail"])
    few = {POSITION: lie, JITTER: np.hypot(lie[:, :1], lie[:, 1:2])}
    few |= {name: looks[name] for name in (GRAIN, LEVELS, BORDERS)}
    views = {name: View(x.astype(float), discriminant(ridge=x.shape[1])) for name, x in many.items()}
    return views | {name: View(x.astype(float), discriminant()) for name, x in few.items()}


def stacked(rows: Vectors, keys: Sequence[tuple[str, str]]) -> np.ndarray:
    """The row of each picture below one another: (n, k)."""
    return np.stack([rows[key] for key in keys])


def shapes(thumbnail: np.ndarray) -> np.ndarray:
    """Thumbnails, uint8 (n, side^2), each with its mean and spread taken off: float64 (n, side^2)."""
    grey = thumbnail.astype(float)
    centred = grey - grey.mean(axis=1, keepdims=True)
    shape: np.ndarray = centred / (centred.std(axis=1, keepdims=True) + 1)
    return shape


def position(thumbnail: np.ndarray) -> np.ndarray:
    """How each picture lies against the others: float64 (n, 4), moved to the right and down, turned, and enlarged.

    thumbnail: uint8 (n, side^2). To first order a move adds its mean derivative g to a picture. The linear filter that
    tells it best from how the pictures x vary otherwise is w = C^-1 g, with C their scatter about the mean and a ridge
    (the matched filter of signal detection, Turin, IRE Trans. Information Theory 6, 1960). Returned is
    w . (x - mean) / w . g less its median, the picture itself left out of C: pixels of the thumbnail, at its edge for
    turns and enlargements. Knows nothing of sets: values are exchangeable where pictures are.
    """
    x = shapes(thumbnail)
    centred, moves = x - x.mean(axis=0), _moves(x)
    solved = _against_scatter(centred, np.concatenate([moves, centred]))
    filters, leverage = solved[: len(moves)], (solved[len(moves) :] * centred).sum(axis=1, keepdims=True)
    lie: np.ndarray = centred @ filters.T / (1 - leverage) / ((moves * filters).sum(axis=1) + 1e-9)
    lie -= np.median(lie, axis=0)
    return lie


def _against_scatter(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """v C^-1 with C = x'x + ridge: (k, d), by the smaller of two matrices. x: (n, d). v: (k, d)."""
    n, d = x.shape
    ridge = RIDGE * (x**2).sum() / d + 1e-9
    found: np.ndarray
    if d <= n:
        found = np.linalg.solve(x.T @ x + ridge * np.eye(d), v.T).T
    else:
        found = (v - np.linalg.solve(x @ x.T + ridge * np.eye(n), x @ v.T).T @ x) / ridge
    return found


def _moves(x: np.ndarray) -> np.ndarray:
    """What moving pictures by one pixel to the right and down, and turning and enlarging them by one at the edge, adds
    to their mean, to first order: (4, side^2). x: as `shapes` gives it, (n, side^2)."""
    side = math.isqrt(x.shape[1])
    down, right = (-part for part in np.gradient(x.reshape(-1, side, side), axis=(1, 2)))
    below, beside = (np.mgrid[:side, :side] - (side - 1) / 2) / (side / 2)
    moves = (right, down, beside * down - below * right, beside * right + below * down)
    return np.stack([_kept(x, move.reshape(x.shape)).mean(axis=0) for move in moves])


def _kept(x: np.ndarray, change: np.ndarray) -> np.ndarray:
    """What is left of a small change to pictures whose mean and spread are taken off afterwards: (n, d)."""
    change = change - change.mean(axis=1, keepdims=True)
    size = (x**2).sum(axis=1, keepdims=True) + 1e-9
    change -= (change * x).sum(axis=1, keepdims=True) / size * x
    return change
