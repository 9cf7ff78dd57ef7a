"""Names that layers had in the code a network was first published with, where diffusers renamed them.

A LoRA often goes by those. Several layers of diffusers may be one of the original, row under row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Layers:
    """modules: names in diffusers of the layers whose rows, one under the other, make the original one. swapped: the
    two halves of its rows stand in the other order there."""

    modules: tuple[str, ...]
    swapped: bool = False


def originals(network: nn.Module) -> dict[str, Layers]:
    """The original names of a network's layers."""
    modules = dict(network.named_modules())
    kind = type(network).__name__
    if kind == "UNet2DConditionModel":
        named = dict(_sgm(network))
    else:
        named = _numbered(_PATTERNS.get(kind, {}), modules)
    if kind == "SD3Transformer2DModel":
        last = max(int(name.split(".")[1]) for name in modules if re.fullmatch(r"transformer_blocks\.\d+", name))
        # its modulation has no gates, and diffusers writes scale before shift there
        named[f"joint_blocks.{last}.context_block.adaLN_modulation.1"] = Layers(
            (f"transformer_blocks.{last}.norm1_context.linear",), swapped=True
        )
    return {name: layers for name, layers in named.items() if all(module in modules for module in layers.modules)}


def _numbered(patterns: dict[str, tuple[str, ...]], modules: dict[str, nn.Module]) -> dict[str, Layers]:
    """Patterns with a `#` in place of the block's number, written out for every block that there is."""
    blocks = {int(number) for name in modules for number in re.findall(r"(?:^|\.)(\d+)(?:\.|$)", name)}
    named = {}
    for original, names in patterns.items():
        swapped = original.startswith("~")
        for number in sorted(blocks) if "#" in original else (0,):
            filled = tuple(name.replace("#", str(number)) for name in names)
            named[original.removeprefix("~").replace("#", str(number))] = Layers(filled, swapped)
    return named


