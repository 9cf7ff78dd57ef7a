"""Degrade-Restore-Compare, version 2: a named setting of `drc`, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.registry import register
from trainedon.attacks.drc.drc import DRC
from trainedon.degrade import Degradation, Diffuse


@register
@dataclass(frozen=True)
class DRC2(DRC):
    """DRC at fewer levels and against the mirror image alone."""

    degradation: tuple[Degradation, ...] = (Diffuse(100), Diffuse(200))
    restorations: int = 6
    symmetries: tuple[str, ...] = ("mirror",)

    name: ClassVar[str] = "drc@2"
