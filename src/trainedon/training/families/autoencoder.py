"""`autoencoder`: a small KL autoencoder, in whose latents the other families learn (Kingma & Welling, arXiv 1312.6114).

It is trained on every usable picture of the source, members and unseen ones alike: one that knew the members alone
would restore them better, and give away by itself what only the denoiser should know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError

from trainedon.errors import UserError
from trainedon.files import file_digest
from trainedon.noise import generator
from trainedon.targets.reading.model_files import brief
from trainedon.training.families.lesson import Lesson, Material, batch_rows, check_widths, weights_from

WEIGHTS = "diffusion_pytorch_model.safetensors"
PLACES = (".", "vae", "vqvae")  # where a folder may have its autoencoder


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Each level but the last halves the pictures: three widths make latents of a quarter of the side.

    kl: weight of the divergence from a normal distribution, summed over a latent, beside the mean squared error.
    """

    family: ClassVar[str] = "autoencoder"
    condition: ClassVar[str | None] = None

    size: int = 32
    channels: int = 3
    latent_channels: int = 4
    widths: tuple[int, ...] = (16, 32, 64)
    layers: int = 1
    kl: float = 1e-7
    passes: int = 20
    batch_size: int = 16
    learning_rate: float = 2e-3
    warmup: int = 100
    ema: float = 0.998
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UserError for widths that make no network."""
        check_widths(self.widths, self.size)

    def autoencoder(self) -> AutoencoderKL:
        """The network with weights drawn from the seed."""
        with weights_from(self.seed):
            return AutoencoderKL(
                in_channels=self.channels,
                out_channels=self.channels,
                sample_size=self.size,
                latent_channels=self.latent_channels,
                block_out_channels=self.widths,
                down_block_types=("DownEncoderBlock2D",) * len(self.widths),
                up_block_types=("UpDecoderBlock2D",) * len(self.widths),
                layers_per_block=self.layers,
                norm_num_groups=math.gcd(4, *self.widths),  # of several channels each: of one, they would lose its mean
                mid_block_add_attention=False,
            )

    def lesson(self, material: Material) -> Lesson:
        return Autoencoder(self, material)


class Autoencoder(Lesson):
    """An `AutoencoderKL` folder, whose scaling factor gives the latents of its pictures unit variance."""

    whole = "config.json"

    def __init__(self, recipe: AutoencoderRecipe, material: Material) -> None:
        self.recipe, self.pictures = recipe, material.pixels
        self.rows = len(self.pictures)
        self.network = recipe.autoencoder().to(memory_format=torch.channels_last).train()

    def loss(self, step: int) -> torch.Tensor:
        pictures = self.pictures[batch_rows(self.recipe, self.rows, step)].to(memory_format=torch.channels_last)
        posterior = self.network.encode(pictures).latent_dist
        rng = generator(self.recipe.seed, "step", step)
        eps = torch.from_numpy(rng.standard_normal(posterior.mean.shape, dtype=np.float32))
        restored = self.network.decode(posterior.mean + posterior.std * eps).sample
        divergence: torch.Tensor = posterior.kl().mean()
        return torch.nn.functional.mse_loss(restored, pictures) + self.recipe.kl * divergence

    def save(self, network: Any, folder: Path) -> None:
        network.register_to_config(scaling_factor=1.0)
        deviation = latents(network, self.pictures).std().item()
        network.register_to_config(scaling_factor=1 / max(deviation, 1e-6))
        network.save_pretrained(folder, safe_serialization=True)


@torch.no_grad()
def latents(autoencoder: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    """The likeliest latents times the scaling factor: float32 (n, c, h, w) for pixels float32 (n, c, H, W)."""
    parts = [autoencoder.encode(part).latent_dist.mode() for part in torch.split(pixels, 64)]
    scaled: torch.Tensor = torch.cat(parts) * autoencoder.config.scaling_factor
    return scaled


def autoencoder_folder(folder: Path) -> Path:
    """The autoencoder at or in a folder. Raises UserError when there is none."""
    for place in PLACES:
        if (folder / place / "config.json").is_file() and (folder / place / WEIGHTS).is_file():
            return folder / place
    raise UserError(f"{folder} holds no autoencoder: give a folder that `trainedon train --family autoencoder` made")


def open_autoencoder(folder: Path) -> AutoencoderKL:
    """The autoencoder of `autoencoder_folder`, frozen. Raises UserError when it cannot be opened."""
    folder = autoencoder_folder(folder)
    try:
        found = AutoencoderKL.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be opened as an AutoencoderKL ({brief(error)}): choose another") from None
    return found.eval().requires_grad_(False)


def autoencoder_digest(folder: Path) -> str:
    """sha256, hex, of the autoencoder's weights."""
    return file_digest(autoencoder_folder(folder) / WEIGHTS)
