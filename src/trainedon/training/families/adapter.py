"""`adapter`: low-rank changes to the attention of a trained text-to-image model (LoRA, Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTokenizer

from trainedon.errors import UserError
from trainedon.files import file_digest
from trainedon.training.families.autoencoder import WEIGHTS, latents
from trainedon.training.families.lesson import Lesson, Material, captioned, dropped, noised_batch, weights_from
from trainedon.training.families.text import numbered

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


@dataclass(frozen=True)
class AdapterRecipe:
    """dropout: share of the rows that go without their caption. Noise path and prediction type are the base's, and so
    are what `adapted` fills in: size and channels of the pictures, and model, the sha256 of its U-Net's weights, which
    decides what is learnt."""

    family: ClassVar[str] = "adapter"
    condition: ClassVar[str | None] = "caption"

    model: str | None = None
    size: int | None = None
    channels: int | None = None
    rank: int = 8
    dropout: float = 0.1
    passes: int = 200
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup: int = 20
    ema: float = 0.98
    seed: int = 0

    def lesson(self, material: Material) -> Lesson:
        return Adapter(self, material)


@dataclass(frozen=True, eq=False)
class Base:
    """A `StableDiffusionPipeline` folder, opened part by part."""

    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    unet: UNet2DConditionModel
    scheduler: DDPMScheduler

    @classmethod
    def open(cls, folder: Path) -> Base:
        """Raises UserError when the folder holds another kind of model, or cannot be opened."""
        _check_base(folder)
        options: dict[str, Any] = {"local_files_only": True}
        try:
            return cls(
                AutoencoderKL.from_pretrained(folder / "vae", use_safetensors=True, **options).eval(),
                CLIPTextModel.from_pretrained(folder / "text_encoder", use_safetensors=True, **options).eval(),
                CLIPTokenizer.from_pretrained(folder / "tokenizer", **options),
                UNet2DConditionModel.from_pretrained(folder / "unet", use_safetensors=True, **options),
                DDPMScheduler.from_pretrained(folder / "scheduler", **options),
            )
        except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"{folder} cannot be opened ({reason}): give another --adapter-of") from None


def adapted(recipe: AdapterRecipe, folder: Path) -> AdapterRecipe:
    """The recipe for the base in a folder. Raises UserError for a model that can have no adapter, and for pictures that
    it does not take."""
    _check_base(folder)
    vae = json.loads((folder / "vae" / "config.json").read_text("utf-8"))
    unet = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
    size, channels = unet["sample_size"] * 2 ** (len(vae["block_out_channels"]) - 1), vae["in_channels"]
    if recipe.size not in (None, size) or recipe.channels not in (None, channels):
        raise UserError(f"{folder} takes pictures of {channels} x {size} x {size}: leave out --size and --grey")
    return replace(recipe, model=file_digest(folder / "unet" / WEIGHTS), size=size, channels=channels)


def _check_base(folder: Path) -> None:
    try:
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
        kind = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder} holds no model: give --adapter-of a folder with model_index.json") from None
    if kind != "StableDiffusionPipeline" or not (folder / "unet" / WEIGHTS).is_file():
        raise UserError(
            f"{folder} is a {kind}: give --adapter-of a local model as `trainedon train --family latent-text` makes it"
        )


class Adapter(Lesson):
    """A LoRA file as diffusers writes and reads it, which holds what was added to the U-Net and nothing else."""

    whole = "pytorch_lora_weights.safetensors"

    def __init__(self, recipe: AdapterRecipe, material: Material) -> None:
        from peft import LoraConfig

        if material.base is None:
            raise UserError("an adapter needs a model to adapt: give --adapter-of MODEL")
        base = Base.open(material.base)
        captions = captioned(material)
        self.recipe, self.scheduler = recipe, base.scheduler
        self.latents, self.rows = latents(base.vae, material.pixels), len(material.pixels)
        with torch.no_grad():
            ids = numbered(base.tokenizer, ["", *captions])
            self.empty, self.words = base.text_encoder(ids).last_hidden_state.split([1, self.rows])
        self.network = base.unet.requires_grad_(False).to(memory_format=torch.channels_last).train()
        with weights_from(recipe.seed):
            self.network.add_adapter(
                LoraConfig(
                    r=recipe.rank, lora_alpha=recipe.rank, init_lora_weights="gaussian", target_modules=ATTENTION
                )
            )

    def loss(self, step: int) -> torch.Tensor:
        rows, t, x_t, aim = noised_batch(self.recipe, self.latents, self.scheduler, step)
        without = dropped(self.recipe, len(rows), self.recipe.dropout, step)
        words = torch.where(without[:, None, None], self.empty, self.words[rows])  # (b, tokens, channels)
        return torch.nn.functional.mse_loss(self.network(x_t, t, encoder_hidden_states=words).sample, aim)

    def save(self, network: torch.nn.Module, folder: Path) -> None:
        from diffusers import StableDiffusionPipeline
        from diffusers.utils import convert_state_dict_to_diffusers
        from peft import get_peft_model_state_dict

        added = convert_state_dict_to_diffusers(get_peft_model_state_dict(network))
        StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=added, safe_serialization=True)
