"""What attacks answer, what that costs, and what their papers print."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass

import numpy as np
import torch

Progress = Callable[[str, float, int], None]  # what is done, how many are done (fractions count), of how many


def silent(what: str, done: float, total: int) -> None:
    """Reports no progress."""


@dataclass(frozen=True)
class Exhibit:
    """What an attack can show of one picture.

    pictures: name -> float32 (c, h, w) in [-1, 1], in the order in which they are to be seen.
    similarities: one a restoration, higher = more alike. note: what a reader should know, mostly empty.
    ahead: the share of the picture's area that the model guesses better than in its other views; None without views.
    mosaic: whether what the model was given is a mosaic of the whole picture.
    """

    pictures: dict[str, torch.Tensor]
    similarities: tuple[float, ...] = ()
    note: str = ""
    ahead: float | None = None
    mosaic: bool = False


@dataclass(frozen=True)
class Scored:
    """What an attack says of some pictures.

    scores: float64 (n,), higher = member, NaN where there is none; of an attack that learns (n, d), the observations
    that it learns from. exhibits: one a picture, or none at all.
    """

    scores: np.ndarray
    exhibits: tuple[Exhibit, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Network passes for one picture, those of shadow and reference models among them; `setup`: forward passes once
    for each audited model, however many pictures there are. `decoded`, `decoded_back`: passes through the decoder of a
    model in latents, there and back, of attacks that differentiate it; these are no network passes."""

    forward: int
    backward: int = 0
    setup: int = 0
    decoded: int = 0
    decoded_back: int = 0


def total(costs: Iterable[Cost]) -> Cost:
    """What several attacks cost together."""
    return Cost(*(sum(parts) for parts in zip(*map(astuple, costs), strict=True)))


@dataclass(frozen=True)
class Reported:
    """What a paper prints, as shares in [0, 1]. data: on which pictures. tpr_1: TPR at a FPR of 1 %."""

    data: str
    auc: float | None = None
    asr: float | None = None
    tpr_1: float | None = None
    note: str = ""
