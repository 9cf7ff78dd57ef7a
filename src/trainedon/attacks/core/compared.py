"""Attacks that compare what the model says with what it should say, or with what it says elsewhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch

from trainedon.attacks.core.attack import Attack
from trainedon.pictures import Batch
from trainedon.targets import Target

Pairs = Sequence[tuple[torch.Tensor, torch.Tensor]]


class Compared(Attack):
    """An attack in two halves: the pictures or noises that it compares, and its distance between them.

    That they can be taken apart lets `fremia` filter both sides before the distance is taken, and `pullback` leave out
    a part of them.

    in_pixels: whether it compares pictures on a model in latents, too, not latents or their noise.
    """

    in_pixels: ClassVar[bool] = False

    @abstractmethod
    def pairs(self, target: Target, batch: Batch) -> Pairs:
        """What is compared: pairs of float32 (n, c, h, w)."""

    @abstractmethod
    def distance(self, pairs: Pairs) -> torch.Tensor:
        """The score, higher = member, float64 (n,); (n, d) of an attack that learns."""

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        return self.distance(self.pairs(target, batch))
