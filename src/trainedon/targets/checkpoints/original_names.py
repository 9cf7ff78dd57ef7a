"""Names of tensors in checkpoints as CompVis, Stability AI and Black Forest Labs publish them, as diffusers names them.

Each tensor has one rule, or none: then the file is refused, so that nothing of it is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch


class Renamed(NamedTuple):
    """targets: names of diffusers; several share the tensor's rows, in this order. change: what is done to it first."""

    targets: tuple[str, ...]
    change: Callable[[torch.Tensor], torch.Tensor] | None = None


Rule = Callable[[str, Mapping[str, Any]], Renamed | None]


def swapped(value: torch.Tensor) -> torch.Tensor:
    """Scale and shift of a final norm, which diffusers keeps in the other order."""
    shift, scale = value.chunk(2)
    return torch.cat([scale, shift])


def turned(value: torch.Tensor) -> torch.Tensor:
    return value.T


_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "emb_layers.1": "time_emb_proj",
    "skip_connection": "conv_shortcut",
}
_UNET = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_ENDS = re.compile(r"(?P<stem>.+)\.(?P<end>weight|bias)")
_PLACE = re.compile(r"(?P<where>input_blocks|middle_block|output_blocks)\.(?P<i>\d+)\.((?P<j>\d+)\.)?(?P<rest>.+)")


def unet(name: str, config: Mapping[str, Any]) -> Renamed | None:
    """Of the UNet of latent diffusion (`openaimodel.py`), in which blocks of a level are numbered through."""
    if (ends := _ENDS.fullmatch(name)) is None:
        return None
    stem, end = ends["stem"], ends["end"]
    if stem in _UNET:
        return Renamed((f"{_UNET[stem]}.{end}",))
    place = _PLACE.fullmatch(stem)
    if place is None:
        return None
    i, j, rest = int(place["i"]), place["j"], place["rest"]
    if not isinstance(config["layers_per_block"], int):  # no original network has levels of unlike depth
        return None
    a_level = config["layers_per_block"] + 1
    found: str | None
    if place["where"] == "middle_block":
        if i == 1:
            found = f"mid_block.attentions.0.{stem.split('.', 2)[2]}"
        else:
            inner = _RESNET.get(stem.split(".", 2)[2])
            found = f"mid_block.resnets.{i // 2}.{inner}" if inner and i in (0, 2) else None
    elif place["where"] == "input_blocks":
        level, layer = divmod(i - 1, a_level)
        found = _inside(f"down_blocks.{level}", layer, j, rest, "downsamplers.0.conv" if rest == "op" else None)
    else:
        level, layer = divmod(i, a_level)
        found = _inside(f"up_blocks.{level}", layer, j, rest, "upsamplers.0.conv" if rest == "conv" else None)
    return Renamed((f"{found}.{end}",)) if found else None


def _inside(level: str, layer: int, j: str | None, rest: str, sampler: str | None) -> str | None:
    if sampler:
        return f"{level}.{sampler}"
    if j == "0":
        return f"{level}.resnets.{layer}.{_RESNET[rest]}" if rest in _RESNET else None
    return f"{level}.attentions.{layer}.{rest}" if j == "1" else None


_MIDDLE = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_AUTOENCODER: tuple[tuple[str, Callable[[re.Match[str], int], str]], ...] = (
    (r"(en|de)coder\.conv_(in|out)|(post_)?quant_conv", lambda m, _: m[0]),
    (r"(..coder)\.norm_out", lambda m, _: f"{m[1]}.conv_norm_out"),
    (r"(..coder)\.mid\.block_([12])\.(.+)", lambda m, _: f"{m[1]}.mid_block.resnets.{int(m[2]) - 1}.{m[3]}"),
    (r"(..coder)\.mid\.attn_1\.(\w+)", lambda m, _: f"{m[1]}.mid_block.attentions.0.{_MIDDLE.get(m[2], m[2])}"),
    (r"encoder\.down\.(\d+)\.block\.(\d+)\.(.+)", lambda m, _: f"encoder.down_blocks.{m[1]}.resnets.{m[2]}.{m[3]}"),
    (r"encoder\.down\.(\d+)\.downsample\.conv", lambda m, _: f"encoder.down_blocks.{m[1]}.downsamplers.0.conv"),
    (
        r"decoder\.up\.(\d+)\.block\.(\d+)\.(.+)",
        lambda m, last: f"decoder.up_blocks.{last - int(m[1])}.resnets.{m[2]}.{m[3]}",
    ),
    (
        r"decoder\.up\.(\d+)\.upsample\.conv",
        lambda m, last: f"decoder.up_blocks.{last - int(m[1])}.upsamplers.0.conv",
    ),
)


