"""What attacks that compare the audited model with shadow models have in common."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from trainedon.attacks.core.answers import Progress, silent
from trainedon.attacks.core.attack import REMEDIES, Attack, Need
from trainedon.attacks.core.execute import run
from trainedon.attacks.single.loss import Loss
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Shadows, Target


class Shadowed(Attack):
    """An attack with shadow models in its field `shadows`."""

    shadows: Shadows | None
    needs: ClassVar[tuple[Need, ...]] = ("shadows",)

    @property
    def pool(self) -> Shadows:
        """The shadow models, and the pictures that they were drawn from. Raises UserError where none are given."""
        if self.shadows is None:
            raise UserError(f"{self.name} needs {REMEDIES['shadows']}")
        return self.shadows

    @property
    def models(self) -> int:
        """How many shadow models there are; one where the cost is stated before there are any."""
        return 1 if self.shadows is None else len(self.shadows)


def errors(loss: Loss, models: list[Target], batch: Batch, progress: Progress = silent, what: str = "") -> np.ndarray:
    """Mean squared error of the predicted noise under each model: float64 (models, n)."""
    rows = []
    for done, model in enumerate(models):
        progress(what, done, len(models))
        rows.append(-run(loss, model, batch).scores)
    progress(what, len(models), len(models))
    return np.stack(rows)
