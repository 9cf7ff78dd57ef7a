"""DINOv2 and CLIP, from a local folder or the hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from trainedon.compare.scope import shrunk
from trainedon.compare.similarity import Encoder
from trainedon.errors import UserError
from trainedon.spec import register
from trainedon.vision.vit import (
    CLIP,
    IMAGENET,
    OPENAI,
    in_chunks,
    input_side,
    load_vision,
    prefix_tokens,
    resized,
    standardised,
)

if TYPE_CHECKING:
    from trainedon.condition import Condition
    from trainedon.targets import Target


@dataclass(frozen=True)
class Sourced(Encoder):
    """A network that is named. source: a folder, or a hub id `owner/name`, optionally `owner/name@revision`."""

    source: str

    unnamed: ClassVar[tuple[str, ...]] = ("source",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.source:
            raise UserError(f"{self.name}: name a folder or a hub id, such as {self.name}:FOLDER")


@register
@dataclass(frozen=True)
class DinoV2(Sourced):
    """DINOv2 (Oquab et al., arXiv 2304.07193) or DINO: the CLS token of the picture or crop; for `region` the mean of
    the patch tokens, each weighted by the hidden share of its area.
    """

    scope: str = "region"
    name: ClassVar[str] = "dinov2"

    def features(self, target: Target, pixels: torch.Tensor, condition: Condition) -> torch.Tensor:
        """(n, tokens, d)"""
        network = load_vision(self.source, pixels.device)
        side = input_side(network)
        shown = standardised(resized(pixels, side, side), IMAGENET)
        return in_chunks(lambda rows: network(pixel_values=rows).last_hidden_state, shown)

    def vectors(self, maps: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        if weight is None:
            return maps[:, 0]
        network: Any = load_vision(self.source, maps.device)
        patches = input_side(network) // network.config.patch_size
        weight = shrunk(weight, patches, patches).flatten(1).unsqueeze(2)  # (n, patches^2, 1)
        return (maps[:, prefix_tokens(network) :] * weight).sum(1) / weight.sum(1)


@register
@dataclass(frozen=True)
class Clip(Sourced):
    """CLIP's picture vector (Radford et al., arXiv 2103.00020), the paper's choice for natural pictures.

    It belongs to a picture as a whole, so pictures or crops are compared, not regions.
    """

    scope: str = "picture"
    name: ClassVar[str] = "clip"
    scopes: ClassVar[tuple[str, ...]] = ("picture", "crop")

    def features(self, target: Target, pixels: torch.Tensor, condition: Condition) -> torch.Tensor:
        """(n, d)"""
        network: Any = load_vision(self.source, pixels.device, CLIP)
        side = input_side(network)

        def project(rows: torch.Tensor) -> torch.Tensor:
            vectors: torch.Tensor = network.visual_projection(network.vision_model(pixel_values=rows).pooler_output)
            return vectors

        return in_chunks(project, standardised(resized(pixels, side, side), OPENAI))
