"""One interface for everything that says how alike an original and its restoration are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from trainedon.compare.scope import SCOPES, apply_scope, check_scope
from trainedon.condition import UNCONDITIONAL, Condition
from trainedon.errors import UserError
from trainedon.spec import Noun, Part, parameters, register, spelled

if TYPE_CHECKING:
    from trainedon.targets import Target


class Similarity(Part, ABC):
    """How alike two pictures are; higher = more alike, equal pictures are the highest.

    A similarity looks at pictures, or, with `of_states`, at what the audited network works on: the same pictures of a
    pixel model, the latents of a latent one, where what its autoencoder loses does not count.

    `encode` is done once for the originals and once for each set of restorations; `compare` sets two codes against
    each other. What a code looks like is each class's own affair. A code depends on its picture alone, not on the
    other pictures of the batch.
    """

    noun: ClassVar[Noun] = Noun("encoder", "trainedon.similarities", example="own")
    joins: ClassVar[bool] = True
    highest: ClassVar[float] = 1.0  # the similarity of two equal pictures
    of_states: ClassVar[bool] = False

    @classmethod
    def joined(cls, parts: tuple[Similarity, ...]) -> Ensemble:
        return Ensemble(parts)

    def scoped(self, scope: str) -> Similarity:
        """The same on another scope: region, crop or picture. Raises UserError where it has not that one."""
        if "scope" not in parameters(type(self)):
            raise UserError(f"{self.name} has no scope: leave it out")
        changed: Any = self
        return replace(changed, scope=scope)  # type: ignore[no-any-return]

    def check(self, target: Target) -> None:
        """Raises UserError when the target lacks what the similarity asks of it; evaluates nothing."""

    def evaluations(self, masks: int = 1) -> int:
        """Evaluations of the audited network for one code, or for those of one picture under several masks."""
        return 0

    @abstractmethod
    def encode(
        self,
        target: Target,
        pixels: torch.Tensor | None,
        mask: torch.Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
        states: torch.Tensor | None = None,
    ) -> Any:
        """The code of each picture, for `compare`.

        pixels: float32 (n, c, h, w) in [-1, 1]; mask: bool (n, h, w), True = hidden, None = compare whole pictures;
        condition: what the audited model is conditioned on. states: what the pictures are where the network works, if
        that is known already; a similarity `of_states` then needs no pixels.
        """

    def encode_each(
        self,
        target: Target,
        pixels: torch.Tensor,
        masks: Sequence[torch.Tensor],
        condition: Condition = UNCONDITIONAL,
    ) -> list[Any]:
        """The codes of the same pictures under each of several masks, a network being asked once where that will do."""
        return [self.encode(target, pixels, mask, condition) for mask in masks]

    def take(self, code: Any, rows: torch.Tensor) -> Any:
        """The codes of some of the pictures. rows: int64 (m,) on the CPU."""
        return code[rows.to(code.device)]

    @abstractmethod
    def compare(self, original: Any, restored: Any) -> torch.Tensor:
        """Similarity of each pair of codes: float64 (n,), on the CPU. NaN where it is not defined."""

    def similarity(
        self,
        target: Target,
        originals: torch.Tensor,
        restored: torch.Tensor,
        mask: torch.Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
    ) -> torch.Tensor:
        """Similarity of each original and its restoration, arguments as in `encode`: float64 (n,), on the CPU."""
        return self.compare(
            self.encode(target, originals, mask, condition), self.encode(target, restored, mask, condition)
        )


class Encoder(Similarity):
    """Picture -> vector that carries meaning; the similarity is the cosine of two vectors, in [-1, 1].

    The vector is made in two halves: what a network says of the picture, and from that what counts of it.
    """

    scopes: ClassVar[tuple[str, ...]] = SCOPES
    scope: str

    def __post_init__(self) -> None:
        check_scope(self.name, self.scope, self.scopes)

    def encode(
        self,
        target: Target,
        pixels: torch.Tensor | None,
        mask: torch.Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
        states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Vectors, float32 (n, d)."""
        seen, weight = apply_scope(self._seen(target, pixels, states), mask, self.scope)
        return self.vectors(self.features(target, seen, condition), weight)

    def _seen(self, target: Target, pixels: torch.Tensor | None, states: torch.Tensor | None) -> torch.Tensor:
        if not self.of_states:
            return pixels.to(target.device)  # type: ignore[union-attr]
        return target.encode(pixels.to(target.device)) if states is None else states  # type: ignore[union-attr]

    def encode_each(
        self,
        target: Target,
        pixels: torch.Tensor,
        masks: Sequence[torch.Tensor],
        condition: Condition = UNCONDITIONAL,
    ) -> list[torch.Tensor]:
        if self.scope == "crop":  # every mask shows the network another picture
            return super().encode_each(target, pixels, masks, condition)
        seen = self._seen(target, pixels, None)
        maps = self.features(target, seen, condition)
        return [self.vectors(maps, apply_scope(seen, mask, self.scope)[1]) for mask in masks]

    @abstractmethod
    def features(self, target: Target, pixels: torch.Tensor, condition: Condition) -> torch.Tensor:
        """What the encoder's network says of the pictures, float32 (n, ...)."""

    def vectors(self, maps: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """Vectors, float32 (n, d), from `features`. weight: float32 (n, h, w), how much each place counts; None, as in
        every scope but `region`, for all alike."""
        return maps

    def compare(self, original: torch.Tensor, restored: torch.Tensor) -> torch.Tensor:
        # in double precision, because near 1 the distance 1 - cosine is what tells pictures apart
        a, b = original.cpu().double(), restored.cpu().double()
        return (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).sqrt()


@register
@dataclass(frozen=True)
class Ensemble(Similarity):
    """The plain mean of several similarities, each on its own scale."""

    members: tuple[Similarity, ...]
    name: ClassVar[str] = "ensemble"

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise UserError("an ensemble needs two similarities or more")

    def scoped(self, scope: str) -> Ensemble:
        return Ensemble(tuple(member.scoped(scope) for member in self.members))

    def spelled(self, given: Mapping[str, Any] | None = None) -> str:
        return spelled(self.members)

    def check_installed(self) -> None:
        for member in self.members:
            member.check_installed()

    def check(self, target: Target) -> None:
        for member in self.members:
            member.check(target)

    @property
    def highest(self) -> float:  # type: ignore[override]
        return sum(member.highest for member in self.members) / len(self.members)

    @property
    def of_states(self) -> bool:  # type: ignore[override]
        return all(member.of_states for member in self.members)

    def evaluations(self, masks: int = 1) -> int:
        return sum(member.evaluations(masks) for member in self.members)

    def encode(
        self,
        target: Target,
        pixels: torch.Tensor | None,
        mask: torch.Tensor | None = None,
        condition: Condition = UNCONDITIONAL,
        states: torch.Tensor | None = None,
    ) -> tuple[Any, ...]:
        return tuple(member.encode(target, pixels, mask, condition, states) for member in self.members)

    def encode_each(
        self,
        target: Target,
        pixels: torch.Tensor,
        masks: Sequence[torch.Tensor],
        condition: Condition = UNCONDITIONAL,
    ) -> list[tuple[Any, ...]]:
        each = [member.encode_each(target, pixels, masks, condition) for member in self.members]
        return list(zip(*each, strict=True))

    def take(self, code: tuple[Any, ...], rows: torch.Tensor) -> tuple[Any, ...]:
        return tuple(member.take(part, rows) for member, part in zip(self.members, code, strict=True))

    def compare(self, original: tuple[Any, ...], restored: tuple[Any, ...]) -> torch.Tensor:
        each = [member.compare(a, b) for member, a, b in zip(self.members, original, restored, strict=True)]
        return torch.stack(each).mean(0)
