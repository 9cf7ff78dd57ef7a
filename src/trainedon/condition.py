"""What a diffusion model is conditioned on: nothing, classes, or captions."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

Rows = slice | Sequence[int]


class Condition(ABC):
    """What each row of a batch of the network is conditioned on. Immutable; equal where it says the same of each row,
    wherever it lies, and hashable.
    """

    @abstractmethod
    def __getitem__(self, rows: Rows) -> Self:
        """Some rows: `condition[2:5]`, `condition[[0, 3]]`."""

    @abstractmethod
    def repeat(self, times: int) -> Self:
        """Each row `times` times, side by side, as `torch.repeat_interleave`."""

    @abstractmethod
    def filled(self, missing: int) -> Self:
        """The first row `missing` times more, at the end."""

    @abstractmethod
    def to(self, device: torch.device) -> Self:
        """The same on a device."""

    @abstractmethod
    def keys(self, n: int) -> Sequence[object]:
        """For each of n rows what tells its condition from others, the same in every process."""


@dataclass(frozen=True)
class Unconditional(Condition):
    """Nothing, for any number of rows. A text-to-image model takes it for the empty caption."""

    def __getitem__(self, rows: Rows) -> Self:
        return self

    def repeat(self, times: int) -> Self:
        return self

    def filled(self, missing: int) -> Self:
        return self

    def to(self, device: torch.device) -> Self:
        return self

    def keys(self, n: int) -> Sequence[object]:
        return [None] * n


UNCONDITIONAL = Unconditional()


@dataclass(frozen=True, eq=False)
class Classes(Condition):
    """labels: int64 (n,), class numbers. Raises ValueError for another shape or dtype."""

    labels: torch.Tensor

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or self.labels.dtype != torch.int64:
            raise ValueError(f"need int64 (n,) labels, got {self.labels.dtype} {tuple(self.labels.shape)}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Rows) -> Self:
        return type(self)(self.labels[rows])

    def repeat(self, times: int) -> Self:
        return type(self)(self.labels.repeat_interleave(times))

    def filled(self, missing: int) -> Self:
        return type(self)(torch.cat([self.labels, self.labels[:1].expand(missing)]))

    def to(self, device: torch.device) -> Self:
        return type(self)(self.labels.to(device))

    def keys(self, n: int) -> Sequence[object]:
        numbers: list[object] = self.labels.tolist()
        return numbers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Classes) and self.labels.tolist() == other.labels.tolist()

    def __hash__(self) -> int:
        return hash(tuple(self.labels.tolist()))


@dataclass(frozen=True)
class Captions(Condition):
    """texts: n captions; the empty one stands for no words."""

    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Rows) -> Self:
        return type(self)(self.texts[rows] if isinstance(rows, slice) else tuple(self.texts[row] for row in rows))

    def repeat(self, times: int) -> Self:
        return type(self)(tuple(text for text in self.texts for _ in range(times)))

    def filled(self, missing: int) -> Self:
        return type(self)(self.texts + self.texts[:1] * missing)

    def to(self, device: torch.device) -> Self:
        return self

    def keys(self, n: int) -> Sequence[object]:
        """Hashes, as texts may be long."""
        known = {text: hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for text in set(self.texts)}
        return [known[text] for text in self.texts]
