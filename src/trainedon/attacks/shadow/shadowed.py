"""What attacks that compare the audited model with shadow models have in common."""

from __future__ import annotations

import numpy as np

from trainedon.attacks.core.answers import Progress, silent
from trainedon.attacks.core.execute import run
from trainedon.attacks.single.loss import Loss
from trainedon.pictures import Batch
from trainedon.targets import Shadows, Target


def errors(loss: Loss, models: list[Target], batch: Batch, progress: Progress = silent, what: str = "") -> np.ndarray:
    """Mean squared error of the predicted noise under each model: float64 (models, n)."""
    rows = []
    for done, model in enumerate(models):
        progress(what, done, len(models))
        rows.append(-run(loss, model, batch).scores)
    progress(what, len(models), len(models))
    return np.stack(rows)


def count(shadows: Shadows | None) -> int:
    """How many shadow models there are; one where an attack says its cost before it has any."""
    return 1 if shadows is None else len(shadows)
