"""`dit`: a class-conditional transformer in latents (Peebles & Xie, arXiv 2212.09748)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiTPipeline, DiTTransformer2DModel

from trainedon.errors import UserError
from trainedon.training.families.latent_family import LatentLesson, LatentRecipe
from trainedon.training.families.lesson import Lesson, Material, dropped, labelled, noised_batch, weights_from

HEAD = 32  # channels of one attention head


@dataclass(frozen=True)
class DitRecipe(LatentRecipe):
    """widths: one number, of all `layers` blocks. patch: side of a token, in latents.

    dropout: share of the rows whose class is replaced by the null class.
    """

    family: ClassVar[str] = "dit"
    condition: ClassVar[str | None] = "label"

    widths: tuple[int, ...] = (128,)
    layers: int = 6
    patch: int = 1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.widths) != 1 or self.widths[0] % HEAD or not self.attention:
            raise UserError(f"a DiT is attention of one width, a multiple of {HEAD}: give --widths 128, for example")

    def lesson(self, material: Material) -> Lesson:
        return Dit(self, material)


class Dit(LatentLesson):
    """A `DiTPipeline` folder."""

    def __init__(self, recipe: DitRecipe, material: Material) -> None:
        super().__init__(recipe, material)
        if recipe.classes is None:
            raise ValueError("a DiT recipe needs the number of classes")
        self.labels, self.classes, self.dropout = labelled(material), recipe.classes, recipe.dropout
        channels, side = self.latents.shape[1:3]
        if side % recipe.patch:
            raise UserError(f"latents of side {side} cannot be cut into patches of {recipe.patch}: give a divisor")
        with weights_from(recipe.seed):
            network = DiTTransformer2DModel(
                num_attention_heads=recipe.widths[0] // HEAD,
                attention_head_dim=HEAD,
                in_channels=channels,
                out_channels=channels,
                num_layers=recipe.layers,
                sample_size=side,
                patch_size=recipe.patch,
                num_embeds_ada_norm=recipe.classes,
                attention_bias=True,
            )
        for block in network.transformer_blocks:  # each starts as the identity ("adaLN-Zero")
            torch.nn.init.zeros_(block.norm1.linear.weight)
            torch.nn.init.zeros_(block.norm1.linear.bias)
        # In training mode each of its blocks would drop classes by itself, from torch's own generator.
        self.network = network.eval()

    def loss(self, step: int) -> torch.Tensor:
        rows, t, x_t, aim = noised_batch(self.recipe, self.latents, self.scheduler, step)
        labels = self.labels[rows].masked_fill(dropped(self.recipe, len(rows), self.dropout, step), self.classes)
        answer = self.network(x_t, timestep=t, class_labels=labels).sample
        return torch.nn.functional.mse_loss(answer, aim)

    def save(self, network: Any, folder: Path) -> None:
        pipeline = DiTPipeline(transformer=network, vae=self.vae, scheduler=self.scheduler)
        pipeline.save_pretrained(folder, safe_serialization=True)