def _sgm(unet: Any) -> Iterator[tuple[str, Layers]]:
    """Of the UNets of Stable Diffusion 1, 2 and XL: numbered through instead of block by block."""
    modules = dict(unet.named_modules())

    def below(original: str, name: str) -> Iterator[tuple[str, Layers]]:
        for path in modules:
            if path == name or path.startswith(f"{name}."):
                inner = path[len(name) :]
                yield original + inner, Layers((path,))
                for ours, theirs in _RESNET.items():
                    if inner == f".{ours}":
                        yield f"{original}.{theirs}", Layers((path,))

    for ours, theirs in _AROUND.items():
        yield theirs, Layers((ours,))
    number = 1
    for i, block in enumerate(unet.down_blocks):
        for j in range(len(block.resnets)):
            yield from below(f"input_blocks.{number}.0", f"down_blocks.{i}.resnets.{j}")
            yield from below(f"input_blocks.{number}.1", f"down_blocks.{i}.attentions.{j}")
            number += 1
        if getattr(block, "downsamplers", None):
            yield f"input_blocks.{number}.0.op", Layers((f"down_blocks.{i}.downsamplers.0.conv",))
            number += 1
    for original, name in (("0", "resnets.0"), ("1", "attentions.0"), ("2", "resnets.1")):
        yield from below(f"middle_block.{original}", f"mid_block.{name}")
    number = 0
    for i, block in enumerate(unet.up_blocks):
        attends = bool(getattr(block, "attentions", None))
        for j in range(len(block.resnets)):
            yield from below(f"output_blocks.{number}.0", f"up_blocks.{i}.resnets.{j}")
            yield from below(f"output_blocks.{number}.1", f"up_blocks.{i}.attentions.{j}")
            if j == len(block.resnets) - 1 and getattr(block, "upsamplers", None):
                original = f"output_blocks.{number}.{2 if attends else 1}.conv"
                yield original, Layers((f"up_blocks.{i}.upsamplers.0.conv",))
            number += 1


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_AROUND = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def _flux() -> dict[str, tuple[str, ...]]:
    patterns: dict[str, tuple[str, ...]] = {}
    block = "transformer_blocks.#"
    for side, queries, out, feed, norm in (
        ("img", ("to_q", "to_k", "to_v"), "to_out.0", "ff", "norm1"),
        ("txt", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out", "ff_context", "norm1_context"),
    ):
        fused = tuple(f"{block}.attn.{name}" for name in queries)
        number = 1 if side == "img" else 2  # as XLabs numbers them
        patterns |= {
            f"double_blocks.#.{side}_attn.qkv": fused,
            f"double_blocks.#.qkv_lora{number}": fused,
            f"double_blocks.#.{side}_attn.proj": (f"{block}.attn.{out}",),
            f"double_blocks.#.proj_lora{number}": (f"{block}.attn.{out}",),
            f"double_blocks.#.{side}_mlp.0": (f"{block}.{feed}.net.0.proj",),
            f"double_blocks.#.{side}_mlp.2": (f"{block}.{feed}.net.2",),
            f"double_blocks.#.{side}_mod.lin": (f"{block}.{norm}.linear",),
        }
    single = "single_transformer_blocks.#"
    fused = tuple(f"{single}.attn.{name}" for name in ("to_q", "to_k", "to_v"))
    patterns |= {
        "single_blocks.#.linear1": (*fused, f"{single}.proj_mlp"),
        "single_blocks.#.qkv": fused,
        "single_blocks.#.linear2": (f"{single}.proj_out",),
        "single_blocks.#.proj": (f"{single}.proj_out",),
        "single_blocks.#.modulation.lin": (f"{single}.norm.linear",),
        "img_in": ("x_embedder",),
        "txt_in": ("context_embedder",),
        "final_layer.linear": ("proj_out",),
        "~final_layer.adaLN_modulation.1": ("norm_out.linear",),
    }
    for theirs, ours in (("time", "timestep"), ("vector", "text"), ("guidance", "guidance")):
        patterns[f"{theirs}_in.in_layer"] = (f"time_text_embed.{ours}_embedder.linear_1",)
        patterns[f"{theirs}_in.out_layer"] = (f"time_text_embed.{ours}_embedder.linear_2",)
    return patterns


def _sd3() -> dict[str, tuple[str, ...]]:
    block, theirs = "transformer_blocks.#", "joint_blocks.#"
    return {
        f"{theirs}.x_block.attn.qkv": tuple(f"{block}.attn.{name}" for name in ("to_q", "to_k", "to_v")),
        f"{theirs}.x_block.attn2.qkv": tuple(f"{block}.attn2.{name}" for name in ("to_q", "to_k", "to_v")),
        f"{theirs}.context_block.attn.qkv": tuple(
            f"{block}.attn.{name}" for name in ("add_q_proj", "add_k_proj", "add_v_proj")
        ),
        f"{theirs}.x_block.attn.proj": (f"{block}.attn.to_out.0",),
        f"{theirs}.x_block.attn2.proj": (f"{block}.attn2.to_out.0",),
        f"{theirs}.context_block.attn.proj": (f"{block}.attn.to_add_out",),
        f"{theirs}.x_block.mlp.fc1": (f"{block}.ff.net.0.proj",),
        f"{theirs}.x_block.mlp.fc2": (f"{block}.ff.net.2",),
        f"{theirs}.context_block.mlp.fc1": (f"{block}.ff_context.net.0.proj",),
        f"{theirs}.context_block.mlp.fc2": (f"{block}.ff_context.net.2",),
        f"{theirs}.x_block.adaLN_modulation.1": (f"{block}.norm1.linear",),
        f"{theirs}.context_block.adaLN_modulation.1": (f"{block}.norm1_context.linear",),
        "x_embedder.proj": ("pos_embed.proj",),
        "context_embedder": ("context_embedder",),
        "t_embedder.mlp.0": ("time_text_embed.timestep_embedder.linear_1",),
        "t_embedder.mlp.2": ("time_text_embed.timestep_embedder.linear_2",),
        "y_embedder.mlp.0": ("time_text_embed.text_embedder.linear_1",),
        "y_embedder.mlp.2": ("time_text_embed.text_embedder.linear_2",),
        "final_layer.linear": ("proj_out",),
        "~final_layer.adaLN_modulation.1": ("norm_out.linear",),
    }


_BLOCKS = {
    "blocks.#.attn.qkv": tuple(f"transformer_blocks.#.attn1.{name}" for name in ("to_q", "to_k", "to_v")),
    "blocks.#.attn.proj": ("transformer_blocks.#.attn1.to_out.0",),
    "blocks.#.mlp.fc1": ("transformer_blocks.#.ff.net.0.proj",),
    "blocks.#.mlp.fc2": ("transformer_blocks.#.ff.net.2",),
    "x_embedder.proj": ("pos_embed.proj",),
}
_PIXART = {
    "blocks.#.cross_attn.q_linear": ("transformer_blocks.#.attn2.to_q",),
    "blocks.#.cross_attn.kv_linear": ("transformer_blocks.#.attn2.to_k", "transformer_blocks.#.attn2.to_v"),
    "blocks.#.cross_attn.proj": ("transformer_blocks.#.attn2.to_out.0",),
    "t_embedder.mlp.0": ("adaln_single.emb.timestep_embedder.linear_1",),
    "t_embedder.mlp.2": ("adaln_single.emb.timestep_embedder.linear_2",),
    "t_block.1": ("adaln_single.linear",),
    "y_embedder.y_proj.fc1": ("caption_projection.linear_1",),
    "y_embedder.y_proj.fc2": ("caption_projection.linear_2",),
    "final_layer.linear": ("proj_out",),
}
_PATTERNS: dict[str, dict[str, tuple[str, ...]]] = {
    "FluxTransformer2DModel": _flux(),
    "SD3Transformer2DModel": _sd3(),
    "PixArtTransformer2DModel": _BLOCKS | _PIXART,
    "DiTTransformer2DModel": _BLOCKS | {"blocks.#.adaLN_modulation.1": ("transformer_blocks.#.norm1.linear",)},
}
