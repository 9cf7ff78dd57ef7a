"""Configurations, adapters and texts of the command line that would take a machine's memory, hours, or code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hostile.cases import hostile
from hostile.models import _edit, _model, spoilt
from PIL import Image
from safetensors.torch import save_file

UNET, WORDS, PATH = "unet/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"


def said(says: str, file: str, family: str = "stable diffusion", **changes: Any) -> None:
    """A case: a configuration with other values."""

    def build(model: Path) -> None:
        _edit(model / file, **changes)

    build.__name__ = f"{'_'.join(changes)}_of_{family.replace(' ', '_').replace(',', '')}_{len(said.made)}"
    said.made.append(build)
    spoilt(says, family)(build)


said.made = []

said("num_train_timesteps = 1000000000 is refused", PATH, num_train_timesteps=10**9)
said("trained_betas", PATH, trained_betas=[0.1] * 200_000)
said("beta_end = nan is refused", PATH, beta_end=float("nan"))
said("noise grows the other way", PATH, beta_start=0.5, beta_end=0.01)
said("solver_order = 1000000000 is refused", PATH, solver_order=10**9)
said("layers_per_block = 1000000 is refused", UNET, layers_per_block=10**6)
said("larger than its weights", UNET, layers_per_block=64, transformer_layers_per_block=64)
said("larger than its weights", UNET, cross_attention_dim=60_000)
said("block_out_channels", UNET, block_out_channels=[10**9, 10**9])
said("transformer_layers_per_block", UNET, transformer_layers_per_block=[[[1]]])
said("norm_num_groups = 0 is refused", UNET, norm_num_groups=0)
said("sample_size = 1000000 is refused", UNET, sample_size=10**6)
said("num_class_embeds", UNET, num_class_embeds=10**12)
said("act_fn = 'os.system' is refused", UNET, act_fn="os.system")
said("_class_name", UNET, _class_name=["wicked", "Network"])
said("larger than its weights", WORDS, vocab_size=2_000_000)
said("max_position_embeddings = 1000000000 is refused", WORDS, max_position_embeddings=10**9)
said("num_labels = 1000000000000 is refused", WORDS, num_labels=10**12)
said("_attn_implementation", WORDS, _attn_implementation="stranger/kernel")
said("hidden_size = True is refused", WORDS, hidden_size=True)
said(
    "pos_embed_max_size = 100000 is refused", "transformer/config.json", "stable diffusion 3", pos_embed_max_size=10**5
)
said("model_max_length", "tokenizer/tokenizer_config.json", model_max_length=[1, 2])


LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


def adapted(says: str, code: int = 2) -> Callable:
    """A case that spoils the folder of an adapter of peft's, which is good for the model before."""

    def register(spoil: Callable[[Path], None]) -> Callable:
        def build(place: Path) -> list[str]:
            _, command = _model(place)
            folder = place / "adapter"
            folder.mkdir()
            tensors = {f"base_model.model.{LAYER}.lora_{one}.weight": torch.ones(s) for one, s in SHAPES.items()}
            save_file(tensors, folder / "adapter_model.safetensors")
            config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": [LAYER]}
            (folder / "adapter_config.json").write_text(json.dumps(config))
            spoil(folder)
            return [*command, "--adapter", str(folder)]

        build.__name__ = spoil.__name__
        return hostile(says, code, command="audit")(build)

    return register


SHAPES = {"A": (2, 16), "B": (16, 2)}


@adapted("", code=0)
def an_expression_that_is_never_matched(folder: Path) -> None:
    _edit(folder / "adapter_config.json", target_modules="(a+)+$")


@adapted("", code=0)
def an_expression_that_others_take_years_for(folder: Path) -> None:
    _edit(folder / "adapter_config.json", rank_pattern={r"(\w*\.*)*(\w*\.*)*(\w*\.*)*Z": 3})


@adapted("does not give r and lora_alpha as numbers")
def an_alpha_without_bound(folder: Path) -> None:
    _edit(folder / "adapter_config.json", lora_alpha=10**400)


@adapted("is a pipe and no")
def a_configuration_that_is_a_pipe(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()
    os.mkfifo(folder / "adapter_config.json")


@adapted("is a link that leads out")
def a_configuration_behind_a_link(folder: Path) -> None:
    (folder / "adapter_config.json").rename(folder.parent / "elsewhere.json")
    (folder / "adapter_config.json").symlink_to(folder.parent / "elsewhere.json")


@adapted("does not fit the model")
def a_product_of_two_thousand_million_numbers(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()
    name = "lora_unet_" + LAYER.replace(".", "_")
    tensors = {f"{name}.lokr_w1": torch.ones(50_000, 1), f"{name}.lokr_w2": torch.ones(1, 50_000)}
    (folder / "adapter_model.safetensors").unlink()
    save_file(tensors, folder / "a.safetensors")


@adapted("the adapter cannot be read")
def tensors_that_lie_over_one_another(folder: Path) -> None:
    one = {"dtype": "F32", "shape": [2, 16], "data_offsets": [0, 128]}
    header = json.dumps({"a.lora_down.weight": one, "a.lora_up.weight": one}).encode()
    (folder / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(128))


@adapted("no finite number")
def a_weight_that_leaves_all_numbers(folder: Path) -> None:
    tensors = {f"base_model.model.{LAYER}.lora_{one}.weight": torch.full(s, 1e30) for one, s in SHAPES.items()}
    save_file(tensors, folder / "adapter_model.safetensors")


def typed(says: str, *arguments: str) -> None:
    """A case: arguments of the command line beside a good model and good pictures."""

    def build(place: Path) -> list[str]:
        rng = np.random.default_rng(0)
        (place / "pictures").mkdir()
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(place / "pictures" / "a.png")
        return ["audit", str(place / "model"), str(place / "pictures"), "--out", str(place / "run"), *arguments]

    build.__name__ = f"typed_{len(typed.made)}"
    typed.made.append(build)
    hostile(says)(build)


typed.made = []

typed("parentheses 2000 deep", "--attacks", "mean(" * 2000 + "pia" + ")" * 2000)
typed("has 1,000,000 letters", "--attacks", "x" * 1_000_000)
typed("draws=1000000000000 is too many", "--attacks", "loss(draws=1000000000000)")
typed("n is at most", "--attacks", "repeat(loss, n=1000000)")
typed("tiles: n=1000000000 is too many", "--attacks", "drc-hide(roi=tiles:1000000000)")
typed("more than 18 digits", "--attacks", f"loss(t={'9' * 5000})")
typed("resamplings=1000000000 is too many", "--attacks", "drc-hide(restorer=join:resamplings=1000000000)")
