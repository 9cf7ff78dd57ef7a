"""`latent`: unconditional diffusion in the latents of an autoencoder (Rombach et al., arXiv 2112.10752)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DDIMScheduler, LDMPipeline

from trainedon.errors import UserError
from trainedon.training.families.autoencoder import latents
from trainedon.training.families.lesson import Lesson, Material, check_widths, noised_batch
from trainedon.training.families.pixel_family import Recipe, small_unet

BETA_START, BETA_END = 0.00085, 0.012  # of Stable Diffusion, with scaled_linear betas


@dataclass(frozen=True)
class LatentRecipe(Recipe):
    """autoencoder: sha256 of its weights, which decide what is learnt; the network's size follows from it."""

    family: ClassVar[str] = "latent"

    widths: tuple[int, ...] = (64, 128)
    betas: str = "scaled_linear"
    autoencoder: str | None = None

    def __post_init__(self) -> None:
        """Raises UserError as that of `Recipe`, and for what is done to pixels, of which latents are made once."""
        super().__post_init__()
        if self.flip or self.augment:
            raise UserError(
                f"family {self.family} learns in latents that are made once: leave out flip and augment, or take pixel"
            )

    def scheduler(self) -> DDIMScheduler:
        return DDIMScheduler(
            num_train_timesteps=self.timesteps,
            beta_start=BETA_START,
            beta_end=BETA_END,
            beta_schedule=self.betas,
            prediction_type=self.prediction,
            rescale_betas_zero_snr=self.zero_snr,
            clip_sample=False,  # latents are not bounded
            set_alpha_to_one=False,
            steps_offset=1,
        )

    def lesson(self, material: Material) -> Lesson:
        return PlainLatentLesson(self, material)


class LatentLesson(Lesson):
    """What all lessons in latents share: the members' latents, float32 (n, c, h, w) of unit variance."""

    def __init__(self, recipe: LatentRecipe, material: Material) -> None:
        if material.autoencoder is None:
            raise UserError(f"family {recipe.family} learns in latents: give --autoencoder DIR")
        self.recipe, self.vae = recipe, material.autoencoder
        config = self.vae.config
        if material.pixels.shape[1] != config.in_channels:
            raise UserError(
                f"the autoencoder is for {config.in_channels} channels, not {material.pixels.shape[1]}: give another"
            )
        check_widths(recipe.widths, recipe.size, 2 ** (len(config.block_out_channels) - 1))
        self.latents = latents(self.vae, material.pixels)
        self.rows, self.scheduler = len(self.latents), recipe.scheduler()


class PlainLatentLesson(LatentLesson):
    """An `LDMPipeline` folder."""

    def __init__(self, recipe: LatentRecipe, material: Material) -> None:
        super().__init__(recipe, material)
        channels, side = self.latents.shape[1:3]
        self.network = small_unet(recipe, side, channels).to(memory_format=torch.channels_last).train()

    def loss(self, step: int) -> torch.Tensor:
        _, t, x_t, aim = noised_batch(self.recipe, self.latents, self.scheduler, step)
        return torch.nn.functional.mse_loss(self.network(x_t, t).sample, aim)

    def save(self, network: Any, folder: Path) -> None:
        pipeline = LDMPipeline(vqvae=self.vae, unet=network, scheduler=self.scheduler)
        pipeline.save_pretrained(folder, safe_serialization=True)
