"""Early stopping: a picture whose score is clear is restored no further."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from trainedon.attacks.drc.views import Found, Views
from trainedon.errors import UserError

FEWEST = 2  # rounds after which a picture may stop, the first number that has a standard error
MEANS = ("mean-log", "mean")  # those whose score is the mean over rounds


def check_settling(name: str, settle: float, pivot: float, restorations: int, pooling: str) -> None:
    """Raises UserError for values that mean nothing, alone or together. name: of the attack."""
    if not (0 <= settle < math.inf and math.isfinite(pivot)):
        raise UserError(f"{name}: settle is a number of standard errors, 0 or more, and pivot a score")
    if pivot and not settle:
        raise UserError(f"{name}: pivot is what settle=Z compares with: give settle as well")
    if settle and (restorations < 3 or pooling not in MEANS):
        raise UserError(
            f"{name}: settle stops after 2 or more restorations, where a score is a mean over them: take "
            f"restorations=3 or more and pooling={' or '.join(MEANS)}"
        )


class Settling:
    """`Views.found`, round by round. A round is one restoration of every region and degradation in every view.

    After FEWEST rounds or more a picture stops when its score so far lies further from `pivot` than `settle` standard
    errors, which are those of the mean over its own rounds. The rule looks at nothing but the picture's own
    restorations, whose noise follows from its digest, and knows neither its set nor the other pictures. So the score is
    still a fixed function of the picture, suspects and unseen pictures are treated alike, and ranks, conformal p-values
    and permutations are as valid as without. A picture that never stops has the score of `Views.found`.
    """

    def __init__(self, views: Views, settle: float, pivot: float) -> None:
        self._views, self._settle, self._pivot = views, settle, pivot
        self._originals = [views.comparing.originals(*asked) for asked in views.asked]

    def found(self, shown: bool) -> Found:
        """The scores; where something is to be shown, restorations and similarities of the first FEWEST rounds, which
        all pictures have."""
        views = self._views
        scores, left = np.full(len(views.batch), np.nan), np.arange(len(views.batch))
        first: list[tuple[torch.Tensor, torch.Tensor]] = []
        so_far = torch.empty(0)  # similarities of those that go on, float64 (views, m, regions, degradations, rounds)
        for k in range(views.restoring.rounds):
            restored, similarities = self._round(k, left)
            so_far = torch.cat([so_far, similarities], dim=-1) if k else similarities
            if shown and k < FEWEST:
                first.append((restored, similarities[0]))
            scores[left], error = self._scores(left, so_far)
            clear = np.abs(scores[left] - self._pivot) > self._settle * error
            if k + 1 >= FEWEST and clear.any():
                left, so_far = left[~clear], so_far[:, torch.from_numpy(~clear)]
            if not len(left):
                break
        if not first:
            return Found(torch.empty(0), torch.empty(0), scores)
        restorations, found = (torch.stack(part, dim=3) for part in zip(*first, strict=True))
        return Found(restorations.flatten(2, 3), found.flatten(2), scores)

    def _round(self, k: int, left: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Restorations of round k of some pictures under the audited model, (m, regions, degradations, c, h, w), and
        the similarities of all views, float64 (views, m, regions, degradations, 1)."""
        views, rows = self._views, torch.from_numpy(left)
        drawn, found = views.drawn(), []
        shown: list[torch.Tensor] = []
        for (model, whole, every), codes in zip(views.asked, self._originals, strict=True):
            batch, regions = whole.take(left.tolist()), [region[rows.to(region.device)] for region in every]
            restored = views.restoring.restore(model, batch, regions, [k], drawn)
            originals: Sequence[Any] = [views.comparing.encoder.take(code, rows) for code in codes]
            found.append(views.comparing.similarities(model, batch, originals, restored, regions)[0])
            shown = shown or [restored]
        return shown[0], torch.stack(found)[..., None]

    def _scores(self, left: np.ndarray, so_far: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Scores (m,) of the rounds that there are, and the standard error of each (NaN after one round)."""
        batch, rounds = self._views.batch.take(left.tolist()), so_far.shape[-1]
        each = np.stack([self._relative(batch, so_far[..., k : k + 1]) for k in range(rounds)])
        spread = each.std(axis=0, ddof=1) if rounds > 1 else np.full(len(left), np.nan)
        return self._relative(batch, so_far), spread / np.sqrt(rounds)

    def _relative(self, batch: Any, similarities: torch.Tensor) -> np.ndarray:
        here, *there = (self._views.comparing.pooled(view.flatten(2)) for view in similarities)
        return self._views.relative(batch, here, there)
