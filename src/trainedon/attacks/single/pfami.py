"""PFAMI: members lie in a dip of the model's error, their neighbours do not (Fu et al., arXiv 2308.12143)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from trainedon.attacks.core.answers import Cost
from trainedon.attacks.core.compared import Compared, Pairs
from trainedon.attacks.core.registry import register
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.precise import double, mean_of
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class PFAMI(Compared):
    """Mean over t of `(L(x', t) - L(x0, t)) / L(x0, t)`, with L the mean squared error of the predicted noise.

    x': the centre crop with `crop` of the side, enlarged to the picture's size (bilinear; antialiasing, which changes
    nothing when a picture grows, is off). Both are noised with the same noise, another one at each t = 0, stride, ...,
    (steps - 1) stride of the usual DDPM path; on another path the steps with the nearest signal-to-noise ratio. With
    the reference model that the paper has for some targets: `calibrated(pfami, reference=MODEL)`.

    steps: how many timesteps are averaged. stride: timesteps between two of them. crop: the share of the side that is
    kept, above 0 and below 1.
    """

    steps: int = 10
    stride: int = 50
    crop: float = 0.811
    seed: int = 0

    name: ClassVar[str] = "pfami"
    title: ClassVar[str] = "Probabilistic fluctuation"
    paper: ClassVar[str] = "arXiv 2308.12143"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.stride < 1 or (self.steps - 1) * self.stride > 999 or not 0 < self.crop < 1:
            raise UserError(f"{self.name}: (steps - 1) * stride must lie in 0..999, and crop between 0 and 1")

    def cost(self, target: Target) -> Cost:
        return Cost(2 * self.steps)

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        """For each t the predicted and the true noise of x0, then those of x'."""
        x0, other = (target.encode(pixels) for pixels in (batch.pixels, self.neighbour(batch.pixels)))
        noise = NoiseStream(batch.sha256, [0] * len(batch), target.shape, seed=self.seed, device=target.device)
        pairs = []
        for t in (target.path.like_ddpm(i * self.stride) for i in range(self.steps)):
            eps = noise.next()  # (n, c, h, w)
            for x in (x0, other):
                x_t = target.noised(x, t, eps)
                pairs.append((target.denoise(x_t, t, batch.condition).noise, eps))
        return pairs

    def distance(self, pairs: Pairs) -> torch.Tensor:
        losses = [double((predicted - eps).square()).flatten(1).mean(1) for predicted, eps in pairs]
        rises = [(there - here) / here for here, there in zip(losses[::2], losses[1::2])]
        return mean_of(rises)

    def neighbour(self, pixels: torch.Tensor) -> torch.Tensor:
        """The centre crop, enlarged: float32 (n, c, h, w)."""
        height, width = pixels.shape[2:]
        h, w = max(1, round(self.crop * height)), max(1, round(self.crop * width))
        top, left = (height - h) // 2, (width - w) // 2
        cropped = pixels[:, :, top : top + h, left : left + w]
        return F.interpolate(cropped, (height, width), mode="bilinear", align_corners=False)
