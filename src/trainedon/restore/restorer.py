"""What every restorer is given, and what it promises.

All restorers share one signature. `hidden` is True where the model paints; `degraded` is what it may see there; the
kept pixels come back exactly as they are in `original`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.condition import UNCONDITIONAL, Condition
from trainedon.degrade.places import tile_means
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.spec import Noun, Part
from trainedon.targets import Target

MOST = 10_000  # repetitions, jumps, particles
TINY = 1e-30  # what a sum of squares is divided by where it is 0, and what it divides is 0 as well


@dataclass(frozen=True)
class Masked:
    """A batch to restore, where the network works. original, degraded: float32 (n, c, h, w), states; hidden: bool
    (n, h, w); condition: what the model is conditioned on. tiles: where what was degraded is a mosaic, its tiles of a
    side; else 0.

    What is hidden must not be guessed from `original` either: in latents it is the state of the kept part alone.
    """

    original: torch.Tensor
    degraded: torch.Tensor
    hidden: torch.Tensor
    condition: Condition = UNCONDITIONAL
    tiles: int = 0

    def __getitem__(self, part: slice) -> Masked:
        return Masked(self.original[part], self.degraded[part], self.hidden[part], self.condition[part], self.tiles)

    def paste(self, kept: torch.Tensor, painted: torch.Tensor) -> torch.Tensor:
        """`kept` where the picture was kept, `painted` where it was hidden (eq. 4 of arXiv 2403.08487)."""
        return torch.where(self.hidden[:, None], painted, kept)

    def given(self) -> torch.Tensor:
        """The picture as far as the model may see it: the original where it was kept, degraded where hidden."""
        return self.paste(self.original, self.degraded)

    def known(self, clean: torch.Tensor) -> torch.Tensor:
        """`A^+ y + (I - A^+ A) clean`: the guess with all that is known put in, the original where it was kept, and the
        means of the tiles where a mosaic hides it."""
        guess = self.paste(self.original, clean)
        if not self.tiles:
            return guess
        share = tile_means(self.hidden[:, None].to(guess), self.tiles).clamp(min=TINY)  # of each tile, that is hidden
        means = tile_means(self.paste(torch.zeros_like(guess), self.degraded), self.tiles) / share
        return self.paste(guess, guess + (means - tile_means(guess, self.tiles)) / share)

    def repeated(self, times: int) -> Masked:
        """Every picture `times` times, side by side: (n * times, ...)."""
        original, degraded, hidden = (
            part.repeat_interleave(times, dim=0) for part in (self.original, self.degraded, self.hidden)
        )
        return Masked(original, degraded, hidden, self.condition.repeat(times), self.tiles)


@dataclass(frozen=True)
class Restorer(Part, ABC):
    """eta: share of fresh noise in each step, 0 deterministic, 1 the model's posterior."""

    eta: float = 1.0

    noun: ClassVar[Noun] = Noun("restorer", "trainedon.restorers", example="join")

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise UserError(f"restorer: eta must lie between 0 and 1, not {self.eta:g}")

    @abstractmethod
    def restore(
        self, target: Target, masked: Masked, noise: NoiseStream, *, steps: int, start: float = 1.0
    ) -> torch.Tensor:
        """Restored states, float32 (n, c, h, w), within their bounds. start: share of the noise path that is walked."""

    def check(self, target: Target) -> None:
        """Raises UserError when the target lacks what the restorer asks of it; evaluates nothing."""

    @abstractmethod
    def evaluations(self, steps: int) -> tuple[int, int]:
        """Network passes for one restoration: (forward, backward)."""

    def _refuse(self, problem: str) -> None:
        raise UserError(f"{self.name}: {problem}")


def energy(pictures: torch.Tensor) -> torch.Tensor:
    """Sum of squares of each picture (n, c, h, w): float64 (n,) on the CPU."""
    return pictures.cpu().double().square().flatten(1).sum(1)