def autoencoder(name: str, config: Mapping[str, Any]) -> Renamed | None:
    """Of the autoencoder of latent diffusion, whose decoder numbers its levels from the end."""
    if (ends := _ENDS.fullmatch(name)) is None:
        return None
    for pattern, made in _AUTOENCODER:
        if match := re.fullmatch(pattern, ends["stem"]):
            stem = made(match, len(config["block_out_channels"]) - 1).replace("nin_shortcut", "conv_shortcut")
            return Renamed((f"{stem}.{ends['end']}",))
    return None


def clip(name: str, _config: Mapping[str, Any]) -> Renamed:
    """Of a text encoder with transformers' own names; early files lack `text_model.`."""
    return Renamed((name.removeprefix("text_model."),))


_RESBLOCK = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"}
_RESBLOCK |= {"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
_OPEN_CLIP = {
    "positional_embedding": Renamed(("embeddings.position_embedding.weight",)),
    "token_embedding.weight": Renamed(("embeddings.token_embedding.weight",)),
    "ln_final.weight": Renamed(("final_layer_norm.weight",)),
    "ln_final.bias": Renamed(("final_layer_norm.bias",)),
    "text_projection": Renamed(("text_projection.weight",), turned),
    "text_projection.weight": Renamed(("text_projection.weight",)),
}


def open_clip(name: str, _config: Mapping[str, Any]) -> Renamed | None:
    """Of OpenCLIP's text tower, where queries, keys and values are one tensor."""
    if name in _OPEN_CLIP:
        return _OPEN_CLIP[name]
    match = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)", name)
    if match is None:
        return None
    layer = f"encoder.layers.{match[1]}"
    if match[2] == "attn.in_proj":
        return Renamed(tuple(f"{layer}.self_attn.{one}_proj.{match[3]}" for one in "qkv"))
    return Renamed((f"{layer}.{_RESBLOCK[match[2]]}.{match[3]}",)) if match[2] in _RESBLOCK else None


def as_they_are(name: str, _config: Mapping[str, Any]) -> Renamed:
    return Renamed((name,))


