"""GAN-Leaks: how near to the picture the model's own samples come (Chen et al., arXiv 1909.03935)."""

from __future__ import annotations

import hashlib
import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch

from trainedon.attacks.core.answers import Cost, Progress, silent
from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.registry import register
from trainedon.condition import UNCONDITIONAL, Classes, Condition
from trainedon.errors import UserError
from trainedon.files import write_atomically
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch, from_levels, to_levels
from trainedon.precise import double
from trainedon.reading import open_regular
from trainedon.restore.walk import reverse_step, timesteps
from trainedon.targets import Denoised, Target

PART = 64


@register
@dataclass(frozen=True)
class GANLeaks(Attack):
    """Minus the squared L2 distance to the nearest sample, as a mean over pixels (the paper's full black-box attack).

    samples: how many pictures the model draws, by DDIM (eta = 0) in `steps` steps, every guess of the clean picture cut
    to [-1, 1]; a class-conditional model draws its classes in turn, one conditioned on captions is given no words.
    Sample i is a function of model, steps, seed and i. All are drawn once for each model and kept on the disk, as
    8-bit pictures. steps: timesteps of which each sample is made.
    """

    samples: int = 1000
    steps: int = 20
    seed: int = 0

    name: ClassVar[str] = "gan-leaks"
    title: ClassVar[str] = "Distance to the nearest sample"
    paper: ClassVar[str] = "arXiv 1909.03935"

    def __post_init__(self) -> None:
        if self.samples < 1 or self.steps < 1:
            raise UserError(f"{self.name}: samples and steps must be 1 or more")

    def cost(self, target: Target) -> Cost:
        return Cost(0, setup=self.samples * self.steps)

    def check(self, target: Target) -> None:
        super().check(target)
        timesteps(target.timesteps, self.steps)

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        if repr(self) not in target.kept:
            target.kept[repr(self)] = self.drawn(target, progress)

    def drawn(self, target: Target, progress: Progress = silent) -> torch.Tensor:
        """The samples, uint8 (samples, c, h, w): from the disk, where they are, and otherwise from the model.

        They lie in parts of PART, each written whole, so that what was drawn before a stop is not drawn again.
        """
        folder = samples_folder(target, self.steps, self.seed)
        cached = target.identity.own_code is None  # of own networks the digest leaves out the code, which may change
        parts = []
        for start in range(0, self.samples, PART):
            progress("gan-leaks: samples", start, self.samples)
            numbers = range(start, min(start + PART, self.samples))
            path = folder / f"{start // PART:06d}.npz"
            part = read_part(path, target.picture) if cached else None
            if part is None or len(part) < len(numbers):
                part = self._draw(target, numbers)
                # on a full or read-only disk the samples are not cached, and drawn again next time
                with suppress(OSError):
                    if cached:
                        folder.mkdir(parents=True, exist_ok=True)
                        with write_atomically(path) as stream:
                            np.savez(stream, pixels=part)
            parts.append(torch.from_numpy(part[: len(numbers)]))
        progress("gan-leaks: samples", self.samples, self.samples)
        return torch.cat(parts)

    @torch.no_grad()
    def _draw(self, target: Target, numbers: range) -> np.ndarray:
        grid = timesteps(target.timesteps, self.steps)
        noise = NoiseStream([self.name] * len(numbers), numbers, target.shape, seed=self.seed, device=target.device)
        condition: Condition = UNCONDITIONAL
        if target.classes is not None:
            condition = Classes(torch.tensor(numbers, device=target.device) % target.classes)
        x = noise.next()
        for t, s in pairwise(grid):
            guess = _within(target, x, t, target.denoise(x, t, condition).clean)
            x = reverse_step(target, guess, t, s, eta=0.0, noise=None)
        return to_levels(target.decode(x))

    def score_batch(self, target: Target, batch: Batch) -> torch.Tensor:
        pictures = double(batch.pixels).flatten(1)  # (n, pixels)
        nearest = []
        for part in cast(torch.Tensor, target.kept[repr(self)]).split(PART):
            samples = from_levels(part.numpy()).to(pictures).flatten(1)
            # |a|^2 - 2ab + |b|^2, the default, cancels where distances are small, and the smallest is what is sought
            distances = torch.cdist(pictures, samples, compute_mode="donot_use_mm_for_euclid_dist")
            nearest.append(distances.amin(1).square() / pictures.shape[1])
        return -torch.stack(nearest).amin(0)


def _within(target: Target, x_t: torch.Tensor, t: int, clean: torch.Tensor) -> Denoised:
    """The guess of the clean state within its bounds, and the noise that goes with it.

    Near the top of the path a small error of the noise is a large one of the picture, and the walk would not recover.
    """
    clean = target.bounded(clean)
    alpha, sigma = target.path.at(t, x_t)
    return Denoised((x_t - alpha * clean) / sigma, clean)


def samples_folder(target: Target, steps: int, seed: int) -> Path:
    """Where samples of a model are kept: below $TRAINEDON_CACHE, or else below ~/.cache/trainedon."""
    cache = os.environ.get("TRAINEDON_CACHE") or Path.home() / ".cache" / "trainedon"
    precision = "" if target.precision == "float32" else f" precision={target.precision}"
    how = hashlib.sha256(f"samples-2 steps={steps} seed={seed}{precision}".encode()).hexdigest()
    return Path(cache) / "samples" / target.identity.digest[:16] / how[:16]


def read_part(path: Path, shape: tuple[int, int, int]) -> np.ndarray | None:
    """Samples uint8 (n, c, h, w) from the disk; None when they are not there, or damaged."""
    try:
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as file:
            pixels = file["pixels"]
    except (OSError, UserError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile):
        return None
    return pixels if pixels.dtype == np.uint8 and pixels.shape[1:] == shape else None
