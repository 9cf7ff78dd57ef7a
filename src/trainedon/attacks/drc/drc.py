"""Degrade, Restore, Compare (Fu et al., "Model Will Tell", arXiv 2403.08487)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.answers import Cost, Scored
from trainedon.attacks.core.attack import NOT_FINITE, Attack, Need, RelativeTo, ShownAs
from trainedon.attacks.core.registry import register
from trainedon.attacks.drc.comparison import Comparing
from trainedon.attacks.drc.exhibits import exhibits
from trainedon.attacks.drc.restorations import Restoring
from trainedon.attacks.drc.settle import Settling, check_settling
from trainedon.attacks.drc.views import Views
from trainedon.compare import Pixel, Similarity, check_pooling
from trainedon.degrade import Degradation, Diffuse, Full, Roi
from trainedon.errors import UserError
from trainedon.formats.null_view import NullView, the_one_view
from trainedon.pictures import Batch
from trainedon.restore import Join, Restorer, timesteps
from trainedon.targets import SYMMETRIES, Target, check_symmetries, named_symmetries, no_reference


@register
@dataclass(frozen=True)
class DRC(Attack):
    """`s(x) - share * mean_g s_g(x)` with `s(x) = pool_i sim(x, x_i)`: how alike a picture and its restorations are.

    x_i is x after a region was degraded and the model restored it from its own prior (eq. 4); s_g is s under the same
    model symmetry-conjugated, `g^-1 f(g x)`, its reference for how hard a picture is (see `targets.core.symmetry`).

    roi: the region that is degraded, or several, one after another. degradation: how it is degraded; of several ways
    each is done to every region. restorer: how the model paints the region back. steps: timesteps of a restoration.
    restorations: how many for each region and degradation, with noise of their own. encoder: sim, in what original and
    restorations are compared. scope: what of them is compared: region, crop or picture; none leaves it to the encoder.
    pooling: how all similarities become one number: mean-log, mean, median, max, best-log or energy. symmetries: views
    of the model that are its reference: mirror, upside-down, half-turn, quarter-turn, rotate, shear, quarters, negative
    or red-blue; all, or none. share: how much of the reference is taken off, 1 for all of it.
    settle: a picture stops early once its score lies further from the pivot than this many standard errors, which saves
    passes; 0 = never. pivot: the score from which that distance is taken, such as a threshold.

    The defaults are the setting that told members best on the tuning models of docs/accuracy.md: the whole picture,
    noised to several t and not hidden altogether. What comes back of a hidden region depends on which of many fitting
    pictures the model happens to paint; a model that remembers little tells more of a picture that it is reminded of.
    """

    roi: Roi = Full()
    degradation: tuple[Degradation, ...] = tuple(Diffuse(t) for t in range(50, 301, 50))
    restorer: Restorer = Join()
    steps: int = 1
    restorations: int = 8
    encoder: Similarity = Pixel()
    scope: str | None = None
    pooling: str = "mean-log"
    symmetries: tuple[str, ...] = tuple(SYMMETRIES)
    seed: int = 0
    share: float = 1.0
    settle: float = 0.0
    pivot: float = 0.0

    scope_given: ClassVar[str | None] = None  # set where it was given: another encoder takes it over

    name: ClassVar[str] = "drc@1"
    title: ClassVar[str] = "Degrade-Restore-Compare"
    paper: ClassVar[str] = "after arXiv 2403.08487"
    repeats: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.scope is not None:
            scope = self.scope
            object.__setattr__(self, "encoder", self.encoder.scoped(scope))
            object.__setattr__(self, "scope", None)  # the encoder carries it from here on
            object.__setattr__(self, "scope_given", scope)
        object.__setattr__(self, "symmetries", named_symmetries(self.symmetries))
        if self.steps < 1 or self.restorations < 1:
            raise UserError(f"{self.name}: steps and restorations must be 1 or more")
        if not self.degradation:
            raise UserError(f"{self.name}: name at least one degradation, such as hide")
        if self.pooling == "energy" and len(self.degradation) > 1:
            raise UserError(f"{self.name}: pooling=energy compares restorations of one degradation: name a single one")
        check_pooling(self.pooling, self.restorations)
        if not 0 <= self.share <= 1:
            raise UserError(f"{self.name}: share, of the symmetry-conjugated model, must lie between 0 and 1")
        if self.restorations > 1 and any(one.still for one in self.degradation):
            raise UserError(f"{self.name}: fade draws no noise, so all restorations are the same: take restorations=1")
        check_settling(self.name, self.settle, self.pivot, self.restorations, self.pooling)

    @property
    def unscored(self) -> str:
        return f"{NOT_FINITE}, or {no_reference(self.symmetries)}" if self.symmetries else NOT_FINITE

    @property
    def shown_as(self) -> ShownAs:
        return "noised" if any(isinstance(one, Diffuse) for one in self.degradation) else "hidden"

    @property
    def relative_to(self) -> RelativeTo | None:
        return "self" if self.symmetries else None

    @property
    def null_view(self) -> NullView | None:
        return the_one_view(self.symmetries) if self.share == 1 else None

    @property
    def needs(self) -> tuple[Need, ...]:
        return ("gradients",) if self.restorer.evaluations(self.steps)[1] else ()

    def check(self, target: Target) -> None:
        super().check(target)
        check_symmetries(self.symmetries, target, self.name)
        self.encoder.check_installed()
        self.encoder.check(target)
        self.roi.check(target)
        self.restorer.check(target)
        for degradation in self.degradation:
            degradation.check(target)
            timesteps(target.timesteps, self.steps, degradation.start(target.path))

    def rows(self) -> int:
        return len(self.roi.parts) * (1 if self.settle else self.restorations)

    def together(self, rows: int) -> int:
        # with early stopping larger chunks, so that the pictures which go on still fill the network's batches
        return super().together(rows) * (4 if self.settle else 1)

    def cost(self, target: Target) -> Cost:
        """Where pictures may stop early, the most that one can cost."""
        regions, views = len(self.roi.parts), 1 + len(self.symmetries)
        forward, backward = self.restorer.evaluations(self.steps)
        restored = regions * len(self.degradation) * self.restorations
        encoded = self.encoder.evaluations(regions) + self.encoder.evaluations() * restored
        chosen = self.roi.evaluations(target)
        return Cost(chosen + views * (encoded + restored * forward), views * restored * backward)

    @property
    def restoring(self) -> Restoring:
        """How pictures are degraded and restored."""
        return Restoring(self.degradation, self.restorer, self.steps, self.restorations, self.seed)

    def views(self, target: Target, batch: Batch) -> Views:
        """What is degraded, restored and compared."""
        regions = self.roi.masks(target, batch)  # each (n, h, w)
        comparing = Comparing(self.encoder, self.pooling)
        return Views(target, batch, regions, self.restoring, comparing, self.symmetries, self.share)

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        shown, views = self.shown_as == "hidden", self.views(target, batch)
        found = Settling(views, self.settle, self.pivot).found(shown) if self.settle else views.found()
        return Scored(found.scores, exhibits(views, found, self.roi.notes(batch)) if shown else ())
