"""An attack of another package, as an outsider would write it: how flat the picture is. It never asks the model."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.attacks import Attack, Cost
from trainedon.pictures import Batch
from trainedon.targets import Target


@dataclass(frozen=True)
class Flatness(Attack):
    """Minus the variance of the pixels."""

    name: ClassVar[str] = "flatness"
    title: ClassVar[str] = "Flatness of the picture"
    paper: ClassVar[str] = "none"

    def cost(self, target: Target) -> Cost:
        return Cost(forward=0)

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        return -batch.pixels.double().flatten(1).var(1)
