"""Double precision, also for devices that lack it, and means whose last digit does not depend on the batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import torch

LACKING = ("mps",)  # types of devices without float64
TOGETHER = 16  # tensors that are added one after another


def double(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float64, moved to the CPU from a device that lacks it."""
    return (tensor.cpu() if tensor.device.type in LACKING else tensor).double()


def mean_of(parts: Sequence[torch.Tensor] | torch.Tensor) -> torch.Tensor:
    """The mean of several tensors of one shape, or of the rows of one, element by element.

    It is `torch.stack(parts).mean(0)` bit for bit, where the elements fill whole vectors of the processor. The last
    ones, which fill none, PyTorch adds up in another order where there are more than 16 parts, so that a picture's
    score would depend on how many are beside it.
    """
    sums: list[torch.Tensor] = [*parts]
    while len(sums) > 1:
        sums = [reduce(add, sums[start : start + TOGETHER]) for start in range(0, len(sums), TOGETHER)]
    mean: torch.Tensor = sums[0] / len(parts)
    return mean
