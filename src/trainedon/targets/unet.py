"""Pixel-space UNets of diffusers, unconditional and class-conditional."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import UNet2DModel
from safetensors import SafetensorError
from safetensors.torch import load_file

from trainedon.errors import UserError
from trainedon.targets import configs
from trainedon.targets.files import brief, check_tensors, present_name, read_json, weights_of
from trainedon.targets.network import Network
from trainedon.targets.parts import check_finite


class PixelUNet(Network):
    """`UNet2DModel`: DDPM, DDIM and their kin."""

    def _ask(self, network: Callable, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return network(x, t, class_labels=labels).sample


def open_unet(folder: Path) -> tuple[UNet2DModel, dict]:
    config = read_json(folder / "config.json")
    name = config.get("_class_name")
    if name != "UNet2DModel":
        raise UserError(
            f"{folder}: network class {name!r} is not supported: of a network by itself, only "
            "UNet2DModel is; for others give the folder with model_index.json"
        )
    configs.check_network(config, UNet2DModel, folder / "config.json")
    config = configs.effective(config)
    configs.check_asked(config, "UNet2DModel", "pixel")
    shape_of(config)
    weights = weights_of(folder)
    try:
        # the network is built without drawing its weights, which the file replaces anyway
        with torch.device("meta"):
            unet = UNet2DModel.from_config(config)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
        raise UserError(f"{folder / 'config.json'} does not describe a UNet2DModel ({brief(error)})") from None
    for path in weights.files:
        path.open("rb").close()  # safetensors would say of a file that may not be read that it does not exist
    try:
        check_tensors(weights, exact=True)
        state = {key: value for path in weights.files for key, value in load_file(path).items()}
        state = {present_name(key): value.float() for key, value in state.items()}
        unet.load_state_dict(state, strict=True, assign=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise UserError(f"{folder}: the weights do not fit the configuration ({brief(error)})") from None
    check_finite(unet, folder)
    return unet, config


def shape_of(config: dict) -> tuple[int, int, int]:
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
