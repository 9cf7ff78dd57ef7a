"""Parts of another package that cannot be loaded, each for a reason of its own."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.attacks import Attack, Cost
from trainedon.pictures import Batch
from trainedon.targets import Target


@dataclass(frozen=True)
class Untitled(Attack):
    """An attack without a title."""

    name: ClassVar[str] = "untitled"
    paper: ClassVar[str] = "none"

    def cost(self, target: Target) -> Cost:
        return Cost(forward=0)

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        return torch.zeros(len(batch))


@dataclass(frozen=True)
class Loss(Untitled):
    """An attack by the name of another one."""

    name: ClassVar[str] = "loss"
    title: ClassVar[str] = "Loss again"


@dataclass(frozen=True)
class Costly(Untitled):
    """An attack that fails as soon as it is asked what it costs."""

    name: ClassVar[str] = "costly"
    title: ClassVar[str] = "Costly"

    def cost(self, target: Target) -> Cost:
        raise ZeroDivisionError("no cost")


@dataclass(frozen=True)
class Odd(Untitled):
    """An attack whose annotation names nothing."""

    what: "Nothing" = None  # noqa: F821

    name: ClassVar[str] = "odd"
    title: ClassVar[str] = "Odd"


@dataclass(frozen=True)
class Hiding(Untitled):
    """An attack whose parameter hides a method."""

    inside: int = 0

    name: ClassVar[str] = "hiding"
    title: ClassVar[str] = "Hiding"


@dataclass
class Loose(Attack):
    """An attack that can be changed after it was named in a run."""

    name: ClassVar[str] = "loose"
    title: ClassVar[str] = "Loose"
    paper: ClassVar[str] = "none"
    cost = Untitled.cost
    score_batch = Untitled.score_batch


@dataclass(frozen=True)
class Everything(Untitled):
    """An attack whose name stands for something else."""

    name: ClassVar[str] = "all"
    title: ClassVar[str] = "Everything"


@dataclass(frozen=True)
class Failing(Untitled):
    """An attack that fails as soon as it is run, or answers for no picture."""

    empty: bool = False
    plain: bool = False

    name: ClassVar[str] = "failing"
    title: ClassVar[str] = "Failing"

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        if self.empty:
            return torch.zeros(0)
        if self.plain:
            return torch.zeros(len(batch)).numpy()
        raise RuntimeError("no score")
