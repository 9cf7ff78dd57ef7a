"""PIAN: PIA with the first noise brought to the size of a standard normal one (Kong et al., arXiv 2305.18355)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from trainedon.attacks.core.answers import Reported
from trainedon.attacks.core.compared import Pairs
from trainedon.attacks.core.registry import register
from trainedon.attacks.single.pia import PIA, again
from trainedon.pictures import Batch
from trainedon.targets import Target


@register
@dataclass(frozen=True)
class PIAN(PIA):
    """PIA with `e0 * sqrt(2 / pi) / mean |e0|` in place of `e0` (eq. 10).

    The paper prints sqrt(pi / 2); a standard normal variable has E|z| = sqrt(2 / pi). t: timestep of the usual DDPM
    path; on another path the one with the nearest signal-to-noise ratio. p: the norm's power.
    """

    name: ClassVar[str] = "pian"
    title: ClassVar[str] = "Proximal initialization, normalised"
    reported: ClassVar[tuple[Reported, ...]] = ()

    def pairs(self, target: Target, batch: Batch) -> Pairs:
        first = target.denoise(target.encode(batch.pixels), target.path.like_ddpm(0), batch.condition).noise
        size = first.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
        return [again(target, batch, first * math.sqrt(2 / math.pi) / size, self.t)]
