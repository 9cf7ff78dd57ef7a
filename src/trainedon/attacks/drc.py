"""Degrade, Restore, Compare (Fu et al., "Model Will Tell", arXiv 2403.08487)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainedon.attacks.attack import Attack, Cost, Exhibit, Judged
from trainedon.attacks.registry import register
from trainedon.compare import Similarity, parse_similarity, pool
from trainedon.degrade import Degradation, Roi, parse_degradation, parse_roi
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.restore import Masked, Restorer, parse_restorer
from trainedon.targets import Target

# Where something of the hidden part is left in the degraded picture, the walk begins half-way up the noise path: from
# the top, nothing of it would be left.
START_REVEALED = 0.5


@register
@dataclass(frozen=True)
class DRC(Attack):
    """Hide a region, let the model restore it from its own prior, and compare it with the original by meaning.

    roi: which region is hidden. degradation: what is done there. restorer: how the model paints it back, in `steps`
    steps. restorations: how many times, each with noise of its own. encoder: what is compared, over `scope` (region,
    crop, picture; None: the encoder's own). pooling: mean, median or max over the restorations. Texts are parsed as on
    the command line.
    """

    roi: Roi | str = "center:0.25"
    degradation: Degradation | str = "hide"
    restorer: Restorer | str = "guided"
    steps: int = 20
    restorations: int = 2
    encoder: Similarity | str = "own"
    scope: str | None = None
    pooling: str = "mean"
    seed: int = 0

    name: ClassVar[str] = "drc"
    title: ClassVar[str] = "Degrade-Restore-Compare"
    paper: ClassVar[str] = "arXiv 2403.08487"
    needs: ClassVar[tuple[str, ...]] = ("gradients",)
    shows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, parse in (("roi", parse_roi), ("degradation", parse_degradation), ("restorer", parse_restorer)):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, parse(getattr(self, name)))
        if isinstance(self.encoder, str):
            object.__setattr__(self, "encoder", parse_similarity(self.encoder, self.scope))
        if self.steps < 1 or self.restorations < 1:
            raise UserError("drc: steps and restorations must be 1 or more")
        pool(torch.zeros(1, 1), self.pooling)

    def rows(self) -> int:
        return self.restorations

    def cost(self, target: Target) -> Cost:
        forward, backward = self.restorer.evaluations(self.steps)
        looks = self.roi.evaluations(target) + self.encoder.evaluations() * (1 + self.restorations)
        return Cost(looks + forward * self.restorations, backward * self.restorations)

    def _score(self, target: Target, batch: Batch) -> Judged:
        hidden = self.roi.mask(target, batch)  # (n, h, w)
        degraded = self.degradation(batch, hidden, seed=self.seed)  # (n, c, h, w)
        restored = self.restore(target, batch, degraded, hidden)  # (n, r, c, h, w)
        similarities = self._compare(target, batch, restored, hidden)  # (n, r)
        exhibits = tuple(
            Exhibit(
                {
                    "original": batch.pixels[i].cpu(),
                    "region": hidden[i].cpu().float().mul(2).sub(1).expand(target.shape),
                    "degraded": degraded[i].cpu(),
                    **{f"restored-{k + 1}": picture.cpu() for k, picture in enumerate(restored[i])},
                    "difference": _difference(batch.pixels[i], restored[i]).cpu(),
                },
                tuple(similarities[i].tolist()),
            )
            for i in range(len(batch))
        )
        return Judged(pool(similarities, self.pooling).numpy(), exhibits)

    def restore(self, target: Target, batch: Batch, degraded: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """All restorations: (n, c, h, w) and bool (n, h, w) -> float32 (n, restorations, c, h, w)."""
        r = self.restorations
        noise = NoiseStream(
            [digest for digest in batch.sha256 for _ in range(r)],
            [*range(r)] * len(batch),
            target.shape,
            seed=self.seed,
            device=target.device,
        )
        repeated = {
            "original": batch.pixels,
            "degraded": degraded,
            "hidden": hidden,
            "labels": batch.labels,
        }
        masked = Masked(**{k: None if v is None else v.repeat_interleave(r, dim=0) for k, v in repeated.items()})
        start = START_REVEALED if self.degradation.reveals else 1.0
        restored = self.restorer.restore(target, masked, noise, steps=self.steps, start=start)
        return restored.unflatten(0, (len(batch), r))

    def _compare(self, target: Target, batch: Batch, restored: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        original = self.encoder.encode(target, batch.pixels, hidden, batch.labels)
        return torch.stack(
            [
                self.encoder.compare(original, self.encoder.encode(target, restored[:, k], hidden, batch.labels))
                for k in range(self.restorations)
            ],
            dim=1,
        )


def _difference(original: torch.Tensor, restored: torch.Tensor) -> torch.Tensor:
    """Where the restorations differ from the original, mean over them: black = equal, white = as far as can be."""
    return (restored - original).abs().mean(0).sub(1).clamp(-1, 1)
