"""Another attack on a control model: what it finds where nothing can be remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.answers import Cost, Progress, Scored, silent
from trainedon.attacks.core.attack import REMEDIES, Attack, Need
from trainedon.attacks.core.execute import run_batch, valid
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.attacks.wrappers.calibrated import Calibrated
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import ControlModel, Target


@register
@dataclass(frozen=True)
class OnControl(Wrapper):
    """Score of the attack on the `control` model, which cannot have seen any picture of the run, in place of the
    audited model: a control of the run, which shows how far the sets differ for a model that remembers none of them.

    The control model is asked in its own way: on its own noise path, with pictures resampled to its own size. Of a
    difference to that model itself it is the score that is subtracted.
    """

    attack: Attack
    control: ControlModel | None = None

    name: ClassVar[str] = "on-control"
    title: ClassVar[str] = "On a control model (control)"
    paper: ClassVar[str] = "after arXiv 2111.08440"
    also_needs: ClassVar[tuple[Need, ...]] = ("control",)

    @property
    def stage(self) -> str:
        return f"control: {self.attack.spelled()} on the control model"

    @property
    def model(self) -> ControlModel:
        """The control model. Raises UserError where none is given."""
        if self.control is None:
            raise UserError(f"{self.name} needs {REMEDIES['control']}")
        return self.control

    @property
    def asked(self) -> Attack:
        """What is asked of the control model."""
        attack = self.attack
        is_difference_to_it = isinstance(attack, Calibrated) and attack.other.digest == self.model.digest
        return attack.attack if isinstance(attack, Calibrated) and is_difference_to_it else attack

    def check(self, target: Target) -> None:
        super().check(target)
        try:
            self.asked.check(self.model.target(target))
        except UserError as error:
            raise UserError(f"{self.attack.name} cannot be run on the control model: {error}") from None

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        self.asked.prepare(self.model.target(target), progress)

    def cost(self, target: Target) -> Cost:
        if self.control is None:
            return self.attack.cost(target)  # of a control model like it
        return self.asked.cost(self.model.target(target))

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        other = self.model.target(target)
        return Scored(run_batch(self.asked, other, valid(other, self.model.fitted(batch, target))).scores)


def on_control(attacks: Sequence[Attack], control: ControlModel | None) -> list[OnControl]:
    """The controls that a run of the attacks makes besides where it has a control model."""
    if control is None:
        return []
    made = (OnControl(attack, control) for attack in attacks if not isinstance(attack, OnControl))
    return [one for one in made if one not in attacks]
