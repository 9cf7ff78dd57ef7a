"""Degrade-Restore-Compare for latent models: a named setting of `drc`, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.registry import register
from trainedon.attacks.drc.drc import DRC
from trainedon.degrade import Degradation, Fade


@register
@dataclass(frozen=True)
class DRCLatent(DRC):
    """DRC whose picture fades without noise, minus three quarters of its score under the symmetry-conjugated model.

    Latents of pictures differ less in how hard they are than pixels do, and what a model remembers of them shows best
    where no noise hides it. Chosen on tuning halves of two small latent models (docs/models.md); on pixel models `drc`
    is the better one.
    """

    degradation: tuple[Degradation, ...] = tuple(Fade(t) for t in (50, 100, 150, 200))
    restorations: int = 1
    share: float = 0.75

    name: ClassVar[str] = "drc-latent"
    title: ClassVar[str] = "Degrade-Restore-Compare in latents"
