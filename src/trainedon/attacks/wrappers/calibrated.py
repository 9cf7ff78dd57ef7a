"""Another attack, relative to a model that never saw the picture: what is easy for any model counts no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.answers import Cost, Progress, Scored, silent, total
from trainedon.attacks.core.attack import REMEDIES, Attack, Need, RelativeTo
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Reference, Target


@register
@dataclass(frozen=True)
class Calibrated(Wrapper):
    """Score under the audited model minus score under the `reference` model (Watson et al., arXiv 2111.08440)."""

    attack: Attack
    reference: Reference | None = None

    name: ClassVar[str] = "calibrated"
    title: ClassVar[str] = "Difference to a reference model"
    relative_to: ClassVar[RelativeTo] = "reference"
    paper: ClassVar[str] = "arXiv 2111.08440"
    also_needs: ClassVar[tuple[Need, ...]] = ("reference",)

    @property
    def other(self) -> Reference:
        """The reference model. Raises UserError where none is given."""
        if self.reference is None:
            raise UserError(f"calibrated needs {REMEDIES['reference']}")
        return self.reference

    def cost(self, target: Target) -> Cost:
        return total([self.attack.cost(target)] * 2)

    def prepare(self, target: Target, progress: Progress = silent) -> None:
        self.attack.prepare(target, progress)
        self.attack.prepare(self.other.target(target), progress)

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        other = self.other.target(target)
        return Scored(run_batch(self.attack, target, batch).scores - run_batch(self.attack, other, batch).scores)
