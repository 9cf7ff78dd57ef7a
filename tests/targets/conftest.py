"""Real diffusers folders, tiny, with weights drawn at random."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel


def make_unet(seed: int = 0, **changes: object) -> UNet2DModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return tiny.unconditional(**changes)


@pytest.fixture
def unet() -> Callable[..., UNet2DModel]:
    """A network: `unet(seed=0, **changes of its configuration)`."""
    return make_unet


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """The folder of a pipeline: `saved(unet={}, scheduler={}, name="model", seed=0, **save_pretrained's arguments)`."""

    def save(unet=None, scheduler=None, *, name="model", seed=0, **arguments) -> Path:
        pipeline = DDPMPipeline(unet=make_unet(seed, **(unet or {})), scheduler=DDPMScheduler(**(scheduler or {})))
        pipeline.save_pretrained(tmp_path / name, **arguments)
        return tmp_path / name

    return save


@pytest.fixture
def noisy() -> torch.Tensor:
    """Eleven noisy pictures, (11, 3, 8, 8): no multiple of any batch size."""
    return torch.randn(11, 3, 8, 8, generator=torch.Generator().manual_seed(5))
