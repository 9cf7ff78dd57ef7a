"""Degrade, Restore, Compare (Fu et al., "Model Will Tell", arXiv 2403.08487)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from trainedon.attacks.attack import Attack, Cost, Exhibit, Judged, Reported
from trainedon.attacks.registry import register
from trainedon.compare import Similarity, check_pooling, parse_similarity, pool
from trainedon.degrade import Degradation, Roi, parse_degradation, parse_roi
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.restore import Masked, Restorer, parse_restorer, timesteps
from trainedon.targets import Symmetric, Target, parse_symmetries


@register
@dataclass(frozen=True)
class DRC(Attack):
    """Hide a region, let the model restore it from its own prior, and compare it with the original by meaning.

    roi: which region is hidden, or several, one after another. degradation: what is done there. restorer: how the model
    paints it back, in `steps` steps. restorations: how many times for each region, with noise of their own. encoder:
    what is compared; `scope` (region, crop, picture) goes with an encoder given as text. pooling: how all restorations
    become one number (see `compare.pool`). symmetries: in which the model is its own reference (`targets.symmetry`);
    the score is then the one under the model minus the mean of those under the model in a mirror, upside down ...
    Texts are parsed as on the command line.
    """

    roi: Roi | str = "center:0.25"
    degradation: Degradation | str = "hide"
    restorer: Restorer | str = "guided"
    steps: int = 20
    restorations: int = 2
    encoder: Similarity | str = "own"
    scope: str | None = None
    pooling: str = "mean-log"
    symmetries: tuple[str, ...] | str = ()
    seed: int = 0

    name: ClassVar[str] = "drc"
    title: ClassVar[str] = "Degrade-Restore-Compare"
    paper: ClassVar[str] = "arXiv 2403.08487"
    needs: ClassVar[tuple[str, ...]] = ("gradients",)
    shows: ClassVar[bool] = True
    reported: ClassVar[tuple[Reported, ...]] = (
        Reported("cifar10", auc=0.931, tpr_1=0.122),
        Reported("cifar100", auc=0.919, tpr_1=0.166),
        Reported("celeba", auc=0.989, tpr_1=0.805),
    )

    def __post_init__(self) -> None:
        for name, parse in (("roi", parse_roi), ("degradation", parse_degradation), ("restorer", parse_restorer)):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, parse(getattr(self, name)))
        if isinstance(self.encoder, str):
            object.__setattr__(self, "encoder", parse_similarity(self.encoder, self.scope))
            object.__setattr__(self, "scope", None)  # the encoder carries it from here on
        elif self.scope is not None:
            raise UserError("drc: give the scope to the encoder itself, such as Own(scope='crop')")
        if self.steps < 1 or self.restorations < 1:
            raise UserError("drc: steps and restorations must be 1 or more")
        if isinstance(self.symmetries, str):
            object.__setattr__(self, "symmetries", parse_symmetries(self.symmetries))
        check_pooling(self.pooling, self.restorations)

    def check(self, target: Target) -> None:
        super().check(target)
        self.encoder.check()
        timesteps(target.timesteps, self.steps, self.degradation.start(target.path))

    def rows(self) -> int:
        return len(self.roi.parts) * self.restorations

    def cost(self, target: Target) -> Cost:
        regions, views = len(self.roi.parts), 1 + len(self.symmetries)
        forward, backward = self.restorer.evaluations(self.steps)
        looks = self.encoder.evaluations() * regions * (1 + self.restorations)
        restored = regions * self.restorations
        return Cost(self.roi.evaluations(target) + views * (looks + restored * forward), views * restored * backward)

    def _score(self, target: Target, batch: Batch) -> Judged:
        regions = [roi.mask(target, batch) for roi in self.roi.parts]  # each (n, h, w)
        scores, degraded, restored, similarities = self._restore_and_compare(target, batch, regions)
        for name in self.symmetries:
            there = self._restore_and_compare(Symmetric.of(target, name), batch, regions)
            scores = scores - there[0] / len(self.symmetries)
        shown = [self.degradation.shown(target.path, batch, given, seed=self.seed) for given in degraded]
        exhibits = tuple(
            _exhibit(
                batch.pixels[i], [m[i] for m in regions], [d[i] for d in shown], restored[i], similarities[i], note
            )
            for i, note in enumerate(self.roi.notes(batch))
        )
        return Judged(scores.numpy(), exhibits)

    def _restore_and_compare(
        self, target: Target, batch: Batch, regions: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Pooled similarities (n,), degraded pictures (n, c, h, w) a region, restored ones (n, regions, restorations,
        c, h, w), and the similarities (n, regions * restorations)."""
        degraded = [self.degradation(batch, hidden, seed=self.seed) for hidden in regions]
        key = ("restored", target.identity.digest, *self._restoring(), batch.sha256, digest(batch.pixels, *regions))
        restored = target.shared(key, lambda: self.restore(target, batch, degraded, regions))
        compared = [self._compare(target, batch, restored[:, k], hidden) for k, hidden in enumerate(regions)]
        similarities, among = (torch.stack(parts, dim=1) for parts in zip(*compared, strict=True))
        scores = pool(similarities, self.pooling, self.encoder.highest, among)
        return scores, degraded, restored, similarities.flatten(1)

    def _restoring(self) -> tuple[Any, ...]:
        """The choices that restorations depend on; attacks that differ in others share them."""
        return repr(self.degradation), repr(self.restorer), self.steps, self.restorations, self.seed

    def restore(
        self, target: Target, batch: Batch, degraded: Sequence[torch.Tensor], regions: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """All restorations of all regions side by side, each with noise of its own.

        degraded: a float32 (n, c, h, w) for each region; regions: a bool (n, h, w) each, True = hidden.
        Returns float32 (n, regions, restorations, c, h, w).
        """
        n, rows = len(batch), self.rows()
        keys = [sha256 for sha256 in batch.sha256 for _ in range(rows)]
        noise = NoiseStream(keys, [*range(rows)] * n, target.shape, seed=self.seed, device=target.device)
        labels = None if batch.labels is None else batch.labels.repeat_interleave(rows)
        masked = Masked(
            original=batch.pixels.repeat_interleave(rows, dim=0),
            degraded=self._spread(degraded),
            hidden=self._spread(regions),
            labels=labels,
        )
        start = self.degradation.start(target.path)
        restored = self.restorer.restore(target, masked, noise, steps=self.steps, start=start)
        return restored.unflatten(0, (n, len(regions), self.restorations))

    def _spread(self, by_region: Sequence[torch.Tensor]) -> torch.Tensor:
        """One tensor (n, ...) a region -> (n * regions * restorations, ...), a picture's rows side by side."""
        return torch.stack(list(by_region), dim=1).repeat_interleave(self.restorations, dim=1).flatten(0, 1)

    def _compare(
        self, target: Target, batch: Batch, restored: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Similarities of (n, restorations, c, h, w) to the originals, float64 (n, restorations), and to one another,
        (n, restorations, restorations), where pooling asks for them."""
        original = self.encoder.encode(target, batch.pixels, hidden, batch.labels)
        codes = [self.encoder.encode(target, pictures, hidden, batch.labels) for pictures in restored.unbind(1)]
        similarities = torch.stack([self.encoder.compare(original, code) for code in codes], dim=1)
        if self.pooling != "energy":
            return similarities, similarities.new_empty(len(batch), 0, 0)
        among = [torch.stack([self.encoder.compare(a, b) for b in codes], dim=1) for a in codes]
        return similarities, torch.stack(among, dim=1)


def digest(*tensors: torch.Tensor) -> bytes:
    """One digest of the contents of tensors."""
    found = hashlib.blake2b(digest_size=20)
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.digest()


def _exhibit(
    original: torch.Tensor,
    regions: Sequence[torch.Tensor],
    degraded: Sequence[torch.Tensor],
    restored: torch.Tensor,
    similarities: torch.Tensor,
    note: str,
) -> Exhibit:
    """One picture's evidence. The first region's pictures have plain names, those of the others end in its number."""
    pictures = {"original": original}
    for k, (hidden, given) in enumerate(zip(regions, degraded, strict=True), start=1):
        suffix = "" if k == 1 else f"-{k}"
        pictures[f"region{suffix}"] = hidden.float().mul(2).sub(1).expand(original.shape)
        pictures[f"degraded{suffix}"] = given
    every = restored.flatten(0, 1)  # (regions * restorations, c, h, w)
    pictures |= {f"restored-{k}": picture for k, picture in enumerate(every, start=1)}
    pictures["difference"] = (every - original).abs().amax(0).sub(1).clamp(-1, 1)
    return Exhibit({name: pixels.cpu() for name, pixels in pictures.items()}, tuple(similarities.tolist()), note)
