"""Degrade-Restore-Compare of a picture that became a mosaic, version 2 of what is painted: a setting, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.registry import register
from trainedon.attacks.drc.drc import DRC
from trainedon.attacks.drc.drc_paint import hidden_centre
from trainedon.degrade import Degradation, Mosaic
from trainedon.restore import DDNM, Restorer
from trainedon.targets import Target

TILES, STEPS = 8, 4  # more steps tell less than more restorations (docs/accuracy.md)
MOSAIC = Mosaic(TILES)


@register
@dataclass(frozen=True)
class DRCPaint2(DRC):
    """DRC that scores what is shown: the whole picture becomes a mosaic of 8 x 8 tiles, and the model paints what they
    hide, minus the same in two views.

    Nothing finer than a tile is given away, so what is right of the rest comes from the model. All of the picture is
    painted, from tiles that remind the model of it, and no gradient is taken.
    """

    degradation: tuple[Degradation, ...] = (MOSAIC,)
    restorer: Restorer = DDNM()
    steps: int = STEPS
    restorations: int = 8
    symmetries: tuple[str, ...] = ("mirror", "half-turn")

    name: ClassVar[str] = "drc-paint@2"
    title: ClassVar[str] = "Degrade-Restore-Compare of what is painted"


def paintable(target: Target) -> bool:
    """Whether a mosaic of so many tiles hides anything of what the target's network works on. In latents it hides too
    little: there a tile is a few numbers, or one."""
    return not target.latent and min(target.shape[1:]) >= 2 * TILES


def painted_back(target: Target, seed: int = 0) -> DRC:
    """What people are shown of an attack that has nothing to show itself: a picture painted back from its mosaic, the
    first restoration of `drc-paint`, or where that is not possible its hidden centre."""
    if not paintable(target):
        return hidden_centre(target, seed)
    most = round(MOSAIC.start(target.path) * target.timesteps)
    return DRCPaint2(steps=max(1, min(STEPS, most)), restorations=1, symmetries=(), seed=seed)
