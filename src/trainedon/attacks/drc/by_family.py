"""What `drc` and `drc-paint` mean by the kind of model that they meet."""

from __future__ import annotations

from collections.abc import Sequence

from trainedon.attacks.core.attack import Attack
from trainedon.attacks.drc.drc_2 import DRC2
from trainedon.attacks.drc.drc_latent import DRCLatent
from trainedon.attacks.drc.drc_paint import DRCPaint
from trainedon.attacks.drc.drc_paint_2 import DRCPaint2, paintable
from trainedon.targets import Target


def for_model(attacks: Sequence[Attack], target: Target) -> list[Attack]:
    """The attacks as a run of the target makes them, each once: on a model in latents `drc-latent` in place of `drc`,
    and where a mosaic hides too little `drc-paint@1` in place of `drc-paint`, also inside others, where nothing but a
    seed was said of it. What was said is never dropped: a setting stays as it was typed."""
    found: list[Attack] = []
    for attack in (_meant(attack, target) for attack in attacks):
        if attack not in found:
            found.append(attack)
    return found


def _meant(attack: Attack, target: Target) -> Attack:
    seed = getattr(attack, "seed", 0)
    if target.latent and attack == DRC2(seed=seed):
        return DRCLatent(seed=seed)
    if attack == DRCPaint2(seed=seed) and not paintable(target):
        return DRCPaint(seed=seed)
    return attack.with_inside(lambda one: _meant(one, target))
