"""A tiny real target, and pictures with something on them."""

import hashlib

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel

from trainedon.pictures import Batch
from trainedon.targets import Identity, NoisePath
from trainedon.targets.unet import PixelUNet


def make_target(attention: bool = True, channels: int = 3) -> PixelUNet:
    torch.manual_seed(0)
    down, up = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
    unet = UNet2DModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        attention_head_dim=4,
        add_attention=attention,
        down_block_types=down if attention else ("DownBlock2D",) * 2,
        up_block_types=up if attention else ("UpBlock2D",) * 2,
    )
    identity = Identity("tiny", "0" * 64, "pixel UNet2DModel", 0)
    path = NoisePath.from_scheduler({})
    return PixelUNet(identity, (channels, 16, 16), path, "epsilon", unet=unet)


def make_batch(n: int, size: int = 16, channels: int = 3, seed: int = 0) -> Batch:
    """Smooth random pictures: every one different, none flat."""
    coarse = np.random.default_rng(seed).uniform(-1, 1, (n, channels, 5, 5)).astype(np.float32)
    pixels = torch.nn.functional.interpolate(torch.from_numpy(coarse), (size, size), mode="bicubic").clamp(-1, 1)
    return Batch(pixels, tuple(hashlib.sha256(f"{seed} {i}".encode()).hexdigest() for i in range(n)))


@pytest.fixture(scope="session")
def target() -> PixelUNet:
    return make_target()


@pytest.fixture(scope="session")
def target_without_attention() -> PixelUNet:
    return make_target(attention=False)


@pytest.fixture(scope="session")
def grey_target() -> PixelUNet:
    return make_target(channels=1)


@pytest.fixture(scope="session")
def batch_of():
    return make_batch


@pytest.fixture(scope="session")
def faces(shared):
    """n real faces of 32 or 64 pixels, as a batch."""
    from trainedon.pictures import scan

    def load(n: int, size: int) -> Batch:
        pictures = [entry.read() for entry in scan(shared / "data" / f"celeba{size}" / "extra", n)]
        return Batch.from_pictures(pictures, (size, size), 3)

    return load
