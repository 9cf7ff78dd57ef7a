"""Checkpoints in one file, written from tiny pipelines under the names that their authors gave to the tensors."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

State = dict[str, torch.Tensor]
RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3"}
RESNET |= {"time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}
UNET = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2"}
UNET |= {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
UNET |= {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}


def unet(state: State, layers: int) -> State:
    """The UNet of openaimodel.py: all blocks of the way down, and of the way up, are numbered through."""
    attended = {key.split(".")[1] for key in state if re.match(r"up_blocks\.\d+\.attentions", key)}

    def named(stem: str) -> str:
        if stem in UNET:
            return UNET[stem]
        if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", stem):
            kind, i, rest = match.groups()
            return f"middle_block.{2 * int(i)}.{RESNET[rest]}" if kind == "resnets" else f"middle_block.1.{rest}"
        way, level, kind, i, rest = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)", stem).groups()
        first = int(level) * (layers + 1) + (way == "down")
        blocks = "input_blocks" if way == "down" else "output_blocks"
        if kind == "downsamplers":
            return f"{blocks}.{first + layers}.0.op"
        if kind == "upsamplers":
            return f"{blocks}.{first + layers}.{1 + (level in attended)}.conv"
        return f"{blocks}.{first + int(i)}." + (f"0.{RESNET[rest]}" if kind == "resnets" else f"1.{rest}")

    return {"{}.{}".format(named(key.rpartition(".")[0]), key.rpartition(".")[2]): v for key, v in state.items()}


def vae(state: State, levels: int) -> State:
    """The autoencoder of latent diffusion, whose attention is made of 1 x 1 convolutions."""
    found = {}
    for key, value in state.items():
        name = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{levels - 1 - int(m[1])}.block", name)
        name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", name)
        if "mid_block.attentions.0" in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
            name = name.replace("to_out.0", "proj_out").replace("to_", "")
            value = value[:, :, None, None] if value.ndim == 2 else value
        found[name] = value
    return found


def clip(state: State) -> State:
    return {f"text_model.{key}": value for key, value in state.items()}


def open_clip(state: State) -> State:
    """OpenCLIP's text tower: one tensor for queries, keys and values, and a projection that is turned."""
    state = {key.removeprefix("text_model."): value for key, value in state.items()}
    found = {"positional_embedding": state["embeddings.position_embedding.weight"]}
    found["token_embedding.weight"] = state["embeddings.token_embedding.weight"]
    found |= {f"ln_final.{end}": state[f"final_layer_norm.{end}"] for end in ("weight", "bias")}
    if "text_projection.weight" in state:
        found["text_projection"] = state["text_projection.weight"].T.contiguous()
    others = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj"}
    others |= {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for i in range(1 + max(int(key.split(".")[2]) for key in state if key.startswith("encoder.layers."))):
        ours, theirs = f"encoder.layers.{i}", f"transformer.resblocks.{i}"
        for end in ("weight", "bias"):
            qkv = [state[f"{ours}.self_attn.{one}_proj.{end}"] for one in "qkv"]
            found[f"{theirs}.attn.in_proj_{end}"] = torch.cat(qkv)
            found |= {f"{theirs}.{new}.{end}": state[f"{ours}.{old}.{end}"] for old, new in others.items()}
    return found


def swapped(value: torch.Tensor) -> torch.Tensor:
    return torch.cat(value.chunk(2)[::-1])


def _renamed(state: State, names: dict[str, str | list[str]]) -> State:
    """names: original -> diffusers, for weights and biases; several are joined."""
    found = {}
    for original, ours in names.items():
        for end in ("weight", "bias"):
            parts = [
                state.pop(f"{one}.{end}")
                for one in ([ours] if isinstance(ours, str) else ours)
                if f"{one}.{end}" in state
            ]
            if parts:
                found[f"{original}.{end}"] = torch.cat(parts) if len(parts) > 1 else parts[0]
    return found


def _mlp(original: str, ours: str) -> dict[str, str]:
    return {f"{original}.{first}": f"{ours}.{second}" for first, second in (("0", "linear_1"), ("2", "linear_2"))}


def sd3(state: State) -> State:
    state, blocks = dict(state), 1 + max(int(key.split(".")[1]) for key in state if key.startswith("transformer_b"))
    final = [f"transformer_blocks.{blocks - 1}.norm1_context.linear", "norm_out.linear"]
    state |= {f"{one}.{end}": swapped(state[f"{one}.{end}"]) for one in final for end in ("weight", "bias")}
    names = _mlp("t_embedder.mlp", "time_text_embed.timestep_embedder")
    names |= _mlp("y_embedder.mlp", "time_text_embed.text_embedder")
    names |= {"x_embedder.proj": "pos_embed.proj", "context_embedder": "context_embedder"}
    names |= {"final_layer.linear": "proj_out", "final_layer.adaLN_modulation.1": "norm_out.linear"}
    for i in range(blocks):
        x, context, ours = f"joint_blocks.{i}.x_block", f"joint_blocks.{i}.context_block", f"transformer_blocks.{i}"
        for attention in ("attn", "attn2"):
            names[f"{x}.{attention}.qkv"] = [f"{ours}.{attention}.to_{one}" for one in "qkv"]
            names[f"{x}.{attention}.proj"] = f"{ours}.{attention}.to_out.0"
            names |= {f"{x}.{attention}.ln_{one}": f"{ours}.{attention}.norm_{one}" for one in "qk"}
        names[f"{context}.attn.qkv"] = [f"{ours}.attn.add_{one}_proj" for one in "qkv"]
        names[f"{context}.attn.proj"] = f"{ours}.attn.to_add_out"
        names |= {f"{context}.attn.ln_{one}": f"{ours}.attn.norm_added_{one}" for one in "qk"}
        for theirs, end in ((x, ""), (context, "_context")):
            names[f"{theirs}.adaLN_modulation.1"] = f"{ours}.norm1{end}.linear"
            names |= {f"{theirs}.mlp.fc1": f"{ours}.ff{end}.net.0.proj", f"{theirs}.mlp.fc2": f"{ours}.ff{end}.net.2"}
    found = {"pos_embed": state.pop("pos_embed.pos_embed"), **_renamed(state, names)}
    assert not state, list(state)
    return found


def flux(state: State) -> State:
    state = dict(state)
    state |= {f"norm_out.linear.{end}": swapped(state[f"norm_out.linear.{end}"]) for end in ("weight", "bias")}
    names: dict = {"txt_in": "context_embedder", "img_in": "x_embedder", "final_layer.linear": "proj_out"}
    names["final_layer.adaLN_modulation.1"] = "norm_out.linear"
    for theirs, ours in (("time", "timestep"), ("vector", "text"), ("guidance", "guidance")):
        names[f"{theirs}_in.in_layer"] = f"time_text_embed.{ours}_embedder.linear_1"
        names[f"{theirs}_in.out_layer"] = f"time_text_embed.{ours}_embedder.linear_2"
    norms = {}
    for i in {int(key.split(".")[1]) for key in state if key.startswith("transformer_blocks")}:
        ours = f"transformer_blocks.{i}"
        for side, context, added in (("img", "", ""), ("txt", "_context", "added_")):
            theirs = f"double_blocks.{i}.{side}"
            names[f"{theirs}_mod.lin"] = f"{ours}.norm1{context}.linear"
            qkv = [f"{ours}.attn.add_{one}_proj" if added else f"{ours}.attn.to_{one}" for one in "qkv"]
            names[f"{theirs}_attn.qkv"] = qkv
            names[f"{theirs}_attn.proj"] = f"{ours}.attn.to_add_out" if added else f"{ours}.attn.to_out.0"
            names |= {
                f"{theirs}_mlp.0": f"{ours}.ff{context}.net.0.proj",
                f"{theirs}_mlp.2": f"{ours}.ff{context}.net.2",
            }
            norms[f"{theirs}_attn.norm.query_norm"] = f"{ours}.attn.norm_{added}q"
            norms[f"{theirs}_attn.norm.key_norm"] = f"{ours}.attn.norm_{added}k"
    for i in {int(key.split(".")[1]) for key in state if key.startswith("single_transformer_blocks")}:
        ours, theirs = f"single_transformer_blocks.{i}", f"single_blocks.{i}"
        names[f"{theirs}.modulation.lin"] = f"{ours}.norm.linear"
        names[f"{theirs}.linear1"] = [*(f"{ours}.attn.to_{one}" for one in "qkv"), f"{ours}.proj_mlp"]
        names[f"{theirs}.linear2"] = f"{ours}.proj_out"
        norms |= {f"{theirs}.norm.query_norm": f"{ours}.attn.norm_q", f"{theirs}.norm.key_norm": f"{ours}.attn.norm_k"}
    found = _renamed(state, names)
    found |= {f"{theirs}.scale": state.pop(f"{ours}.weight") for theirs, ours in norms.items()}
    assert not state, list(state)
    return found


def _under(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def _ldm(pipeline) -> State:
    network = unet(pipeline.unet.state_dict(), pipeline.unet.config.layers_per_block)
    return _under("model.diffusion_model.", network) | _first_stage(pipeline)


def _first_stage(pipeline, prefix: str = "first_stage_model.") -> State:
    return _under(prefix, vae(pipeline.vae.state_dict(), len(pipeline.vae.config.block_out_channels)))


def sd1(pipeline) -> State:
    words = clip(pipeline.text_encoder.state_dict())
    words["text_model.embeddings.position_ids"] = torch.arange(16)[None]
    found = _ldm(pipeline) | _under("cond_stage_model.transformer.", words)
    alphas = pipeline.scheduler.alphas_cumprod
    return found | {
        "alphas_cumprod": alphas,
        "betas": pipeline.scheduler.betas,
        "first_stage_model.loss.logvar": alphas[:1],
    }


def sd2(pipeline) -> State:
    """With the last layer of the text encoder, which is not asked, and its projection."""
    state = {key.removeprefix("text_model."): value for key, value in pipeline.text_encoder.state_dict().items()}
    last = {key.replace("layers.1.", "layers.2."): v + 1 for key, v in state.items() if ".layers.1." in key}
    words = open_clip(state | last | {"text_projection.weight": torch.ones(8, 8)}) | {"logit_scale": torch.ones(())}
    return _ldm(pipeline) | _under("cond_stage_model.model.", words)


def sdxl(pipeline) -> State:
    first, second = clip(pipeline.text_encoder.state_dict()), open_clip(pipeline.text_encoder_2.state_dict())
    found = _ldm(pipeline) | _under("conditioner.embedders.0.transformer.", first)
    return found | _under("conditioner.embedders.1.model.", second)


def refiner(pipeline) -> State:
    return _ldm(pipeline) | _under("conditioner.embedders.0.model.", open_clip(pipeline.text_encoder_2.state_dict()))


def _t5(module) -> State:
    state = dict(module.state_dict())
    del state["encoder.embed_tokens.weight"]
    return _under("text_encoders.t5xxl.transformer.", state)


def stable_diffusion_3(pipeline) -> State:
    found = _under("model.diffusion_model.", sd3(pipeline.transformer.state_dict())) | _first_stage(pipeline)
    for name, module in (("clip_l", pipeline.text_encoder), ("clip_g", pipeline.text_encoder_2)):
        found |= _under(f"text_encoders.{name}.transformer.", dict(module.state_dict()))
    return found | _t5(pipeline.text_encoder_3)


def all_in_one_flux(pipeline) -> State:
    found = _under("model.diffusion_model.", flux(pipeline.transformer.state_dict())) | _first_stage(pipeline, "vae.")
    words = clip(pipeline.text_encoder.state_dict()) | {"text_projection.weight": torch.ones(8, 8)}
    return found | _under("text_encoders.clip_l.transformer.", words) | _t5(pipeline.text_encoder_2)


def write(state: State, path: Path, **metadata: str) -> Path:
    save_file({key: value.contiguous().clone() for key, value in state.items()}, path, metadata=metadata or None)
    return path


def without_weights(folder: Path, out: Path) -> Path:
    """What there is of a model's folder beside its weights."""
    return Path(shutil.copytree(folder, out, ignore=shutil.ignore_patterns("*.safetensors")))


WRITERS: dict[str, Callable] = {
    "stable diffusion": sd1,
    "inpainting": sd1,
    "stable diffusion, v": sd2,
    "sdxl": sdxl,
    "sdxl inpainting": sdxl,
    "refiner": refiner,
    "stable diffusion 3": stable_diffusion_3,
    "flux": all_in_one_flux,
}
