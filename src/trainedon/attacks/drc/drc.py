"""Degrade, Restore, Compare (Fu et al., "Model Will Tell", arXiv 2403.08487)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
import torch

from trainedon.attacks.core.answers import Cost, Exhibit, Scored
from trainedon.attacks.core.attack import NOT_FINITE, Attack, RelativeTo, ShownAs
from trainedon.attacks.core.registry import register
from trainedon.compare import Similarity, check_pooling, parse_similarity, pool
from trainedon.degrade import Degradation, Diffuse, Hide, Roi, parse_degradations, parse_roi
from trainedon.errors import UserError
from trainedon.noise import NoiseStream, Still
from trainedon.pictures import Batch
from trainedon.restore import Masked, Restorer, parse_restorer, timesteps
from trainedon.targets import NO_REFERENCE, Symmetric, Target, changed, check_symmetries, parse_symmetries, relative

FEWEST = 2  # rounds after which a picture may stop, the first number that has a standard error
Drawn = list[dict[int, torch.Tensor] | None]  # for each degradation
SETTLING = ("mean-log", "mean")  # poolings whose score is the mean over rounds


@register
@dataclass(frozen=True, repr=False)
class DRC(Attack):
    """Hide a region, let the model restore it from its own prior, and compare it with the original by meaning.

    roi: which region is hidden, or several, one after another. degradation: what is done there, or several, each to
    every region. restorer: how the model paints it back, in `steps` steps. restorations: how many times for each region
    and degradation, with noise of their own. encoder: what is compared; `scope` (region, crop, picture) goes with an
    encoder given as text. pooling: how all restorations become one number (see `compare.pool`). symmetries: in which
    the model is its own reference (`targets.symmetry`); the score is then the one under the model minus the mean of
    those under the model in a mirror, upside down, and turned by half a circle.
    share: how much of that mean is taken off.
    settle, pivot: whether a picture whose score is clear may stop early (see `_settled`); 0 = never.
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
    # not in the `repr` unless they are given, by which settings from before there was this choice are known
    share: float = field(default=1.0, repr=False)
    settle: float = field(default=0.0, repr=False)
    pivot: float = field(default=0.0, repr=False)

    name: ClassVar[str] = "drc"
    title: ClassVar[str] = "Degrade-Restore-Compare"
    paper: ClassVar[str] = "after arXiv 2403.08487"
    repeats: ClassVar[bool] = False

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
        if not 0 <= self.share <= 1:
            raise UserError("drc: share, of the model in a mirror, must lie between 0 and 1")
        if self.restorations > 1 and any(one.still for one in self.degradation):
            raise UserError("drc: fade draws no noise, so that all restorations are the same: take restorations=1")
        self._check_settling()

    def _check_settling(self) -> None:
        if not (0 <= self.settle < math.inf and math.isfinite(self.pivot)):
            raise UserError("drc: settle is a number of standard errors, 0 or more, and pivot a score")
        if self.pivot and not self.settle:
            raise UserError("drc: pivot is what settle=Z compares with: give settle as well")
        if self.settle and (self.restorations < 3 or self.pooling not in SETTLING):
            raise UserError(
                f"drc: settle stops after 2 or more restorations, where a score is a mean over them: take "
                f"restorations=3 or more and pooling={' or '.join(SETTLING)}"
            )

    def __repr__(self) -> str:
        said = [each for each in fields(self) if each.repr or getattr(self, each.name) != each.default]
        return f"{type(self).__name__}({', '.join(f'{each.name}={getattr(self, each.name)!r}' for each in said)})"

    @property
    def unscored(self) -> str:
        return f"{NOT_FINITE}, or {NO_REFERENCE}" if self.symmetries else NOT_FINITE

    @property
    def shown_as(self) -> ShownAs:
        return "hidden" if self._visible else "noised"

    @property
    def relative_to(self) -> RelativeTo | None:
        return "self" if self.symmetries else None

    @property
    def needs(self) -> tuple[str, ...]:
        return ("gradients",) if self.restorer.evaluations(self.steps)[1] else ()

    def check(self, target: Target) -> None:
        super().check(target)
        self.encoder.check()
        self.roi.check(target)
        self.restorer.check(target)
        for degradation in self.degradation:
            timesteps(target.timesteps, self.steps, degradation.start(target.path))

    def rows(self) -> int:
        return len(self.roi.parts) * (1 if self.settle else self.restorations)

    def together(self, rows: int) -> int:
        # of pictures that may stop many are taken, so that those which go on fill the network's batches
        return super().together(rows) * (4 if self.settle else 1)

    def cost(self, target: Target) -> Cost:
        """Where pictures may stop early, the most that one can cost."""
        regions, views = len(self.roi.parts), 1 + len(self.symmetries)
        forward, backward = self.restorer.evaluations(self.steps)
        restored = regions * len(self.degradation) * self.restorations
        looks = self.encoder.evaluations(regions) + self.encoder.evaluations() * restored
        found = self.roi.evaluations(target)
        return Cost(found + views * (looks + restored * forward), views * restored * backward)

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        regions = self.roi.masks(target, batch)  # each (n, h, w)
        views = [Symmetric.of(target, name) for name in self.symmetries]
        if self.settle:
            restored, similarities, scores = self._settled([target, *views], batch, regions)
        else:
            drawn = self._drawn()
            restored, similarities, scores = self._restore_and_compare(target, batch, regions, drawn)
            there = [self._restore_and_compare(view, batch, regions, drawn)[-1] for view in views]
            scores = self._relative(batch, scores, there)
        if self._visible:
            return Scored(scores, self._exhibits(target, batch, regions, restored, similarities))
        return Scored(scores)

    @property
    def _visible(self) -> bool:
        """Whether restorations tell a person something: what was only drowned in noise comes back much as it was."""
        return not any(isinstance(degradation, Diffuse) for degradation in self.degradation)

    def _restore_and_compare(
        self, target: Target, batch: Batch, regions: Sequence[torch.Tensor], drawn: Drawn
    ) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        """Restored states (n, regions, r, c, h, w), the restorations of every degradation side by side; how alike they
        are, float64 (n, regions, r); and the scores (n,)."""
        restore = self.restore if target.memo is None else self._kept
        restored = restore(target, batch, regions, drawn=drawn)
        originals = self.encoder.encode_each(target, batch.pixels, regions, batch.condition)
        similarities, among = self._compare(target, batch, originals, restored, regions)
        return restored, similarities, self._pooled(similarities, among)

    def _kept(
        self, target: Target, batch: Batch, regions: Sequence[torch.Tensor], drawn: Drawn | None = None
    ) -> torch.Tensor:
        """`restore`, or what it gave to an attack that differs in nothing that restorations depend on."""
        key = ("restored", target.identity.digest, *self._restoring(), batch.sha256, batch.condition)
        key += (digest(batch.pixels, *regions),)
        return target.shared(key, lambda: self.restore(target, batch, regions, drawn=drawn))

    def _drawn(self) -> Drawn:
        """Where the noise of each degradation is kept, which is the same in every view."""
        return [{} if self.symmetries else None for _ in self.degradation]

    def _pooled(self, similarities: torch.Tensor, among: torch.Tensor | None = None) -> np.ndarray:
        return pool(similarities, self.pooling, self.encoder.highest, among).numpy()

    def _relative(self, batch: Batch, here: np.ndarray, there: Sequence[np.ndarray]) -> np.ndarray:
        """Scores (n,) under the model, relative to those under the model in each mirror, if any."""
        if not self.symmetries:
            return here
        return relative(here, there, [changed(batch.pixels, name) for name in self.symmetries], self.share)

    def _settled(
        self, views: Sequence[Target], batch: Batch, regions: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        """Restored states, their similarities and the scores, like `_restore_and_compare`, of restorations that go
        round by round. A round is one restoration of every region and degradation in every view.

        After two rounds or more a picture stops when its score so far lies further from `pivot` than `settle` standard
        errors, which are those of the mean over its own rounds. The rule looks at nothing but the picture's own
        restorations, whose noise follows from its digest, and knows neither its set nor the other pictures: the score
        is still a fixed function of the picture, suspects and unseen pictures are treated alike, and ranks, conformal
        p-values and permutations are as valid as without. A picture that never stops has the score of settle=0.
        What is returned to be shown is of the first two rounds, which all pictures have.
        """
        shape = (len(views), len(batch), len(regions), len(self.degradation), self.restorations)
        found = torch.full(shape, torch.nan, dtype=torch.float64)
        scores, left, shown = np.full(len(batch), np.nan), np.arange(len(batch)), []
        codes = [self.encoder.encode_each(view, batch.pixels, regions, batch.condition) for view in views]
        for k in range(self.restorations):
            rows = torch.from_numpy(left)
            part, hidden = batch.take(left.tolist()), [region[rows.to(region.device)] for region in regions]
            drawn = self._drawn()
            for v, view in enumerate(views):
                restored = self.restore(view, part, hidden, [k], drawn)  # (m, regions, degradations, c, h, w)
                originals = [self.encoder.take(code, rows) for code in codes[v]]
                found[v, rows, :, :, k] = self._compare(view, part, originals, restored, hidden)[0]
                if v == 0 and k < FEWEST and self._visible:
                    shown.append(restored)
            so_far = found[:, rows, ..., : k + 1]  # (views, m, regions, degradations, k + 1)
            scores[left], error = self._so_far(part, so_far)
            if k + 1 >= FEWEST:
                left = left[~(np.abs(scores[left] - self.pivot) > self.settle * error)]
            if not len(left):
                break
        first = found[0, ..., :FEWEST].flatten(2)
        return torch.stack(shown, dim=3).flatten(2, 3) if shown else first, first, scores

    def _so_far(self, batch: Batch, found: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Scores (n,) of the rounds that there are, and the standard error of each (NaN after one round).

        found: similarities, float64 (views, n, regions, degradations, rounds).
        """
        here, *there = (self._pooled(view.flatten(2)) for view in found)
        rounds = [[self._pooled(view[..., k]) for view in found] for k in range(found.shape[-1])]
        each = np.stack([self._relative(batch, here, there) for here, *there in rounds])
        spread = each.std(axis=0, ddof=1) if len(each) > 1 else np.full(len(batch), np.nan)
        return self._relative(batch, here, there), spread / np.sqrt(len(each))

    def _restoring(self) -> tuple[Any, ...]:
        """The choices that restorations depend on; attacks that differ in others share them."""
        return repr(self.degradation), repr(self.restorer), self.steps, self.restorations, self.seed

    def restore(
        self,
        target: Target,
        batch: Batch,
        regions: Sequence[torch.Tensor],
        rounds: Sequence[int] | None = None,
        drawn: Drawn | None = None,
    ) -> torch.Tensor:
        """All restorations, or those of some rounds, each with noise of its own.

        regions: a bool (n, h, w) each, True = hidden. drawn: noise of the same restorations in another view.
        Returns states, float32 (n, regions, degradations * rounds, c, h, w).

        In latents the kept part is encoded by itself: an autoencoder tells of its surroundings everywhere, and from
        the latents of the whole picture those of the kept part would give the hidden one away.
        """
        rounds = range(self.restorations) if rounds is None else rounds
        n, rows = len(batch), len(regions) * len(rounds)
        keys = [sha256 for sha256 in batch.sha256 for _ in range(rows)]
        condition = batch.condition.repeat(rows)
        hidden = _spread([target.onto_states(region) for region in regions], len(rounds))
        original = _spread([self._kept_part(target, batch, region) for region in regions], len(rounds))
        streams = [  # all at once, for the first noise of each may be drawn while the network works
            Still(len(keys), target.shape, target.device)
            if degradation.still
            else NoiseStream(keys, draws * n, target.shape, seed=self.seed, device=target.device, kept=kept)
            for degradation, draws, kept in zip(
                self.degradation, self._draws(len(regions), rounds), drawn or self._drawn(), strict=True
            )
        ]
        parts = []
        for degradation, noise in zip(self.degradation, streams, strict=True):
            given = [target.encode(degradation(batch, region, seed=self.seed)) for region in regions]
            degraded = _spread(given, len(rounds))
            masked = Masked(original, degraded, hidden, condition)
            start = degradation.start(target.path)
            restored = self.restorer.restore(target, masked, noise, steps=self.steps, start=start)
            parts.append(restored.unflatten(0, (n, len(regions), len(rounds))))
        return torch.cat(parts, dim=2)

    @staticmethod
    def _kept_part(target: Target, batch: Batch, region: torch.Tensor) -> torch.Tensor:
        return target.encode(Hide()(batch, region)) if target.latent else batch.pixels

    def _draws(self, regions: int, rounds: Sequence[int]) -> list[list[int]]:
        """For each degradation the numbers of its restorations, region by region; every restoration has its own."""
        numbers = np.arange(len(self.degradation) * regions * self.restorations)
        return (
            numbers.reshape(-1, regions, self.restorations)[..., list(rounds)]
            .reshape(len(self.degradation), -1)
            .tolist()
        )

    def _compare(
        self,
        target: Target,
        batch: Batch,
        originals: Sequence[Any],
        restored: torch.Tensor,
        regions: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Similarities of (n, regions, r, c, h, w) to the originals, float64 (n, regions, r), and to one another,
        (n, regions, r, r), where pooling asks for them. originals: their codes, region by region."""
        n, k, r = restored.shape[:3]
        condition = batch.condition.repeat(k * r)
        states = restored.flatten(0, 2)
        pixels = None if self.encoder.of_states else self._pictures(target, batch, regions, restored).flatten(0, 2)
        painted = self.encoder.encode(target, pixels, _spread(regions, r), condition, states=states)
        rows = torch.arange(n * k * r).view(n, k, r)
        codes = [[self.encoder.take(painted, rows[:, i, j]) for j in range(r)] for i in range(k)]
        similarities = [self._alike(one, others) for one, others in zip(originals, codes, strict=True)]
        if self.pooling != "energy":
            return torch.stack(similarities, dim=1), similarities[0].new_empty(n, k, 0, 0)
        among = [torch.stack([self._alike(one, others) for one in others], dim=1) for others in codes]
        return torch.stack(similarities, dim=1), torch.stack(among, dim=1)

    @staticmethod
    def _pictures(
        target: Target, batch: Batch, regions: Sequence[torch.Tensor], restored: torch.Tensor
    ) -> torch.Tensor:
        """Pictures of restored states (n, regions, r, ...), in which every kept pixel is the original's."""
        n, k, r = restored.shape[:3]
        if not target.latent:
            return restored
        painted = target.decode(restored.flatten(0, 2)).clamp(-1, 1)
        whole = batch.pixels.repeat_interleave(k * r, dim=0)
        return torch.where(_spread(regions, r)[:, None], painted, whole).unflatten(0, (n, k, r))

    def _alike(self, code: Any, others: Sequence[Any]) -> torch.Tensor:
        """Similarity of each picture's code to each of its others: float64 (n, r)."""
        return torch.stack([self.encoder.compare(code, other) for other in others], dim=1)

    def _exhibits(
        self,
        target: Target,
        batch: Batch,
        regions: Sequence[torch.Tensor],
        restored: torch.Tensor,
        similarities: torch.Tensor,
    ) -> tuple[Exhibit, ...]:
        """What there is to see of each picture; of several degradations the first is shown."""
        restored = self._pictures(target, batch, regions, restored)
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


def _spread(by_region: Sequence[torch.Tensor], times: int) -> torch.Tensor:
    """One tensor (n, ...) a region -> (n * regions * times, ...), a picture's rows side by side."""
    return torch.stack(list(by_region), dim=1).repeat_interleave(times, dim=1).flatten(0, 1)


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
