"""Rise: how fast the model's error grows when a picture is moved away from itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.attacks.core.answers import Cost
from trainedon.attacks.core.compared import Compared, Pairs
from trainedon.attacks.core.registry import register
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.precise import double, mean_of
from trainedon.targets import Target

CYCLES = 2.0  # of a smooth displacement in one side of the picture: where its spectrum has fallen to 61 %
FLAT = 1 / 255  # contrast below which a picture cannot fade: half a step of 8 bits, as an RMS in [-1, 1]


@register
@dataclass(frozen=True)
class Rise(Compared):
    """Mean over directions d of `log L(x + r d, t) - log L(x, t)`, with L the mean squared error of the predicted
    noise: the probabilistic fluctuation (Fu et al., arXiv 2308.12143) as a logarithm, around steps of a known length.

    move: `noise` (white), `smooth` (low frequencies alone) or `fade` (towards the picture's own mean colour). radius:
    r, the root mean square of the displacement, pictures in [-1, 1]. directions: how many are averaged; fading has but
    one. t: timestep of the usual DDPM path; on another path the one with the nearest signal-to-noise ratio.

    The picture and all that it is moved to are noised with the same noise. The logarithm is taken because halving and
    doubling the error then weigh the same, and because a quotient of a small error by a smaller one would rule every
    mean. Moved pixels are not clamped to [-1, 1]: that would shorten the displacement, and more so in pictures with
    much black and white; the network meets such values in every noised picture. A picture whose contrast is below the
    radius passes its mean colour and comes out faintly inverted. One that has no contrast is its own faded version:
    it stays where it is, and its error does not rise.
    """

    move: str = "noise"
    radius: float = 0.1
    directions: int = 2
    t: int = 100
    seed: int = 0

    name: ClassVar[str] = "rise"
    title: ClassVar[str] = "Rise of the error around the picture"
    paper: ClassVar[str] = "after arXiv 2308.12143"

    def __post_init__(self) -> None:
        if self.move not in MOVES:
            raise UserError(f"{self.name}: move {self.move!r} is not known: choose one of {', '.join(MOVES)}")
        if not 0 <= self.t < 1000 or self.radius <= 0 or self.directions < 1:
            raise UserError(f"{self.name}: t must lie in 0..999, radius must be above 0, and directions 1 or more")

    def cost(self, target: Target) -> Cost:
        return Cost(1 + self.used)

    @property
    def used(self) -> int:
        """How many directions there are to average."""
        return 1 if self.move == "fade" else self.directions

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        """The predicted and the true noise of x, then those of x + r d for each d."""
        t = target.path.like_ddpm(self.t)
        noise = NoiseStream(batch.sha256, [0] * len(batch), target.shape, seed=self.seed, device=target.device)
        eps = noise.next()  # (n, c, h, w)
        x0 = target.encode(batch.pixels)
        moved = [x0 + self.radius * MOVES[self.move](x0, noise) for _ in range(self.used)]
        return [(target.denoise(target.noised(x, t, eps), t, batch.condition).noise, eps) for x in (x0, *moved)]

    def distance(self, pairs: Pairs) -> torch.Tensor:
        here, *there = [double((predicted - eps).square()).flatten(1).mean(1).log() for predicted, eps in pairs]
        return mean_of(there) - here


def white(pixels: torch.Tensor, noise: NoiseStream) -> torch.Tensor:
    """White Gaussian noise of RMS 1, like `pixels` (n, c, h, w)."""
    return unit(noise.next())


def smooth(pixels: torch.Tensor, noise: NoiseStream) -> torch.Tensor:
    """Gaussian noise of RMS 1 that is blurred with wrapped edges: its frequency f, in cycles a side, is damped by
    `exp(-(f / CYCLES)^2 / 2)`, so that it looks alike at every size of picture."""
    height, width = pixels.shape[2:]
    down = torch.fft.fftfreq(height, 1 / height, device=pixels.device)[:, None]
    across = torch.fft.rfftfreq(width, 1 / width, device=pixels.device)
    kept = torch.exp(-(down.square() + across.square()) / (2 * CYCLES**2))  # (h, w // 2 + 1)
    return unit(torch.fft.irfft2(torch.fft.rfft2(noise.next()) * kept, s=(height, width)))


def fade(pixels: torch.Tensor, noise: NoiseStream) -> torch.Tensor:
    """The way to the mean colour of the picture, at RMS 1; zero for a picture without contrast. Draws no noise."""
    exact = double(pixels)
    way = exact.mean((2, 3), keepdim=True) - exact  # (n, c, h, w)
    return unit(way, smallest=FLAT).to(pixels)


def unit(direction: torch.Tensor, smallest: float = 0.0) -> torch.Tensor:
    """(n, c, h, w) scaled to a root mean square of 1 in each row; rows that do not exceed `smallest` become zero."""
    exact = double(direction)
    length = exact.square().flatten(1).mean(1).sqrt().view(-1, 1, 1, 1)
    return torch.where(length > smallest, exact / length, 0.0).to(direction)


MOVES: dict[str, Callable[[torch.Tensor, NoiseStream], torch.Tensor]] = {
    "noise": white,
    "smooth": smooth,
    "fade": fade,
}
