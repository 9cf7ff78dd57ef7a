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
    """DRC at two levels, minus its mean score in two views.

    Two views, because which one tells more depends on the training. Where pictures were mirrored the model knows their
    mirror images as well; where they were not the mirror image is the best reference there is. A view that the training
    knew adds little to the difference, and little noise (docs/attacks.md). For models in pixels: of one in latents the
    name `drc` means `drc-latent`.
    """

    degradation: tuple[Degradation, ...] = (Diffuse(100), Diffuse(200))
    restorations: int = 4
    symmetries: tuple[str, ...] = ("mirror", "half-turn")

    name: ClassVar[str] = "drc@2"
