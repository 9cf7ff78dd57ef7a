"""Compare: how alike a picture and its restorations are, and one number of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainedon.attacks.drc.restorations import side_by_side
from trainedon.compare import Similarity, pool
from trainedon.pictures import Batch
from trainedon.targets import Target


@dataclass(frozen=True)
class Comparing:
    """By what restorations are compared, and how all of a picture become one number (see `compare.pool`)."""

    encoder: Similarity
    pooling: str

    def originals(self, target: Target, batch: Batch, regions: Sequence[torch.Tensor]) -> list[Any]:
        """The encoder's codes of the pictures, region by region."""
        return self.encoder.encode_each(target, batch.pixels, regions, batch.condition)

    def similarities(
        self,
        target: Target,
        batch: Batch,
        originals: Sequence[Any],
        restored: torch.Tensor,
        regions: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """How alike restorations (n, regions, r, c, h, w) are to the originals, float64 (n, regions, r), and to one
        another, (n, regions, r, r), where pooling asks for that. originals: their codes, region by region."""
        n, k, r = restored.shape[:3]
        condition = batch.condition.repeat(k * r)
        pixels = None if self.encoder.of_states else as_pictures(target, batch, regions, restored).flatten(0, 2)
        hidden, states = side_by_side(regions, r), restored.flatten(0, 2)
        painted = self.encoder.encode(target, pixels, hidden, condition, states=states)
        rows = torch.arange(n * k * r).view(n, k, r)
        codes = [[self.encoder.take(painted, rows[:, i, j]) for j in range(r)] for i in range(k)]
        found = [self._to_each(one, others) for one, others in zip(originals, codes, strict=True)]
        if self.pooling != "energy":
            return torch.stack(found, dim=1), None
        among = [torch.stack([self._to_each(one, others) for one in others], dim=1) for others in codes]
        return torch.stack(found, dim=1), torch.stack(among, dim=1)

    def pooled(self, similarities: torch.Tensor, among: torch.Tensor | None = None) -> np.ndarray:
        """Scores, float64 (n,), of similarities (n, regions, r)."""
        return pool(similarities, self.pooling, self.encoder.highest, among).numpy()

    def _to_each(self, code: Any, others: Sequence[Any]) -> torch.Tensor:
        """Similarity of each picture's code to each of its others: float64 (n, r)."""
        return torch.stack([self.encoder.compare(code, other) for other in others], dim=1)


def as_pictures(target: Target, batch: Batch, regions: Sequence[torch.Tensor], restored: torch.Tensor) -> torch.Tensor:
    """Pictures of restored latents or pixels (n, regions, r, ...), in which every kept pixel is the original's."""
    n, k, r = restored.shape[:3]
    if not target.latent:
        return restored
    painted = target.decode(restored.flatten(0, 2)).clamp(-1, 1)
    whole = batch.pixels.repeat_interleave(k * r, dim=0)
    pasted = torch.where(side_by_side(regions, r)[:, None], painted, whole)
    return pasted.view(n, k, r, *pasted.shape[1:])
