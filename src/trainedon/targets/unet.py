"""Pixel-space UNets of diffusers, unconditional and class-conditional."""

from __future__ import annotations

from collections.abc import Callable

import torch

from trainedon.targets.network import Network


class PixelUNet(Network):
    """`UNet2DModel`: DDPM, DDIM and their kin."""

    def _ask(self, network: Callable, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return network(x, t, class_labels=labels).sample
