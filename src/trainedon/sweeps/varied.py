"""One attack with other values for some of its parameters, and for those of its parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainedon.attacks.core.attack import Attack
from trainedon.attacks.drc.drc import DRC
from trainedon.degrade import Full, Inverted, Roi, Several
from trainedon.errors import UserError, meant
from trainedon.restore import Restorer
from trainedon.spec import Parameter, Part, cut, parameters, read, spelled, split

# Of `drc`: another name for the region.
SAME = {"region": "roi"}
Value = bool | int | float | str


@dataclass(frozen=True)
class Setting:
    """One attack, and what was varied to make it: name -> value."""

    values: dict[str, Value]
    attack: Attack


def names(attack: Attack) -> list[str]:
    """What can be varied of an attack, by the names that `--vary` takes besides paths."""
    known = parameters(type(attack)).values()
    own = [one.name for one in known if one.kind is not Attack and not one.is_opened]
    return own + ([*SAME, *OF_REGION, *of_restorers()] if isinstance(attack, DRC) else [])


def of_restorers() -> list[str]:
    """Parameters of all restorers, each once."""
    return list(dict.fromkeys(name for kind in Restorer.noun.makers.values() for name in parameters(kind)))


def values(text: str) -> list[str]:
    """The values in a text: parted by `;` if one is outside quotes, else by commas outside quotes and parentheses."""
    parts = list(split(text, ";", nested=True))
    parts = list(split(text, ",")) if len(parts) == 1 else parts
    return [re.sub(r"""^(['"])(.*)\1$""", r"\2", part.strip()) for part in parts]


def only(attacks: Sequence[Attack], spec: str) -> Attack:
    """The one attack that `spec` named. Raises UserError where it named several."""
    if len(attacks) != 1:
        raise UserError(f"a sweep varies one attack, and {spec!r} names {len(attacks)}: name one with --attack")
    return attacks[0]


def setting(base: Attack, values: Mapping[str, object], have: Sequence[str]) -> Setting:
    """The attack with other values: first for its own parameters, together, then for those of its parts.

    values: texts, numbers, parts. have: the needs that are met. Raises UserError for a value that it does not take, for
    a path that leads nowhere, and for a need that is not met.
    """
    own = parameters(type(base))
    direct = {SAME.get(name, name): value for name, value in values.items() if SAME.get(name, name) in own}
    attack = changed(base, {name: valued(own[name], value, f"{base.name}: {name}") for name, value in direct.items()})
    made: dict[str, Value] = {}
    for name, value in values.items():
        if SAME.get(name, name) not in own:
            attack, made[name] = _changed(attack, name, value)
    for name, value in direct.items():
        made[name] = _told(getattr(attack, name), value)
    attack.require(have)
    return Setting({name: made[SAME.get(name, name)] for name in values}, attack)


def changed(part: Any, values: dict[str, Any]) -> Any:
    """The part with other values. Another encoder is compared with in the scope that the attack was given, if any."""
    if isinstance(part, DRC) and part.scope_given and "encoder" in values:
        values = {"scope": part.scope_given, **values}
    return replace(part, **values)


def valued(parameter: Parameter, value: object, where: str) -> Any:
    """A value for a parameter: a part, or several, as they are; of all else, what its text says.

    Raises UserError for what the parameter does not take.
    """
    several = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not any(isinstance(one, Part) for one in several):
        return read(parameter.hint, as_text(value), where, _parse, parameter.most)
    fits = parameter.is_part and all(isinstance(one, parameter.kind) for one in several)
    if not fits or (len(several) > 1 and not parameter.many):
        raise UserError(f"{where} does not take {cut(as_text(several))}")
    return several if parameter.many else several[0]


def _told(made: object, value: object) -> Value:
    """A value as a run records it: the number that it made, or its text."""
    return made if isinstance(made, int | float) else as_text(value)


def as_text(value: object) -> str:
    """A value as it is written; what is text is written already."""
    if isinstance(value, list | tuple):
        return "+".join(map(as_text, value)) if any(isinstance(one, str) for one in value) else spelled(tuple(value))
    return value if isinstance(value, str) else spelled(value)


def _changed(attack: Attack, name: str, value: object) -> tuple[Attack, Value]:
    """The attack with one other value for a part of it, and that value."""
    if isinstance(attack, DRC) and name in OF_REGION:
        change, kind = OF_REGION[name]
        made: Value = read(kind, as_text(value), name, _parse)
        return replace(attack, roi=change(attack.roi, made)), made
    path = name.split(".") if "." in name else ["restorer", name]
    return along(attack, [SAME.get(path[0], path[0]), *path[1:]], value, name)


def along(part: Any, path: Sequence[str], value: object, where: str) -> tuple[Any, Value]:
    """The part with another value at the end of a path of parameters, such as `restorer.scale`, and that value.

    Raises UserError for a path that leads nowhere, and for a value that does not fit.
    """
    name, *rest = path
    known = parameters(type(part))
    if name not in known:
        raise UserError(f"{_called(part)} has no parameter {name!r}{meant(name, known)}: it has {', '.join(known)}")
    inner = getattr(part, name)
    if rest and not isinstance(inner, Part):
        raise UserError(f"{cut(where)}: {name} of {_called(part)} has no parameters of its own: vary {name} itself")
    if rest:
        inner, told = along(inner, rest, value, where)
        return replace(part, **{name: inner}), told
    made = valued(known[name], value, where)
    return changed(part, {name: made}), _told(made, value)


def _called(part: Part) -> str:
    return part.name if isinstance(part, Attack) else f"the {part.noun.title} {part.name}"


def _parse(base: Any, text: str) -> Any:
    return base.parse(text)


def with_ratio(roi: Roi, ratio: float) -> Roi:
    """The region, of another share of the picture; of an inverted one, and of several, what is inside."""
    if isinstance(roi, Inverted):
        return Inverted(with_ratio(roi.roi, ratio))
    if isinstance(roi, Several):
        return Several(tuple(with_ratio(one, ratio) for one in roi.rois))
    if "ratio" not in parameters(type(roi)):
        raise UserError(f"the region {roi} has no mask ratio: choose attention, face, center or random")
    changed: Any = roi
    return replace(changed, ratio=ratio)  # type: ignore[no-any-return]


def turned(roi: Roi, inverted: bool) -> Roi:
    """The region inverted, or as it is: several are inverted one by one."""
    if isinstance(roi, Several):
        return Several(tuple(turned(one, inverted) for one in roi.rois))
    plain = roi.roi if isinstance(roi, Inverted) else roi
    if inverted and isinstance(plain, Full):
        raise UserError("the region full leaves nothing to hide when it is inverted: choose another one")
    return Inverted(plain) if inverted else plain


# Of `drc`, what is varied of its region whatever is around it: how it is changed, by a value of which type.
OF_REGION: dict[str, tuple[Callable[[Roi, Any], Roi], type]] = {
    "mask-ratio": (with_ratio, float),
    "inverted": (turned, bool),
}
