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
from trainedon.targets import TRANSFORMATIONS, Target, asked_in, changed, relative


class Found(NamedTuple):
    """restored: latents or pixels, float32 (n, regions, r, c, h, w), the restorations of every degradation side by
    side. similarities: float64 (n, regions, r). scores: float64 (n,)."""

    restored: torch.Tensor
    similarities: torch.Tensor
    scores: np.ndarray


class InView(NamedTuple):
    """What one model is asked about: pictures with their regions, bool (n, h, w) each."""

    model: Target
    batch: Batch
    regions: Sequence[torch.Tensor]


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
    def asked(self) -> tuple[InView, ...]:
        """What is asked: the audited model about the batch, then each view. A view that is the only reference is read
        as its own file would be."""
        alone = len(self.symmetries) == 1 and self.share == 1
        views = [InView(self.target, self.batch, self.regions)]
        for name in self.symmetries:
            model, batch = asked_in(self.target, self.batch.for_view(name) if alone else self.batch, name)
            moved = model is self.target
            regions = [TRANSFORMATIONS[name].of_region(one) if moved else one for one in self.regions]
            views.append(InView(model, batch, regions))
        return tuple(views)

    def found(self) -> Found:
        """All restorations; what is shown of them is of the audited model."""
        drawn = self.drawn()
        here, *there = (self.under(one, drawn) for one in self.asked)
        return here._replace(scores=self.relative(self.batch, here.scores, [one.scores for one in there]))

    def drawn(self) -> Drawn:
        """Where the noise is kept that all views share."""
        return self.restoring.drawn(shared=bool(self.symmetries))

    def relative(self, batch: Batch, here: np.ndarray, there: Sequence[np.ndarray]) -> np.ndarray:
        """Scores (n,) under the audited model minus the share of their mean under the symmetry-conjugated ones."""
        if not self.symmetries:
            return here
        return relative(here, there, [changed(batch.pixels, name) for name in self.symmetries], self.share)

    def under(self, asked: InView, drawn: Drawn) -> Found:
        """The restorations of one of those that are `asked`, turned back where it moves noise along."""
        model, batch, regions = asked
        restored = self.restoring.restore_once(model, batch, regions, drawn)
        originals = self.comparing.originals(model, batch, regions)
        similarities, among = self.comparing.similarities(model, batch, originals, restored, regions)
        return Found(restored, similarities, self.comparing.pooled(similarities, among))
