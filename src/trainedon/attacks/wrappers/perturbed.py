"""Another attack on pictures that were changed a little: a control, for what of its signal hangs on such little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from trainedon.attacks.core.answers import Scored
from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.pictures import Batch
from trainedon.targets import Target

LEVEL = 1 / 127.5  # one grey level, in [-1, 1]


def jittered(picture: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Moved by -1, 0 or 1 pixels each way."""
    down, right = (int(by) for by in rng.integers(-1, 2, 2))
    padded = F.pad(picture[None], (1, 1, 1, 1), mode="replicate")[0]
    height, width = picture.shape[1:]
    return padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]


def recropped(picture: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Cropped to 85 to 100 % of its sides somewhere and brought to its size again, contrast changed by up to a fifth,
    noise of three grey levels added."""
    share = float(rng.uniform(0.85, 1.0))
    right, down = ((1 - share) * float(by) for by in rng.uniform(-1, 1, 2))
    place = torch.tensor([[[share, 0.0, right], [0.0, share, down]]], dtype=picture.dtype, device=picture.device)
    grid = F.affine_grid(place, [1, *picture.shape], align_corners=False)
    cropped = F.grid_sample(picture[None], grid, mode="bicubic", padding_mode="border", align_corners=False)[0]
    mean, contrast = cropped.mean(), float(rng.uniform(0.8, 1.2))
    noise = torch.from_numpy(rng.normal(0, 3 * LEVEL, picture.shape).astype(np.float32)).to(picture)
    return mean + contrast * (cropped - mean) + noise


Change = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]  # float32 (c, h, w) in [-1, 1], and what to draw
CHANGES: dict[str, Change] = {"jitter": jittered, "recrop": recropped}


@register
@dataclass(frozen=True)
class Perturbed(Wrapper):
    """Score of the attack after the picture was changed a little, drawn from its digest and the seed.

    change: `jitter`, moved by a pixel; `recrop`, cropped and resized again, with other contrast and some noise.
    """

    attack: Attack
    change: str = "jitter"
    seed: int = 0

    name: ClassVar[str] = "perturbed"
    title: ClassVar[str] = "After a small change of the picture (control)"
    paper: ClassVar[str] = "data augmentation"

    def __post_init__(self) -> None:
        if self.change not in CHANGES:
            raise UserError(f"perturbed: change={self.change!r}: choose one of {', '.join(CHANGES)}")

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        return Scored(run_batch(self.attack, target, replace(batch, pixels=self.changed(batch))).scores)

    def changed(self, batch: Batch) -> torch.Tensor:
        """The pictures, changed: float32 (n, c, h, w), at 8-bit levels in [-1, 1]."""
        change = CHANGES[self.change]
        drawn = (generator("perturbed", self.change, digest, self.seed) for digest in batch.sha256)
        pixels = torch.stack([change(*pair) for pair in zip(batch.pixels, drawn, strict=True)]).clamp(-1, 1)
        return ((pixels + 1) / LEVEL).round() * LEVEL - 1


def perturbed(attacks: Sequence[Attack], changes: Sequence[str]) -> list[Perturbed]:
    """The controls of these attacks with these changes, but those that are among the attacks themselves."""
    made = (Perturbed(attack, change) for attack in attacks for change in changes)
    return [one for one in made if one not in attacks]
