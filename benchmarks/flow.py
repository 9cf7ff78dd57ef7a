"""A pixel model of flow matching, which `trainedon train` does not make: its recipe, and how it is opened.

`x_s = (1 - s) x + s eps` with s uniform in (0, 1), and the network answers `eps - x` (arXiv 2210.02747, with time
towards the noise, as in arXiv 2403.03206). It is told 1000 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import UNet2DModel
from torch import nn

from trainedon.noise import generator
from trainedon.targets import Target, load_target
from trainedon.training import Recipe
from trainedon.training.families.lesson import Lesson, Material, batch_rows, check_widths
from trainedon.training.families.pixel_family import small_unet

WHOLE = "flow"  # the folder of the network, in that of the model
TIMES = 1000


@dataclass(frozen=True)
class FlowRecipe(Recipe):
    """As `pixel`; betas have no part in it."""

    family: ClassVar[str] = "flow"

    prediction: str = "flow"

    def __post_init__(self) -> None:
        check_widths(self.widths, self.size)

    def lesson(self, material: Material) -> Lesson:
        return FlowLesson(self, material)


class FlowLesson(Lesson):
    """A folder with the network as diffusers writes it."""

    whole = WHOLE

    def __init__(self, recipe: FlowRecipe, material: Material) -> None:
        self.recipe, self.pictures = recipe, material.pixels
        self.rows = len(self.pictures)
        self.network = small_unet(recipe, recipe.size, recipe.channels).to(memory_format=torch.channels_last).train()

    def loss(self, step: int) -> torch.Tensor:
        x0 = self.pictures[batch_rows(self.recipe, self.rows, step)]  # (b, c, h, w)
        rng = generator(self.recipe.seed, "step", step)
        s = torch.from_numpy(rng.random(len(x0), dtype=np.float32)).view(-1, 1, 1, 1)
        eps = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32))
        x_s = ((1 - s) * x0 + s * eps).to(memory_format=torch.channels_last)
        return torch.nn.functional.mse_loss(self.network(x_s, TIMES * s.flatten()).sample, eps - x0)

    def save(self, network: Any, folder: Path) -> None:
        network.save_pretrained(folder / WHOLE, safe_serialization=True)


class Velocity(nn.Module):
    """The network as `Target.of` calls it: x_s float32 (n, c, h, w), times float32 (n,) -> the velocity."""

    def __init__(self, unet: UNet2DModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x_s: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.unet(x_s, times).sample
        return answer


def opened(model: Path, device: str = "cpu") -> Target:
    """A target of a model of `benchmarks.targets`, or of any other folder."""
    if not (model / WHOLE).is_dir():
        return load_target(model, device=device)
    unet = UNet2DModel.from_pretrained(model / WHOLE, local_files_only=True).to(memory_format=torch.channels_last)
    config = unet.config
    return Target.of(
        Velocity(unet).to(device),
        shape=(config.in_channels, config.sample_size, config.sample_size),
        prediction="flow",
        sigmas="flow",
        times=torch.arange(1, TIMES + 1, dtype=torch.float32),
        layer=f"unet.up_blocks.{len(config.up_block_types) // 2}",  # which block: as of pixel models of diffusers
        name=model.name,
    )
