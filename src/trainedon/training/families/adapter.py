"""`adapter`: low-rank changes to the attention of a trained text-to-image model (LoRA, Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from trainedon.errors import UserError
from trainedon.files import file_digest
from trainedon.reading import read_json
from trainedon.targets.networks.families import FAMILIES, check, open_pipeline
from trainedon.training.families.autoencoder import WEIGHTS, latents
from trainedon.training.families.lesson import Lesson, Material, captioned, dropped, noised_batch, weights_from
from trainedon.training.families.text_family import numbered

KIND = "StableDiffusionPipeline"
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
        return AdapterLesson(self, material)


def adapted(recipe: AdapterRecipe, folder: Path) -> AdapterRecipe:
    """The recipe for the base in a folder. Raises UserError for a model that can have no adapter, and for pictures that
    it does not take."""
    _check_base(folder)
    try:
        vae, unet = (read_json(folder / part / "config.json") for part in ("vae", "unet"))
        size, channels = int(unet["sample_size"]) * 2 ** (len(vae["block_out_channels"]) - 1), int(vae["in_channels"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder} is damaged: its configuration does not say which pictures it takes") from None
    if recipe.size not in (None, size) or recipe.channels not in (None, channels):
        raise UserError(f"{folder} takes pictures of {channels} x {size} x {size}: leave out --size and --grey")
    return replace(recipe, model=file_digest(folder / "unet" / WEIGHTS), size=size, channels=channels)


def _base(folder: Path) -> Any:
    """The `StableDiffusionPipeline` in a folder. Raises UserError when that holds another kind of model, or one that
    cannot be opened."""
    index, family = _check_base(folder), FAMILIES[KIND]
    check(index, family)
    return open_pipeline(folder, index, family, torch.float32).pipeline


def _check_base(folder: Path) -> dict[str, Any]:
    """Its `model_index.json`."""
    try:
        index = read_json(folder / "model_index.json")
        kind = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder} holds no model: give --adapter-of a folder with model_index.json") from None
    if kind != KIND or not (folder / "unet" / WEIGHTS).is_file():
        raise UserError(
            f"{folder} is a {kind}: give --adapter-of a local model as `trainedon train --family latent-text` makes it"
        )
    found: dict[str, Any] = index
    return found


class AdapterLesson(Lesson):
    """A LoRA file as diffusers writes and reads it, which holds what was added to the U-Net and nothing else."""

    whole = "pytorch_lora_weights.safetensors"

    def __init__(self, recipe: AdapterRecipe, material: Material) -> None:
        from peft import LoraConfig

        if material.base is None:
            raise UserError("an adapter needs a model to adapt: give --adapter-of MODEL")
        base = _base(material.base)
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

    def save(self, network: Any, folder: Path) -> None:
        from diffusers import StableDiffusionPipeline
        from diffusers.utils import convert_state_dict_to_diffusers
        from peft import get_peft_model_state_dict

        added = convert_state_dict_to_diffusers(get_peft_model_state_dict(network))
        StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=added, safe_serialization=True)