Table = tuple[tuple[str, str | tuple[str, ...]], ...]
_SD3: Table = (
    (r"x_embedder\.proj", "pos_embed.proj"),
    (r"([ty])_embedder\.mlp\.([02])", r"time_text_embed.\1.\2"),
    (r"context_embedder", "context_embedder"),
    (r"joint_blocks\.(\d+)\.x_block\.attn\.qkv", tuple(rf"transformer_blocks.\1.attn.to_{one}" for one in "qkv")),
    (r"joint_blocks\.(\d+)\.x_block\.attn2\.qkv", tuple(rf"transformer_blocks.\1.attn2.to_{one}" for one in "qkv")),
    (
        r"joint_blocks\.(\d+)\.context_block\.attn\.qkv",
        tuple(rf"transformer_blocks.\1.attn.add_{one}_proj" for one in "qkv"),
    ),
    (r"joint_blocks\.(\d+)\.x_block\.(attn2?)\.ln_([qk])", r"transformer_blocks.\1.\2.norm_\3"),
    (r"joint_blocks\.(\d+)\.context_block\.attn\.ln_([qk])", r"transformer_blocks.\1.attn.norm_added_\2"),
    (r"joint_blocks\.(\d+)\.x_block\.(attn2?)\.proj", r"transformer_blocks.\1.\2.to_out.0"),
    (r"joint_blocks\.(\d+)\.context_block\.attn\.proj", r"transformer_blocks.\1.attn.to_add_out"),
    (r"joint_blocks\.(\d+)\.x_block\.adaLN_modulation\.1", r"transformer_blocks.\1.norm1.linear"),
    (r"joint_blocks\.(\d+)\.context_block\.adaLN_modulation\.1", r"transformer_blocks.\1.norm1_context.linear"),
    (r"joint_blocks\.(\d+)\.x_block\.mlp\.fc1", r"transformer_blocks.\1.ff.net.0.proj"),
    (r"joint_blocks\.(\d+)\.x_block\.mlp\.fc2", r"transformer_blocks.\1.ff.net.2"),
    (r"joint_blocks\.(\d+)\.context_block\.mlp\.fc1", r"transformer_blocks.\1.ff_context.net.0.proj"),
    (r"joint_blocks\.(\d+)\.context_block\.mlp\.fc2", r"transformer_blocks.\1.ff_context.net.2"),
    (r"final_layer\.linear", "proj_out"),
    (r"final_layer\.adaLN_modulation\.1", "norm_out.linear"),
)
_FLUX: Table = (
    (r"(time|vector|guidance)_in\.(in|out)_layer", r"time_text_embed.\1.\2"),
    (r"txt_in", "context_embedder"),
    (r"img_in", "x_embedder"),
    (r"double_blocks\.(\d+)\.img_mod\.lin", r"transformer_blocks.\1.norm1.linear"),
    (r"double_blocks\.(\d+)\.txt_mod\.lin", r"transformer_blocks.\1.norm1_context.linear"),
    (r"double_blocks\.(\d+)\.img_attn\.qkv", tuple(rf"transformer_blocks.\1.attn.to_{one}" for one in "qkv")),
    (r"double_blocks\.(\d+)\.txt_attn\.qkv", tuple(rf"transformer_blocks.\1.attn.add_{one}_proj" for one in "qkv")),
    (r"double_blocks\.(\d+)\.img_attn\.norm\.(query|key)_norm", r"transformer_blocks.\1.attn.norm_\2"),
    (r"double_blocks\.(\d+)\.txt_attn\.norm\.(query|key)_norm", r"transformer_blocks.\1.attn.norm_added_\2"),
    (r"double_blocks\.(\d+)\.img_attn\.proj", r"transformer_blocks.\1.attn.to_out.0"),
    (r"double_blocks\.(\d+)\.txt_attn\.proj", r"transformer_blocks.\1.attn.to_add_out"),
    (r"double_blocks\.(\d+)\.img_mlp\.0", r"transformer_blocks.\1.ff.net.0.proj"),
    (r"double_blocks\.(\d+)\.img_mlp\.2", r"transformer_blocks.\1.ff.net.2"),
    (r"double_blocks\.(\d+)\.txt_mlp\.0", r"transformer_blocks.\1.ff_context.net.0.proj"),
    (r"double_blocks\.(\d+)\.txt_mlp\.2", r"transformer_blocks.\1.ff_context.net.2"),
    (r"single_blocks\.(\d+)\.modulation\.lin", r"single_transformer_blocks.\1.norm.linear"),
    (
        r"single_blocks\.(\d+)\.linear1",
        tuple(rf"single_transformer_blocks.\1.{one}" for one in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")),
    ),
    (r"single_blocks\.(\d+)\.linear2", r"single_transformer_blocks.\1.proj_out"),
    (r"single_blocks\.(\d+)\.norm\.(query|key)_norm", r"single_transformer_blocks.\1.attn.norm_\2"),
    (r"final_layer\.linear", "proj_out"),
    (r"final_layer\.adaLN_modulation\.1", "norm_out.linear"),
)
_WORDS = {
    "time_text_embed.t.": "time_text_embed.timestep_embedder.",
    "time_text_embed.y.": "time_text_embed.text_embedder.",
    "time_text_embed.time.": "time_text_embed.timestep_embedder.",
    "time_text_embed.vector.": "time_text_embed.text_embedder.",
    "time_text_embed.guidance.": "time_text_embed.guidance_embedder.",
}
_LINEAR = {"0": "linear_1", "2": "linear_2", "in": "linear_1", "out": "linear_2"}
_NORMS = {"norm_query": "norm_q", "norm_key": "norm_k"}
_NORMS |= {"norm_added_query": "norm_added_q", "norm_added_key": "norm_added_k"}


def _by(table: Table, name: str, final: Callable[[str], bool]) -> Renamed | None:
    """final: of which of diffusers' names scale and shift are swapped."""
    stem, _, end = name.rpartition(".")
    end = "weight" if end == "scale" else end
    for pattern, made in table if end in ("weight", "bias") else ():
        if (match := re.fullmatch(pattern, stem)) is None:
            continue
        targets = tuple(_spelled(match.expand(one)) for one in ((made,) if isinstance(made, str) else made))
        return Renamed(tuple(f"{one}.{end}" for one in targets), swapped if final(targets[0]) else None)
    return None


def _spelled(name: str) -> str:
    for short, full in _WORDS.items():
        if name.startswith(short):
            return full + _LINEAR[name.removeprefix(short)]
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_NORMS[last]}" if last in _NORMS else name


def sd3(name: str, config: Mapping[str, Any]) -> Renamed | None:
    """Of the transformer of Stable Diffusion 3; its last block ends what it knows of words with a final norm."""
    if name == "pos_embed":
        return Renamed(("pos_embed.pos_embed",))
    last = f"transformer_blocks.{config['num_layers'] - 1}.norm1_context.linear"
    return _by(_SD3, name, lambda target: target in (last, "norm_out.linear"))


def flux(name: str, _config: Mapping[str, Any]) -> Renamed | None:
    return _by(_FLUX, name, lambda target: target == "norm_out.linear")
