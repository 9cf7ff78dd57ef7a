"""Regions of interest: which part of a picture is hidden from the model. Here what all have in common, and regions
made of others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch

from trainedon.degrade import places
from trainedon.errors import UserError
from trainedon.spec import Noun, Part, register, spelled

if TYPE_CHECKING:
    from trainedon.pictures import Batch
    from trainedon.targets import Target


class Ask(NamedTuple):
    """What the audited network is asked for: its self-attention for the noise-free pictures at timestep `t` of the
    usual DDPM path, or, with `words`, the attention that places pay to the words of the caption."""

    t: int
    words: bool = False


Seen = Mapping[Ask, torch.Tensor]  # answers to it, float (n, h, w) each
NOTHING: Seen = {}


class Roi(Part, ABC):
    """A rule that says which part of a picture is hidden: a function of the picture, and of the model's attention."""

    noun: ClassVar[Noun] = Noun("region", "trainedon.regions", example="center")
    joins: ClassVar[bool] = True

    @abstractmethod
    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        """True = hidden. Returns bool (n, h, w) on the device of `batch.pixels`, shaped like the pictures.

        seen: the answers to what `asks` asks for.
        """

    def asks(self) -> tuple[Ask, ...]:
        """What the mask depends on of the audited network, each once."""
        return ()

    def masks(self, target: Target, batch: Batch) -> list[torch.Tensor]:
        """The mask of each of `parts`; the audited network is asked once for all of them.

        Raises UserError when it is asked for its attention and has none.
        """
        seen = {ask: attention(target, batch, ask) for ask in self.asks()}
        return [roi.mask(batch, seen) for roi in self.parts]

    @property
    def parts(self) -> tuple[Roi, ...]:
        """The regions that are hidden one after another, each on its own: mostly just this one."""
        return (self,)

    @classmethod
    def joined(cls, parts: tuple[Roi, ...]) -> Several:
        return Several(tuple(roi for part in parts for roi in part.parts))

    def check(self, target: Target) -> None:
        """Raises UserError when the target lacks what the region is chosen by; evaluates nothing."""
        if self.asks():
            check_attends(target)
        if any(ask.words for ask in self.asks()) and target.conditioning != "caption":
            raise UserError("the model takes no captions, whose words a region could be chosen by: take attention")

    def evaluations(self, target: Target) -> int:
        """Evaluations of the audited network that finding the region costs, per picture."""
        return len(self.asks())

    def notes(self, batch: Batch) -> tuple[str, ...]:
        """What a reader should know of each picture's region, n texts, mostly empty."""
        return ("",) * len(batch)


@dataclass(frozen=True)
class Share(Roi):
    """A region of a chosen size. ratio: the hidden share of the picture, in (0, 1], exact to one pixel."""

    ratio: float = 0.25

    unnamed: ClassVar[tuple[str, ...]] = ("ratio",)

    def __post_init__(self) -> None:
        places.check_ratio(self.ratio)

    def spelled(self, given: Mapping[str, Any] | None = None) -> str:
        """With its ratio, even if it is the usual one: it is what a reader asks first."""
        said = super().spelled(given)
        return f"{said}:{self.ratio}" if said == self.name else said


@register
@dataclass(frozen=True)
class Inverted(Roi):
    """Everything but the region of another rule: tells what the model remembers of the surroundings."""

    roi: Roi

    name: ClassVar[str] = "inverted"

    def asks(self) -> tuple[Ask, ...]:
        return self.roi.asks()

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        """Raises UserError where nothing would be hidden of a picture."""
        mask = ~self.roi.mask(batch, seen)
        if not mask.flatten(1).any(dim=1).all():
            raise UserError(f"{self} hides nothing: choose a region that leaves a part of the picture")
        return mask

    def notes(self, batch: Batch) -> tuple[str, ...]:
        return self.roi.notes(batch)


@register
@dataclass(frozen=True)
class Several(Roi):
    """Several regions, hidden one after another; its mask is all of them together. Written joined by `+`."""

    rois: tuple[Roi, ...]

    name: ClassVar[str] = "several"

    @property
    def parts(self) -> tuple[Roi, ...]:
        return self.rois

    def asks(self) -> tuple[Ask, ...]:
        return tuple(dict.fromkeys(ask for roi in self.rois for ask in roi.asks()))

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        return torch.stack([roi.mask(batch, seen) for roi in self.rois]).any(0)

    def notes(self, batch: Batch) -> tuple[str, ...]:
        by_region = zip(*(roi.notes(batch) for roi in self.rois), strict=True)
        return tuple("; ".join(dict.fromkeys(filter(None, texts))) for texts in by_region)

    def spelled(self, given: Mapping[str, Any] | None = None) -> str:
        plain = len(self.rois) > 1 and not any(isinstance(roi, Several) for roi in self.rois)  # these `joined` melts
        return spelled(self.rois) if plain else super().spelled(given)


def attention(target: Target, batch: Batch, ask: Ask) -> torch.Tensor:
    """What the audited model attends to, float (n, h, w); NaN where a caption has no words that it could attend to.

    Raises UserError when it has no self-attention.
    """
    check_attends(target)
    condition = target.condition_of(batch).to(target.device)
    states, t = target.encode(batch.pixels.to(target.device)), target.path.like_ddpm(ask.t)
    return target.attention(states, t, condition, ask.words)  # type: ignore[return-value]


def check_attends(target: Target) -> None:
    """Raises UserError when the audited model has no self-attention."""
    if not target.attends:
        raise UserError(
            "the model has no self-attention to choose a region by: "
            "choose center or face, or name a DINO model as attention:RATIO:FOLDER"
        )


def size_of(batch: Batch) -> tuple[int, int]:
    """Height and width of the pictures, in pixels."""
    return batch.pixels.shape[2], batch.pixels.shape[3]


def alike(batch: Batch, mask: torch.Tensor) -> torch.Tensor:
    """The same mask, bool (h, w), for each picture: bool (n, h, w)."""
    return mask.to(batch.pixels.device).expand(len(batch), -1, -1).clone()
