"""What `drc` means by the kind of model that it meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from trainedon.attacks.core.attack import Attack
from trainedon.attacks.drc.drc_2 import DRC2
from trainedon.attacks.drc.drc_latent import DRCLatent
from trainedon.spec import parameters
from trainedon.targets import Target


def for_model(attacks: Sequence[Attack], target: Target) -> list[Attack]:
    """The attacks as a run of the target makes them, each once: on a model in latents `drc-latent` in place of `drc`,
    also inside others, with what was said otherwise than by default."""
    if not target.latent:
        return list(attacks)
    found: list[Attack] = []
    for attack in map(_in_latents, attacks):
        if attack not in found:
            found.append(attack)
    return found


def _in_latents(attack: Attack) -> Attack:
    if type(attack) is DRC2:
        usual, said = DRC2(), {field.name: getattr(attack, field.name) for field in fields(attack)}
        return DRCLatent(**{name: value for name, value in said.items() if value != getattr(usual, name)})
    inside: dict[str, Any] = {}
    for name, parameter in parameters(type(attack)).items():
        if parameter.kind is Attack:
            value = getattr(attack, name)
            inside[name] = tuple(map(_in_latents, value)) if parameter.many else _in_latents(value)
    changed = {name: value for name, value in inside.items() if value != getattr(attack, name)}
    return replace(attack, **changed) if changed else attack
