"""The audited model as its own judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from trainedon.compare.scope import shrunk
from trainedon.compare.similarity import Encoder
from trainedon.errors import UserError
from trainedon.spec import register

if TYPE_CHECKING:
    from trainedon.condition import Condition
    from trainedon.targets import Target


@register
@dataclass(frozen=True)
class Own(Encoder):
    """Features of the audited network itself, for the noise-free picture: no download, any domain.

    layer: name of a network part (None: the middle of the way up). t: timestep of the usual DDPM path (linear betas,
    T = 1000); on another path the one with the nearest signal-to-noise ratio is used.

    The feature map stays spread out (where a thing is matters as much as what it is), so the vector has
    channels * fh * fw entries. For `region`, each place is weighted by the hidden share w of its area:
    entries are multiplied by sqrt(w), which makes the cosine `sum w a b / sqrt(sum w a^2 * sum w b^2)`.
    One evaluation of the network a picture.
    """

    layer: str | None = None
    t: int = 100
    scope: str = "region"
    name: ClassVar[str] = "own"
    unnamed: ClassVar[tuple[str, ...]] = ("t", "layer")
    of_states: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.t < 1000:
            raise UserError(f"own: t must lie in 0..999, not {self.t}")

    def check(self, target: Target) -> None:
        if not target.shows_features:
            raise target.lacks("features")

    def evaluations(self, masks: int = 1) -> int:
        return masks if self.scope == "crop" else 1

    def features(self, target: Target, states: torch.Tensor, condition: Condition) -> torch.Tensor:
        """(n, d, fh, fw)"""
        return target.features(states, target.path.like_ddpm(self.t), self.layer, condition.to(target.device))

    def vectors(self, maps: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        if weight is not None:
            maps = maps * shrunk(weight, *maps.shape[2:]).sqrt()
        return maps.flatten(1)
