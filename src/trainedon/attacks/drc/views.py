"""A batch under the audited model, and under the same model symmetry-conjugated, which is its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from trainedon.attacks.drc.comparison import Comparing
from trainedon.attacks.drc.restorations import Drawn, Restoring
from trainedon.pictures import Batch
from trainedon.targets import Symmetric, Target, changed, relative


class Found(NamedTuple):
    """restored: latents or pixels, float32 (n, regions, r, c, h, w), the restorations of every degradation side by
    side. similarities: float64 (n, regions, r). scores: float64 (n,)."""

    restored: torch.Tensor
    similarities: torch.Tensor
    scores: np.ndarray


@dataclass(frozen=True)
class Views:
    """What is degraded, restored and compared: a batch with its regions, bool (n, h, w) each, in every view.

    symmetries, share: those of the reference (see `targets.core.symmetry`), and how much of its score is taken off.
    """

    target: Target
    batch: Batch
    regions: Sequence[torch.Tensor]
    restoring: Restoring
    comparing: Comparing
    symmetries: tuple[str, ...]
    share: float

    @cached_property
    def models(self) -> tuple[Target, ...]:
        """The audited model, then the symmetry-conjugated ones."""
        return self.target, *(Symmetric.of(self.target, name) for name in self.symmetries)

    def shown_to(self, model: Target) -> Batch:
        """The batch for one of `models`: a view that is the only reference is read as its own file would be."""
        if model is self.target or len(self.symmetries) > 1 or self.share < 1:
            return self.batch
        return self.batch.for_view(self.symmetries[0])

    def found(self) -> Found:
        """All restorations; what is shown of them is of the audited model."""
        drawn = self.drawn()
        here = self.under(self.target, drawn)
        there = [self.under(model, drawn).scores for model in self.models[1:]]
        return here._replace(scores=self.relative(self.batch, here.scores, there))

    def drawn(self) -> Drawn:
        """Where the noise is kept that all views share."""
        return self.restoring.drawn(shared=bool(self.symmetries))

    def relative(self, batch: Batch, here: np.ndarray, there: Sequence[np.ndarray]) -> np.ndarray:
        """Scores (n,) under the audited model minus the share of their mean under the symmetry-conjugated ones."""
        if not self.symmetries:
            return here
        return relative(here, there, [changed(batch.pixels, name) for name in self.symmetries], self.share)

    def under(self, model: Target, drawn: Drawn) -> Found:
        """The restorations under one of `models`, turned back, and how alike they are."""
        batch = self.shown_to(model)
        restored = self.restoring.restore_once(model, batch, self.regions, drawn)
        originals = self.comparing.originals(model, batch, self.regions)
        similarities, among = self.comparing.similarities(model, batch, originals, restored, self.regions)
        return Found(restored, similarities, self.comparing.pooled(similarities, among))
