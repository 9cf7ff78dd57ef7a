"""`pixel`: a small DDPM in pixels (Ho et al., arXiv 2006.11239, Algorithm 1), unconditional or of classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from trainedon.errors import UserError
from trainedon.targets.core.path import PREDICTIONS
from trainedon.training.families.augment import AUGMENTATIONS
from trainedon.training.families.lesson import Lesson, Material, check_widths, noised_batch, weights_from

BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, besides the pictures.

    The learning rate rises over `warmup` steps and falls to zero along a half cosine: the decay to the end is what
    makes a small model remember. `flip` mirrors every picture of a step by a coin; `augment` changes it at random, by
    each of these names in turn: `crop`, `colour` (see `augment`).
    """

    family: ClassVar[str] = "pixel"
    condition: ClassVar[str | None] = None

    size: int = 32
    channels: int = 3
    classes: int | None = None
    widths: tuple[int, ...] = (32, 64, 96)
    attention: bool = True
    layers: int = 1
    timesteps: int = 1000
    betas: str = "linear"
    prediction: str = "epsilon"
    zero_snr: bool = False
    passes: int = 400
    batch_size: int = 16
    learning_rate: float = 8e-4
    warmup: int = 200
    ema: float = 0.998
    seed: int = 0
    flip: bool = False
    augment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError for a recipe that no network or schedule can follow."""
        if self.betas not in BETAS:
            raise UserError(f"betas {self.betas!r} are not known: choose one of {', '.join(BETAS)}")
        if self.prediction not in PREDICTIONS:
            raise UserError(f"prediction {self.prediction!r} is not known: choose one of {', '.join(PREDICTIONS)}")
        if self.prediction == "epsilon" and self.zero_snr:
            raise UserError(
                "zero terminal SNR cannot be learnt from the noise alone: take prediction v_prediction or sample"
            )
        if not set(self.augment) <= set(AUGMENTATIONS) or len(set(self.augment)) < len(self.augment):
            raise UserError(
                f"augmentation {','.join(self.augment)!r} is not known: choose from {', '.join(AUGMENTATIONS)}, each "
                "once, joined by commas"
            )
        if "colour" in self.augment and self.channels not in (1, 3):
            raise UserError(f"colours are of 1 or 3 channels, not {self.channels}: leave out augment colour")
        check_widths(self.widths, self.size)

    def unet(self) -> UNet2DModel:
        """The network with weights drawn from the seed."""
        return small_unet(self, self.size, self.channels, self.classes)

    def scheduler(self) -> DDPMScheduler:
        return DDPMScheduler(
            num_train_timesteps=self.timesteps,
            beta_schedule=self.betas,
            prediction_type=self.prediction,
            rescale_betas_zero_snr=self.zero_snr,
        )

    def lesson(self, material: Material) -> Lesson:
        return PixelLesson(self, material)


def small_unet(recipe: Recipe, size: int, channels: int, classes: int | None = None) -> UNet2DModel:
    """A U-Net for `size` x `size` pixels or latents, with the recipe's widths, and weights drawn from its seed."""
    down = ["DownBlock2D"] * len(recipe.widths)
    up = ["UpBlock2D"] * len(recipe.widths)
    if recipe.attention:
        down[-1], up[0] = "AttnDownBlock2D", "AttnUpBlock2D"
    with weights_from(recipe.seed):
        return UNet2DModel(
            sample_size=size,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=recipe.layers,
            block_out_channels=recipe.widths,
            down_block_types=tuple(down),
            up_block_types=tuple(up),
            norm_num_groups=math.gcd(16, *recipe.widths),
            add_attention=recipe.attention,
            num_class_embeds=classes,
        )


class PixelLesson(Lesson):
    """A `DDPMPipeline` folder."""

    def __init__(self, recipe: Recipe, material: Material) -> None:
        self.recipe, self.pictures, self.labels = recipe, material.pixels, material.labels
        self.rows = len(self.pictures)
        self.scheduler = recipe.scheduler()
        self.network = recipe.unet().to(memory_format=torch.channels_last).train()

    def loss(self, step: int) -> torch.Tensor:
        recipe = self.recipe
        rows, t, x_t, aim = noised_batch(
            recipe, self.pictures, self.scheduler, step, flip=recipe.flip, augment=recipe.augment
        )
        answer = self.network(x_t, t, class_labels=None if self.labels is None else self.labels[rows]).sample
        return torch.nn.functional.mse_loss(answer, aim)

    def save(self, network: Any, folder: Path) -> None:
        DDPMPipeline(unet=network, scheduler=self.scheduler).save_pretrained(folder, safe_serialization=True)
