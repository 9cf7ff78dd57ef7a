"""Vision transformers (DINO, DINOv2, CLIP) from a local folder or the hub, loaded safely."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from trainedon.errors import UserError

VIT = ("vit", "dinov2", "dinov2_with_registers")
CLIP = ("clip",)
# What the networks were trained with: mean and standard deviation of the channels, on [0, 1].
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
ROWS = 16  # with fewer, one thread rounds otherwise than several do
DINOV2_SIDE = 224  # its configuration says 518, which costs 28 times as much attention


def in_chunks(network: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor, rows: int = ROWS) -> torch.Tensor:
    """A network's answers, computed on exactly `rows` pictures at a time, the last chunk filled up.

    Kernels are chosen by batch size and round differently; one fixed size makes a picture's answer the same whatever
    its neighbours. pixels: (n, ...). Returns what `network` returns, concatenated, n rows.
    """
    answers = []
    with torch.no_grad():
        for chunk in torch.split(pixels, rows):
            missing = rows - len(chunk)
            filled = torch.cat([chunk, chunk[:1].expand(missing, *chunk.shape[1:])]) if missing else chunk
            answers.append(network(filled)[: len(chunk)])
    return torch.cat(answers)


def resized(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """RGB pictures of another size, antialiased bicubic: (n, 1 or 3, h, w) -> (n, 3, height, width) in [-1, 1]."""
    rgb = pixels.expand(-1, 3, -1, -1)
    if rgb.shape[2:] == (height, width):
        return rgb.contiguous()
    return F.interpolate(rgb, (height, width), mode="bicubic", antialias=True).clamp(-1, 1)


def standardised(pixels: torch.Tensor, channels: tuple[tuple[float, ...], tuple[float, ...]]) -> torch.Tensor:
    """Pictures in [-1, 1] -> zero mean, unit deviation by the given channel statistics on [0, 1]."""
    mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in channels)
    return ((pixels + 1) / 2 - mean) / std


@lru_cache(maxsize=4)
def load_vision(source: str, device: torch.device, kinds: tuple[str, ...] = VIT) -> torch.nn.Module:
    """A transformers vision network in eval mode on `device`.

    source: a local folder, or a hub id `owner/name`, optionally `owner/name@revision`. kinds: accepted `model_type`s.
    Raises UserError for another kind of model, for weights that are no safetensors, and for missing weights.
    """
    from transformers import AutoConfig, AutoModel

    name, _, revision = (source, "", "") if Path(source).exists() else source.partition("@")
    _check_source(name)
    where = {"revision": revision or None, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(name, **where)
        if config.model_type not in kinds:
            raise UserError(f"{source} holds a {config.model_type!r} model: one of {', '.join(kinds)} is needed here")
        network, report = AutoModel.from_pretrained(
            name, config=config, use_safetensors=True, attn_implementation="eager", output_loading_info=True, **where
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{source} cannot be loaded ({reason}): give a folder or hub id with safetensors weights"
        ) from None
    # a pooling head is absent from DINO checkpoints, and not used here
    missing = [key for key in report["missing_keys"] if not key.startswith("pooler.")]
    if missing:
        raise UserError(
            f"{source} lacks weights ({len(missing)} missing, first {sorted(missing)[0]}): it cannot be used"
        )
    frozen: torch.nn.Module = network.requires_grad_(False).eval().to(device)
    return frozen


def _check_source(name: str) -> None:
    if not Path(name).is_dir() and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UserError(f"{name} is neither a folder nor a hub id such as owner/name")


def input_side(network: Any) -> int:
    """The side of the square pictures that the network is shown, in pixels; a whole number of patches."""
    config = getattr(network.config, "vision_config", network.config)
    side: int = min(config.image_size, DINOV2_SIDE) if config.model_type.startswith("dinov2") else config.image_size
    return int(side - side % config.patch_size)


def prefix_tokens(network: Any) -> int:
    """How many tokens stand before the patches: CLS and registers."""
    return 1 + int(getattr(network.config, "num_register_tokens", 0))


def cls_attention(source: str, pixels: torch.Tensor) -> torch.Tensor:
    """Attention of the CLS token in the last layer to each place, mean over heads (Caron et al., arXiv 2104.14294).

    pixels: float32 (n, c, h, w) in [-1, 1]. Returns float32 (n, h, w).
    """
    network: Any = load_vision(source, pixels.device)
    side = input_side(network)
    patches = side // network.config.patch_size

    def attention_of(rows: torch.Tensor) -> torch.Tensor:
        attention = network(pixel_values=rows, output_attentions=True).attentions[-1]  # (b, heads, tokens, tokens)
        looked: torch.Tensor = attention[:, :, 0, prefix_tokens(network) :].mean(1)
        return looked.view(-1, 1, patches, patches)

    # every layer's attention is held at once, so one picture at a time
    maps = in_chunks(attention_of, standardised(resized(pixels, side, side), IMAGENET), rows=1)
    return F.interpolate(maps, pixels.shape[2:], mode="bilinear", align_corners=False)[:, 0]
