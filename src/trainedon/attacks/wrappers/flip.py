"""Another attack on the picture and on its mirror image, which training often shows as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from trainedon.attacks.core.answers import Cost, Scored, total
from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.execute import run_batch
from trainedon.attacks.core.registry import register
from trainedon.attacks.core.wrapper import Wrapper
from trainedon.pictures import Batch
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class Flip(Wrapper):
    """Mean score of the picture and its mirror image (left and right swapped), with the same noise."""

    attack: Attack

    name: ClassVar[str] = "flip"
    title: ClassVar[str] = "Mean with the mirror image"
    paper: ClassVar[str] = "arXiv 2301.13188, sec. 5"

    looks_in: ClassVar[tuple[str, ...]] = ("mirror",)

    def cost(self, target: Target) -> Cost:
        cost = self.attack.cost(target)
        return replace(total([cost] * 2), setup=cost.setup)

    def score_batch(self, target: Target, batch: Batch) -> Scored:
        mirrored = replace(batch, pixels=batch.pixels.flip(-1), turned_first={})
        return Scored(np.mean([run_batch(self.attack, target, b).scores for b in (batch, mirrored)], axis=0))
