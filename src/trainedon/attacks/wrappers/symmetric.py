"""Another attack, relative to the audited model itself, conjugated by symmetries of the picture plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from trainedon.attacks.core.answers import Cost, Progress, Scored, silent, total
from trainedon.attacks.core.attack import Attack, RelativeTo
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.attacks.drc.drc import DRC
from trainedon.errors import UserError
from trainedon.formats.null_view import NullView, the_one_view
from trainedon.pictures import Batch
from trainedon.targets import (
    SYMMETRIES,
    TRANSFORMATIONS,
    Symmetric,
    Target,
    asked_in,
    changed,
    check_symmetries,
    named_symmetries,
    no_reference,
    relative,
)


@register
@dataclass(frozen=True)
class SymmetryCalibrated(Wrapper):
    """Score under the model f minus its mean under the symmetry-conjugated models `g^-1 f(g x)`: the same model as it
    looks in a mirror, upside down, and turned by half a circle, or in other views (`targets.core.transformations`).

    The difficulty calibration of Watson et al. (arXiv 2111.08440) without a reference model: `targets.core.symmetry`.
    symmetries: `mirror+upside-down+half-turn`, which is all, or others. Refused for attacks with models beside the
    audited one, which would not be conjugated.
    """

    attack: Attack
    symmetries: tuple[str, ...] = tuple(SYMMETRIES)

    name: ClassVar[str] = "symmetric"
    title: ClassVar[str] = "Difference to the symmetry-conjugated model"
    relative_to: ClassVar[RelativeTo] = "self"
    paper: ClassVar[str] = "after arXiv 2111.08440"

    def __post_init__(self) -> None:
        object.__setattr__(self, "symmetries", named_symmetries(self.symmetries))
        if not self.symmetries:
            raise UserError(f"{self.name}: name at least one symmetry, or all")
        if not {"shadows", "reference"}.isdisjoint(self.attack.needs) or self.attack.learns:
            raise UserError(f"{self.name}: {self.attack.name} needs more than the audited model: leave it out")

    @property
    def unscored(self) -> str:
        return f"{self.attack.unscored}, or {no_reference(self.symmetries)}"

    @property
    def null_view(self) -> NullView | None:
        return the_one_view(self.symmetries)

    def check(self, target: Target) -> None:
        super().check(target)
        check_symmetries(self.symmetries, target, self.name)

    def conjugated(self, target: Target) -> Iterator[Target]:
        """The symmetry-conjugated models, of the views that move noise along."""
        exact = (name for name in self.symmetries if TRANSFORMATIONS[name].conjugates(target))
        return (Symmetric.of(target, name) for name in exact)

    def cost(self, target: Target) -> Cost:
        return total([self.attack.cost(target)] * (1 + len(self.symmetries)))

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        for model in (target, *self.conjugated(target)):
            self.attack.prepare(model, progress)

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        here = run_batch(self.attack, target, batch).scores
        shown = batch.for_view(self.null_view) if self.null_view else batch
        there = [run_batch(self.attack, *asked_in(target, shown, name)).scores for name in self.symmetries]
        return Scored(relative(here, there, [changed(batch.pixels, symmetry) for symmetry in self.symmetries]))


def against(attack: Attack, view: NullView) -> Attack:
    """The attack with its score of that view taken off, and of no other: the sign of what is left is a coin for
    pictures that the model never saw, if they are as likely in that view.

    Raises UserError for an attack that needs more than the audited model.
    """
    if attack.null_view == view:
        return attack
    if isinstance(attack, DRC):
        return replace(attack, symmetries=(view,), share=1.0)
    if isinstance(attack, SymmetryCalibrated):
        return replace(attack, symmetries=(view,))
    return SymmetryCalibrated(attack, (view,))
