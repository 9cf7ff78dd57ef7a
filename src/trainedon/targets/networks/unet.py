"""Pixel-space UNets of diffusers, unconditional and class-conditional."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainedon.condition import Condition
from trainedon.errors import UserError
from trainedon.targets.networks.network import Module, Network, labels_of
from trainedon.targets.reading import configs
from trainedon.targets.reading.bounds import check_memory
from trainedon.targets.reading.built import blank, filled, held_by, refuse_packed
from trainedon.targets.reading.components import check_finite
from trainedon.targets.reading.model_files import brief, check_tensors, shown, weights_of
from trainedon.targets.reading.opened import Ledger

if TYPE_CHECKING:
    from diffusers import UNet2DModel


class PixelUNet(Network):
    """`UNet2DModel`: DDPM, DDIM and their kin."""

    def ask(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        return network(x, t, class_labels=labels_of(condition)).sample


def open_unet(files: Ledger, folder: Path) -> tuple[UNet2DModel, dict[str, Any]]:
    from diffusers import UNet2DModel  # late, as it takes seconds

    place = folder / "config.json"
    config = files.json(place)
    name = config.get("_class_name")
    if name != "UNet2DModel":
        raise UserError(
            f"{folder}: network class {shown(repr(name))} is not supported: of a network by itself, only "
            "UNet2DModel is; for others give the folder with model_index.json"
        )
    refuse_packed(folder, config)
    configs.check_network(config, UNet2DModel, place)
    config = configs.effective(config)
    configs.check_asked(config, "UNet2DModel", "pixel")
    shape_of(config)
    weights = weights_of(files, folder)
    check_tensors(files, weights, exact=True)
    shards = [files.tensors(path) for path in weights.files]
    unet = blank(UNet2DModel, config, place, held_by(shards))
    check_memory(unet, torch.float32, place)
    try:
        unet = filled(unet, UNet2DModel, config, shards, torch.float32)
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(f"{folder}: the weights do not fit the configuration ({brief(error)})") from None
    check_finite(unet, folder)
    return unet, config


def shape_of(config: dict[str, Any]) -> tuple[int, int, int]:
    channels = config.get("in_channels", 3)
    if channels not in (1, 3):
        raise UserError(f"the network takes {channels} channels: only grey (1) and RGB (3) pictures are supported")
    answers = config.get("out_channels", 3)
    if answers not in (channels, 2 * channels):
        raise UserError(f"the network takes {channels} channels and answers {answers}: not supported")
    size = config.get("sample_size")
    size = [size, size] if isinstance(size, int) else size
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(s, int) and s > 0 for s in size)):
        raise UserError("the model does not say which picture size it works on: set sample_size in its config.json")
    return channels, size[0], size[1]
