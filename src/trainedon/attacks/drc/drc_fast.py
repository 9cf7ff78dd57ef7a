"""Degrade-Restore-Compare in a few passes: a named setting of `drc`, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.registry import register
from trainedon.attacks.drc.drc import DRC


@register
@dataclass(frozen=True)
class DRCFast(DRC):
    """DRC where passes are dear: a quarter of the restorations."""

    restorations: int = 2

    name: ClassVar[str] = "drc-fast"
    title: ClassVar[str] = "Degrade-Restore-Compare in a few passes"
