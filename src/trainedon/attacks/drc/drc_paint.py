"""Degrade-Restore-Compare of a hidden centre alone, version 1 of what is painted: a named setting of `drc`, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.registry import register
from trainedon.attacks.drc.drc import DRC
from trainedon.compare import Pixel, Similarity
from trainedon.degrade import Center, Degradation, Hide, Roi
from trainedon.restore import Guided, Restorer
from trainedon.targets import Target

STEPS = 10  # twice as many brought members no nearer to the eye, and three restorations no higher AUC


@register
@dataclass(frozen=True)
class DRCPaint(DRC):
    """DRC that scores what is shown: the centre hidden altogether and painted back once, minus the same in two views.

    How near a painted centre comes says more about how hard the centre is than about memory, so the views matter here
    even more than in `drc` (docs/accuracy.md).
    """

    roi: Roi = Center(0.25)
    degradation: tuple[Degradation, ...] = (Hide(),)
    restorer: Restorer = Guided()
    steps: int = STEPS
    restorations: int = 1
    encoder: Similarity = Pixel()
    symmetries: tuple[str, ...] = ("mirror", "half-turn")

    name: ClassVar[str] = "drc-paint@1"
    title: ClassVar[str] = "Degrade-Restore-Compare of a hidden centre"


def hidden_centre(target: Target, seed: int = 0) -> DRCPaint:
    """What people are shown of an attack that has nothing to show itself: the centre hidden and restored, once.

    As many forward and backward passes a picture as steps, or fewer where the noise path has fewer timesteps.
    """
    return DRCPaint(steps=min(STEPS, target.timesteps), symmetries=(), seed=seed)
