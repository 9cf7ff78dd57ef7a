"""What `drc` means by the kind of model that it meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trainedon.attacks.core.attack import Attack
from trainedon.attacks.drc.drc_2 import DRC2
from trainedon.attacks.drc.drc_latent import DRCLatent
from trainedon.spec import parameters
from trainedon.targets import Target


def for_model(attacks: Sequence[Attack], target: Target) -> list[Attack]:
    """The attacks as a run of the target makes them, each once: on a model in latents `drc-latent` in place of `drc`,
    also inside others, where nothing but a seed was said of it. What was said is never dropped: a setting stays as it
    was typed."""
    if not target.latent:
        return list(attacks)
    found: list[Attack] = []
    for attack in map(_in_latents, attacks):
        if attack not in found:
            found.append(attack)
    return found


def _in_latents(attack: Attack) -> Attack:
    if attack == DRC2(seed=getattr(attack, "seed", 0)):
        return DRCLatent(seed=attack.seed)
    inside: dict[str, Any] = {}
    for name, parameter in parameters(type(attack)).items():
        if parameter.kind is Attack:
            value = getattr(attack, name)
            inside[name] = tuple(map(_in_latents, value)) if parameter.many else _in_latents(value)
    changed = {name: value for name, value in inside.items() if value != getattr(attack, name)}
    return replace(attack, **changed) if changed else attack
