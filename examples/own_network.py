"""A network of one's own, from training to the question whether it remembers what it was trained on.

    python own_network.py members --out own_network.pt  # a small DDPM, trained on these pictures
    trainedon evaluate own_network:make_target --members members --unseen unseen --attacks 'pia, drc-fast' --out run

Nothing here knows diffusers. `make_target` is all that trainedon needs: it says how the network was trained.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import trainedon as to

SIDE, STEPS = 16, 1000
BETAS = torch.linspace(1e-4, 0.02, STEPS)
ALPHA_BARS = (1 - BETAS).cumprod(0)


class Denoiser(nn.Module):
    """Convolutions that are told of the time by a sinusoidal embedding; answers the noise in x_t."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.enter = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 4, stride=2, padding=1)
        self.middle = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.up = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)
        self.leave = nn.Conv2d(2 * width, 3, 3, padding=1)

    def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        rates = torch.exp(torch.arange(self.width // 2, device=t.device) * (-math.log(10_000) / (self.width // 2)))
        angles = t[:, None].float() * rates
        time = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))[:, :, None, None]
        first = F.silu(self.enter(x_t) + time)
        h = F.silu(self.down(first))
        for layer in self.middle:
            h = h + F.silu(layer(h) + time)
        return self.leave(torch.cat([first, F.silu(self.up(h))], dim=1))


def pictures(folder: Path) -> torch.Tensor:
    """float32 (n, 3, SIDE, SIDE) in [-1, 1]."""
    opened = [Image.open(path).convert("RGB").resize((SIDE, SIDE)) for path in sorted(folder.iterdir())]
    return torch.from_numpy(np.stack(opened)).permute(0, 3, 1, 2).float() / 127.5 - 1


def train(folder: Path, steps: int) -> Denoiser:
    """A network that learns to tell the noise in these pictures."""
    torch.manual_seed(0)
    network, x = Denoiser(), pictures(folder)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(steps):
        x_0 = x[torch.randint(len(x), (32,))]
        t, noise = torch.randint(STEPS, (32,)), torch.randn_like(x_0)
        alpha_bar = ALPHA_BARS[t].view(-1, 1, 1, 1)
        loss = (network(alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * noise, t) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def make_target() -> to.Target:
    """What `trainedon ... own_network:make_target` asks about."""
    network = Denoiser()
    network.load_state_dict(torch.load(os.environ.get("OWN_WEIGHTS", "own_network.pt"), weights_only=True))
    return to.Target.of(network, betas=BETAS, shape=(3, SIDE, SIDE), prediction="epsilon", layer="up")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("members", type=Path)
    parser.add_argument("--out", type=Path, default=Path("own_network.pt"))
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args()
    torch.save(train(given.members, given.steps).state_dict(), given.out)
