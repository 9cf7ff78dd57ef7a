"""The loss, minus what pictures of this complexity have: a flat picture is easy for any model.

Likelihoods of generative models follow how well a picture can be compressed (Serrà et al., "Input complexity and
out-of-distribution detection with likelihood-based generative models", ICLR 2020, arXiv 1909.11480, which takes the
compressed size off as it is). Here unseen pictures say how much of it to take off.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from trainedon.attacks.core.answers import Cost, Scored
from trainedon.attacks.core.attack import Attack, Need
from trainedon.attacks.core.crossfit import TOO_FEW, Predict, crossfit
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.registry import register
from trainedon.attacks.single.loss import Loss
from trainedon.errors import UserError
from trainedon.pictures import Batch, to_levels
from trainedon.precise import double
from trainedon.targets import Target

LEAST = 8  # unseen pictures
CODECS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "png": {"format": "PNG", "compress_level": 9},
}
SMALLEST = 1e-12  # keeps the logarithm of an error finite


@register
@dataclass(frozen=True)
class Complexity(Attack):
    """Minus the log loss, as `loss(t, draws)` has it, plus its least-squares line over the log complexity of unseen
    pictures of other folds.

    measure: what tells a picture's complexity: bytes of its `jpeg` (quality 95) or `png`, at the model's size, or its
    total `variation`, which needs no codec and is the same everywhere. t: timestep of the usual DDPM path, 0 to 999.
    draws: noises that the loss is averaged over.
    """

    t: int = 100
    draws: int = 4
    measure: str = "jpeg"
    seed: int = 0

    name: ClassVar[str] = "complexity"
    title: ClassVar[str] = "Loss against the picture's complexity"
    paper: ClassVar[str] = "after arXiv 1909.11480"
    repeats: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("unseen",)

    def __post_init__(self) -> None:
        if self.measure not in (*CODECS, "variation"):
            raise UserError(
                f"{self.name}: measure {self.measure!r} is not known: choose one of {', '.join(CODECS)}, variation"
            )
        Loss(self.t, self.draws)  # raises for what these cannot be

    @property
    def unscored(self) -> str:
        return f"{super().unscored} or {TOO_FEW}"

    def check(self, target: Target) -> None:
        super().check(target)
        if target.picture[0] not in (1, 3) and self.measure in CODECS:
            raise UserError(
                f"{self.name}: {self.measure} has 1 or 3 channels, not {target.picture[0]}: take measure=variation"
            )

    def cost(self, target: Target) -> Cost:
        return self._loss.cost(target)

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        """Log loss and log complexity, (n, 2)."""
        error = -run_batch(self._loss, target, batch).scores
        return Scored(np.log(np.maximum(np.stack([error, complexity(batch.pixels, self.measure)], axis=1), SMALLEST)))

    def conclude(self, observed: np.ndarray, sets: Sequence[str], sha256: Sequence[str]) -> np.ndarray:
        return crossfit(observed, sets, sha256, self.fit, known=("unseen",), least=LEAST)

    def fit(self, known: np.ndarray, member: np.ndarray) -> Predict:
        """The line through log losses of unseen pictures, observed (m, 2)."""
        error, size = known.T
        spread = size.var()
        slope = np.cov(size, error, bias=True)[0, 1] / spread if spread > 0 else 0.0
        return lambda observed: error.mean() + slope * (observed[:, 1] - size.mean()) - observed[:, 0]

    @property
    def _loss(self) -> Loss:
        return Loss(self.t, self.draws, self.seed)


def complexity(pixels: torch.Tensor, measure: str) -> np.ndarray:
    """How complex pictures are, float32 (n, c, h, w) in [-1, 1]: bytes, or the mean absolute difference of neighbours;
    float64 (n,)."""
    if measure == "variation":
        across, down = (double(pixels.diff(dim=dim).abs().flatten(1)).mean(1) for dim in (-1, -2))
        return (across + down).cpu().numpy()
    return np.array([float(_bytes(levels, measure)) for levels in to_levels(pixels)])


def _bytes(levels: np.ndarray, codec: str) -> int:
    """Bytes of a picture, uint8 (c, h, w)."""
    stream = io.BytesIO()
    image = Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0))
    image.save(stream, **CODECS[codec])
    return len(stream.getvalue())
