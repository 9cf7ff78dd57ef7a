"""Degrade, Restore, Compare (Fu et al., "Model Will Tell", arXiv 2403.08487)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from trainedon.attacks.attack import Attack, Cost, Exhibit, Judged
from trainedon.attacks.registry import register
from trainedon.compare import Similarity, check_pooling, parse_similarity, pool
from trainedon.degrade import Degradation, Diffuse, Roi, parse_degradations, parse_roi
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.restore import Masked, Restorer, parse_restorer, timesteps
from trainedon.targets import NO_REFERENCE, Symmetric, Target, changed, check_symmetries, parse_symmetries, relative


@register
@dataclass(frozen=True)
class DRC(Attack):
    """Hide a region, let the model restore it from its own prior, and compare it with the original by meaning.

    roi: which region is hidden, or several, one after another. degradation: what is done there, or several, each to
    every region. restorer: how the model paints it back, in `steps` steps. restorations: how many times for each region
    and degradation, with noise of their own. encoder: what is compared; `scope` (region, crop, picture) goes with an
    encoder given as text. pooling: how all restorations become one number (see `compare.pool`). symmetries: in which
    the model is its own reference (`targets.symmetry`); the score is then the one under the model minus the mean of
    those under the model in a mirror, upside down, and turned by half a circle.
    Texts are parsed as on the command line.

    The defaults are the setting that told members best on the tuning models of docs/accuracy.md: the whole picture,
    drowned in noise and not hidden altogether. What comes back of a hidden region depends on which of many fitting
    pictures the model happens to paint; a model that remembers little tells more of a picture that it is reminded of.
    """

    roi: Roi | str = "full"
    degradation: tuple[Degradation, ...] | Degradation | str = "diffuse:50+100+150+200+250+300"
    restorer: Restorer | str = "join"
    steps: int = 1
    restorations: int = 8
    encoder: Similarity | str = "pixel"
    scope: str | None = None
    pooling: str = "mean-log"
    symmetries: tuple[str, ...] | str = "all"
    seed: int = 0

    name: ClassVar[str] = "drc"
    title: ClassVar[str] = "Degrade-Restore-Compare"
    paper: ClassVar[str] = "after arXiv 2403.08487"
    shows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        parsers = {
            "roi": parse_roi,
            "degradation": parse_degradations,
            "restorer": parse_restorer,
            "symmetries": parse_symmetries,
        }
        for name, parse in parsers.items():
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, parse(getattr(self, name)))
        if isinstance(self.degradation, Degradation):
            object.__setattr__(self, "degradation", (self.degradation,))
        if isinstance(self.encoder, str):
            # a default whose package is missing is refused when it is used, so that `all` can leave it out
            asked = self.encoder != type(self).encoder
            object.__setattr__(self, "encoder", parse_similarity(self.encoder, self.scope, check=asked))
            object.__setattr__(self, "scope", None)  # the encoder carries it from here on
        elif self.scope is not None:
            raise UserError("drc: give the scope to the encoder itself, such as Own(scope='crop')")
        if self.steps < 1 or self.restorations < 1:
            raise UserError("drc: steps and restorations must be 1 or more")
        check_symmetries(self.symmetries)
        if not self.degradation:
            raise UserError("drc: name at least one degradation, such as hide")
        if self.pooling == "energy" and len(self.degradation) > 1:
            raise UserError("drc: pooling=energy compares restorations of one degradation: name a single one")
        check_pooling(self.pooling, self.restorations)

    @property
    def unscored(self) -> str:  # type: ignore[override]
        return f"{Attack.unscored}, or {NO_REFERENCE}" if self.symmetries else Attack.unscored

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("gradients",) if self.restorer.evaluations(self.steps)[1] else ()

    def check(self, target: Target) -> None:
        super().check(target)
        self.encoder.check()
        self.roi.check(target)
        for degradation in self.degradation:
            timesteps(target.timesteps, self.steps, degradation.start(target.path))

    def rows(self) -> int:
        return len(self.roi.parts) * self.restorations

    def cost(self, target: Target) -> Cost:
        regions, views = len(self.roi.parts), 1 + len(self.symmetries)
        forward, backward = self.restorer.evaluations(self.steps)
        restored = self.restorations * len(self.degradation)  # for each region
        looks = self.encoder.evaluations() * (1 + restored)
        found = self.roi.evaluations(target)
        return Cost(found + views * regions * (looks + restored * forward), views * regions * restored * backward)

    def _score(self, target: Target, batch: Batch) -> Judged:
        regions = [roi.mask(target, batch) for roi in self.roi.parts]  # each (n, h, w)
        restored, similarities, scores = self._restore_and_compare(target, batch, regions)
        if self.symmetries:
            views = (Symmetric.of(target, name) for name in self.symmetries)
            there = [self._restore_and_compare(view, batch, regions)[-1] for view in views]
            scores = relative(scores, there, [changed(batch.pixels, name) for name in self.symmetries])
        if self._visible:
            return Judged(scores, self._exhibits(batch, regions, restored, similarities))
        return Judged(scores)

    @property
    def _visible(self) -> bool:
        """Whether restorations tell a person something: what was only drowned in noise comes back much as it was."""
        return not any(isinstance(degradation, Diffuse) for degradation in self.degradation)

    def show(self, target: Target, batch: Batch) -> tuple[Exhibit, ...]:
        """The centre hidden altogether, and restored; nothing of it is scored. 20 forward and backward passes each, or
        fewer where the noise path has fewer timesteps."""
        from trainedon.attacks.drc_hide import DRCHide

        steps = min(DRCHide.steps, target.timesteps)
        return DRCHide(steps=steps, restorations=1, encoder="pixel", seed=self.seed).judge(target, batch).exhibits

    def _restore_and_compare(
        self, target: Target, batch: Batch, regions: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        """Restored pictures (n, regions, r, c, h, w), the restorations of every degradation side by side; how alike
        they are, float64 (n, regions, r); and the scores (n,)."""
        key = ("restored", target.identity.digest, *self._restoring(), batch.sha256, digest(batch.pixels, *regions))
        restored = target.shared(key, lambda: self.restore(target, batch, regions))
        compared = [self._compare(target, batch, restored[:, k], hidden) for k, hidden in enumerate(regions)]
        similarities, among = (torch.stack(parts, dim=1) for parts in zip(*compared, strict=True))
        return restored, similarities, pool(similarities, self.pooling, self.encoder.highest, among).numpy()

    def _restoring(self) -> tuple[Any, ...]:
        """The choices that restorations depend on; attacks that differ in others share them."""
        return repr(self.degradation), repr(self.restorer), self.steps, self.restorations, self.seed

    def restore(self, target: Target, batch: Batch, regions: Sequence[torch.Tensor]) -> torch.Tensor:
        """All restorations, each with noise of its own. regions: a bool (n, h, w) each, True = hidden.

        Returns float32 (n, regions, degradations * restorations, c, h, w).
        """
        n, rows = len(batch), self.rows()
        keys = [sha256 for sha256 in batch.sha256 for _ in range(rows)]
        labels = None if batch.labels is None else batch.labels.repeat_interleave(rows)
        original = batch.pixels.repeat_interleave(rows, dim=0)
        parts = []
        for k, degradation in enumerate(self.degradation):
            degraded = self._spread([degradation(batch, hidden, seed=self.seed) for hidden in regions])
            masked = Masked(original, degraded, self._spread(regions), labels)
            draws = [*range(k * rows, (k + 1) * rows)] * n
            noise = NoiseStream(keys, draws, target.shape, seed=self.seed, device=target.device)
            start = degradation.start(target.path)
            restored = self.restorer.restore(target, masked, noise, steps=self.steps, start=start)
            parts.append(restored.unflatten(0, (n, len(regions), self.restorations)))
        return torch.cat(parts, dim=2)

    def _spread(self, by_region: Sequence[torch.Tensor]) -> torch.Tensor:
        """One tensor (n, ...) a region -> (n * regions * restorations, ...), a picture's rows side by side."""
        return torch.stack(list(by_region), dim=1).repeat_interleave(self.restorations, dim=1).flatten(0, 1)

    def _compare(
        self, target: Target, batch: Batch, restored: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Similarities of (n, r, c, h, w) to the originals, float64 (n, r), and to one another, (n, r, r), where
        pooling asks for them."""
        original = self.encoder.encode(target, batch.pixels, hidden, batch.labels)
        codes = [self.encoder.encode(target, pictures, hidden, batch.labels) for pictures in restored.unbind(1)]
        similarities = torch.stack([self.encoder.compare(original, code) for code in codes], dim=1)
        if self.pooling != "energy":
            return similarities, similarities.new_empty(len(batch), 0, 0)
        among = [torch.stack([self.encoder.compare(a, b) for b in codes], dim=1) for a in codes]
        return similarities, torch.stack(among, dim=1)

    def _exhibits(
        self, batch: Batch, regions: Sequence[torch.Tensor], restored: torch.Tensor, similarities: torch.Tensor
    ) -> tuple[Exhibit, ...]:
        """What there is to see of each picture; of several degradations the first is shown."""
        degraded = [self.degradation[0](batch, hidden, seed=self.seed) for hidden in regions]
        return tuple(
            _exhibit(
                batch.pixels[i],
                [hidden[i] for hidden in regions],
                [given[i] for given in degraded],
                restored[i],
                similarities[i].flatten(),
                note,
            )
            for i, note in enumerate(self.roi.notes(batch))
        )


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
