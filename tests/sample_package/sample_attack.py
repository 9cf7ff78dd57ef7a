"""Parts of another package, as an outsider would write them. None of them asks the model itself."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Optional

import numpy as np
import torch

from trainedon.attacks import Attack, Cost, Pool, Scored, Wrapper, run_batch
from trainedon.compare import Similarity
from trainedon.condition import UNCONDITIONAL
from trainedon.degrade import Degradation, Roi
from trainedon.degrade.regions import NOTHING, Seen
from trainedon.pictures import Batch
from trainedon.restore import Masked, Restorer
from trainedon.targets import Reference, Shadows, Target


@dataclass(frozen=True)
class Flatness(Attack):
    """Minus the variance of the pixels, to the power of `power`."""

    power: float = 1.0
    draws: int = 1
    upside_down: bool = False
    channel: Optional[int] = None  # noqa: UP045 (as people still write it)
    title_of: str = "it"
    steps: tuple[int, ...] = (1, 2)
    limits: tuple[float, float] = (0.0, 1.0)
    pool: Pool | None = None
    reference: Reference | None = None
    shadows: Shadows | None = None
    norm: Literal["l1", "l2"] = "l2"

    name: ClassVar[str] = "flatness"
    title: ClassVar[str] = "Flatness of the picture"
    paper: ClassVar[str] = "none"

    def cost(self, target: Target) -> Cost:
        return Cost(forward=0)

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        return -(batch.pixels.double().flatten(1).var(1) ** self.power)


@dataclass(frozen=True)
class Minus(Wrapper):
    """Minus the score of another attack."""

    attack: Attack
    seed: int = 0

    name: ClassVar[str] = "minus"
    title: ClassVar[str] = "Minus another attack"
    paper: ClassVar[str] = "none"

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        return Scored(-run_batch(self.attack, target, batch).scores)


def _one_flatness() -> tuple[Attack, ...]:
    return (Flatness(),)


@dataclass(frozen=True)
class Highest(Attack):
    """The highest score of several attacks."""

    attacks: tuple[Attack, ...] = field(default_factory=_one_flatness)

    name: ClassVar[str] = "highest"
    title: ClassVar[str] = "Highest of several attacks"
    paper: ClassVar[str] = "none"

    def cost(self, target: Target) -> Cost:
        return Cost(forward=0)

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        return Scored(np.max([run_batch(one, target, batch).scores for one in self.attacks], axis=0))


@dataclass(frozen=True)
class Named(Attack):
    """An attack that cannot do without a parameter."""

    word: str
    beside: Attack | None = None
    among: tuple[Attack, ...] | None = None

    name: ClassVar[str] = "named"
    title: ClassVar[str] = "Length of a word"
    paper: ClassVar[str] = "none"

    def cost(self, target: Target) -> Cost:
        return Cost(forward=0)

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        return torch.full((len(batch),), float(len(self.word)))


@dataclass(frozen=True)
class Stripe(Roi):
    """The first `rows` rows."""

    rows: int = 1

    name: ClassVar[str] = "stripe"
    unnamed: ClassVar[tuple[str, ...]] = ("rows",)

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        mask = torch.zeros(len(batch), *batch.pixels.shape[2:], dtype=torch.bool, device=batch.pixels.device)
        mask[:, : self.rows] = True
        return mask


@dataclass(frozen=True)
class Negative(Degradation):
    """Light becomes dark."""

    name: ClassVar[str] = "negative"

    def change(self, batch: Batch, seed: int) -> torch.Tensor:
        return -batch.pixels


@dataclass(frozen=True)
class Lazy(Restorer):
    """What was given is what comes back, times `factor`."""

    factor: float = 1.0

    name: ClassVar[str] = "lazy"

    def restore(self, target: Target, masked: Masked, noise: object, *, steps: int, start: float = 1.0) -> torch.Tensor:
        return masked.paste(masked.original, self.factor * masked.degraded)

    def evaluations(self, steps: int) -> tuple[int, int]:
        return 0, 0


@dataclass(frozen=True)
class Grey(Similarity):
    """Minus the distance of the mean levels."""

    name: ClassVar[str] = "grey"
    highest: ClassVar[float] = 0.0

    def encode(self, target, pixels, mask=None, condition=UNCONDITIONAL, states=None):
        return pixels.double().flatten(1).mean(1)

    def compare(self, original: torch.Tensor, restored: torch.Tensor) -> torch.Tensor:
        return -(original - restored).abs().cpu()
