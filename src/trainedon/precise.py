"""Double precision, on the device where it has that, and on the CPU where it has not."""

from __future__ import annotations

import torch

LACKING = ("mps",)  # types of devices without float64


def double(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float64, moved to the CPU from a device that lacks it."""
    return (tensor.cpu() if tensor.device.type in LACKING else tensor).double()
