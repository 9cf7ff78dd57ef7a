"""Targets to restore with: a tiny network, and a model whose denoiser is known in closed form."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from trainedon.noise import NoiseStream
from trainedon.targets import Identity, NoisePath, Target, load_target


@dataclass(eq=False)
class Gaussian(Target):
    """The exact denoiser of pictures that are drawn from N(mean, covariance): what a perfect network would answer.

    mean: (d,), covariance: (d, d), with d = c h w.
    """

    mean: torch.Tensor = None
    covariance: torch.Tensor = None

    def predict(self, x_t, t, condition):
        values, basis = torch.linalg.eigh(self.covariance.double())
        alpha, sigma = (part.double().view(-1, 1) for part in self.path.at(t, x_t))
        x = x_t.double().flatten(1)
        gain = alpha * values / (alpha**2 * values + sigma**2)  # (n, d), Tweedie's formula in the eigenbasis
        clean = self.mean.double() + (((x - alpha * self.mean.double()) @ basis) * gain) @ basis.T
        return ((x - alpha * clean) / sigma).float().view_as(x_t)

    def conditional(self, picture: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and covariance of the hidden pixels (d,) bool, given the kept ones of `picture` (d,)."""
        kept = ~hidden
        gain = self.covariance[hidden][:, kept] @ torch.linalg.inv(self.covariance[kept][:, kept])
        mean = self.mean[hidden] + gain @ (picture[kept] - self.mean[kept])
        return mean, self.covariance[hidden][:, hidden] - gain @ self.covariance[kept][:, hidden]


@pytest.fixture(scope="session")
def gaussian() -> Gaussian:
    """Grey 4 x 4 pictures whose pixels agree the more, the nearer they lie; well inside [-1, 1]."""
    place = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
    covariance = 0.2**2 * torch.exp(-torch.cdist(place, place) / 4) + 1e-4 * torch.eye(16)
    return Gaussian(
        identity=Identity("gaussian", "", "closed form", 0),
        shape=(1, 4, 4),
        path=NoisePath.from_scheduler({}),
        prediction="epsilon",
        mean=torch.linspace(-0.2, 0.2, 16),
        covariance=covariance,
    )


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Target]:
    """`toy(unet={}, **scheduler)`: a small real network with weights drawn at random, loaded from its folder, once."""
    made: dict[str, Target] = {}

    def toy(unet: dict | None = None, **scheduler) -> Target:
        key = repr((unet, scheduler))
        if key not in made:
            made[key] = make(unet, scheduler)
        return made[key]

    def make(unet: dict | None, scheduler: dict) -> Target:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = UNet2DModel(
                sample_size=8,
                layers_per_block=1,
                block_out_channels=(8, 8),
                norm_num_groups=4,
                down_block_types=("DownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "UpBlock2D"),
                add_attention=False,
                **(unet or {}),
            )
        folder = tmp_path_factory.mktemp("toy")
        DDPMPipeline(unet=network, scheduler=DDPMScheduler(**scheduler)).save_pretrained(folder)
        return load_target(folder)

    return toy


@pytest.fixture
def stream() -> Callable[..., NoiseStream]:
    """`stream(rows, shape=(3, 8, 8), draw=0, seed=0)`: noise for rows numbered `rows`."""

    def make(rows, shape=(3, 8, 8), draw=0, seed=0) -> NoiseStream:
        return NoiseStream([f"{row:064x}" for row in rows], [draw] * len(rows), shape, seed=seed, device="cpu")

    return make
