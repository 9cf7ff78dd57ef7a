"""Degrade-Restore-Compare that a person can see: a named setting of `drc`, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.registry import register
from trainedon.attacks.drc.drc import DRC
from trainedon.compare import Own, Similarity
from trainedon.degrade import Center, Degradation, Hide, Roi
from trainedon.restore import Guided, Restorer


@register
@dataclass(frozen=True)
class DRCHide(DRC):
    """DRC that hides the centre altogether and guides the restoration by what is kept: a model that remembers a picture
    well paints it as it was, and one that does not paints something else, which anybody can see."""

    roi: Roi = Center(0.25)
    degradation: tuple[Degradation, ...] = (Hide(),)
    restorer: Restorer = Guided()
    steps: int = 20
    restorations: int = 2
    encoder: Similarity = Own()
    symmetries: tuple[str, ...] = ()

    name: ClassVar[str] = "drc-hide"
    title: ClassVar[str] = "Degrade-Restore-Compare to be seen"
