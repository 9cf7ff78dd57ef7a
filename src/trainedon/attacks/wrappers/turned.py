"""Another attack on the pictures turned or mirrored: what it finds where memory is lost and difficulty is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from trainedon.attacks.core.answers import Progress, Scored, silent
from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import SYMMETRIES, Symmetric, Target, changed


@register
@dataclass(frozen=True)
class Turned(Wrapper):
    """Score of the attack on the picture moved by a symmetry of the picture plane, in place of the picture: a control
    of the run. A model that was not trained on such views has no memory of them, and whatever else sets pictures apart
    (a shift, noise, contrast, compression) is moved along.

    symmetry: `mirror`, `upside-down` or `half-turn`.
    """

    attack: Attack
    symmetry: str = "mirror"

    name: ClassVar[str] = "turned"
    title: ClassVar[str] = "On mirrored or turned pictures (control)"
    paper: ClassVar[str] = "after arXiv 2111.08440"

    def __post_init__(self) -> None:
        if self.symmetry not in SYMMETRIES:
            raise UserError(f"turned: symmetry={self.symmetry!r}: choose one of {', '.join(SYMMETRIES)}")

    @property
    def stage(self) -> str:
        how = {"mirror": "mirrored", "upside-down": "upside down", "half-turn": "turned by half a circle"}
        return f"control: {self.attack.spelled()} on the pictures {how[self.symmetry]}"

    @property
    def unscored(self) -> str:
        return f"{self.attack.unscored}, or the picture is its own mirror image"

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        self.attack.prepare(self._asked(target), progress)

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        asked = self._asked(target)
        if asked is target:
            turned = replace(batch, pixels=SYMMETRIES[self.symmetry](batch.pixels), turned_first={})
            scores = run_batch(self.attack, target, turned).scores.copy()
        else:
            scores = run_batch(self.attack, asked, batch).scores.copy()
        scores[~changed(batch.pixels, self.symmetry)] = np.nan
        return Scored(scores)

    def _asked(self, target: Target) -> Target:
        """The symmetry-conjugated model, asked about the pictures as they are: that is the model asked about turned
        pictures, with noise that is turned too. An attack that is relative to it has asked just that before, and no
        pass is made twice. The model itself, asked about turned pictures, where others beside it would not be
        conjugated."""
        if not {"shadows", "reference"}.isdisjoint(self.attack.needs) or self.attack.learns:
            return target
        return Symmetric.of(target, self.symmetry)


def turned(attacks: Sequence[Attack], symmetries: Sequence[str]) -> list[Turned]:
    """The controls of these attacks, but those that are among the attacks themselves. None of an attack that takes off
    its score of that very view: there it is its own negative, and a difference is never found."""
    plain = [attack for attack in attacks if not isinstance(attack, Turned)]
    made = (Turned(attack, symmetry) for attack in plain for symmetry in symmetries if attack.null_view != symmetry)
    return [one for one in made if one not in attacks]


def leading(attacks: Sequence[Attack], lead: str) -> Sequence[Attack]:
    """Those that a claim against unseen pictures rests on: the first one, or all together where `cdi` leads."""
    return attacks if lead == "cdi" else attacks[:1]


def mirrorable(attacks: Sequence[Attack], lead: str) -> bool:
    """Whether `turned` by the mirror has controls of all attacks that a claim rests on."""
    return all(attack.null_view != "mirror" for attack in leading(attacks, lead))
