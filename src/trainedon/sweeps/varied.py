"""One attack with other values for some of its parameters, as the command line writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from trainedon.attacks.core.attack import Attack
from trainedon.attacks.core.registry import HELPERS, INSIDE, _split
from trainedon.attacks.core.spelling import MOST, cut
from trainedon.attacks.drc.drc import DRC
from trainedon.degrade import Full, Inverted, Roi, Several
from trainedon.errors import UserError
from trainedon.restore import RESTORERS

# Of `drc`: parameters of its region and of its restorer, and another name for the region.
OF_REGION = ("mask-ratio", "inverted")
OF_RESTORER = tuple(dict.fromkeys(field.name for kind in RESTORERS.values() for field in fields(kind)))
SAME = {"region": "roi"}
Value = bool | int | float | str
Parse = Callable[[str], list[Attack]]


@dataclass(frozen=True)
class Setting:
    """One attack, and what was varied to make it: name -> value."""

    values: dict[str, Value]
    attack: Attack


def parameters(attack: Attack) -> list[str]:
    """What can be varied of an attack, by the names that `--vary` takes."""
    own = [field.name for field in fields(attack) if field.type not in (*INSIDE, *HELPERS)]  # type: ignore[arg-type]
    return own + ([*SAME, *OF_REGION, *OF_RESTORER] if isinstance(attack, DRC) else [])


def values(text: str) -> list[str]:
    """The values in a text: parted by `;` if one is outside quotes, else by commas outside quotes and parentheses."""
    parts = re.split(r""";(?=(?:[^'"]|'[^']*'|"[^"]*")*$)""", text)
    parts = list(_split(text)) if len(parts) == 1 else parts
    return [re.sub(r"""^(['"])(.*)\1$""", r"\2", part.strip()) for part in parts]


def only(attacks: Sequence[Attack], spec: str) -> Attack:
    """The one attack that `spec` named. Raises UserError where it named several."""
    if len(attacks) != 1:
        raise UserError(f"a sweep varies one attack, and {spec!r} names {len(attacks)}: name one with --attack")
    return attacks[0]


def setting(spec: str, base: Attack, texts: Mapping[str, str], parse: Parse) -> Setting:
    """The attack `spec` with other values: first for its own parameters, then for those of its region and restorer."""
    own = {field.name for field in fields(base)}  # type: ignore[arg-type]
    direct = {SAME.get(name, name): text for name, text in texts.items() if SAME.get(name, name) in own}
    attack = only(parse(given_besides(spec, direct)), spec)
    made: dict[str, Value] = {}
    for name in (name for name in (*OF_REGION, *OF_RESTORER) if name in texts and name not in own):
        attack, made[name] = SHORTHANDS.get(name, _of_restorer)(attack, name, texts[name])
    for name in direct:
        value = getattr(attack, name)
        made[name] = value if isinstance(value, int | float) else direct[name]
    return Setting({name: made[SAME.get(name, name)] for name in texts}, attack)


def given_besides(spec: str, texts: Mapping[str, str]) -> str:
    """`spec` with other values for some parameters: of two for one parameter the later counts."""
    name, _, rest = spec.strip().partition("(")
    said = [part for part in [rest.strip().removesuffix(")").strip()] if part]
    said += [f"{key}={_quoted(text)}" for key, text in texts.items()]
    return f"{name}({', '.join(said)})"


def _quoted(text: str) -> str:
    quote = '"' if "'" in text else "'"
    return f"{quote}{text}{quote}" if any(mark in text for mark in ",'\"") else text


def _of_ratio(attack: DRC, name: str, text: str) -> tuple[DRC, Value]:
    ratio = _number(name, text, float)
    return replace(attack, roi=with_ratio(attack.roi, ratio)), ratio


def _of_inversion(attack: DRC, name: str, text: str) -> tuple[DRC, Value]:
    if text.lower() not in ("true", "false"):
        raise UserError(f"inverted is true or false, not {text!r}")
    inverted = text.lower() == "true"
    return replace(attack, roi=_turned(attack.roi, inverted)), inverted


def _of_restorer(attack: DRC, name: str, text: str) -> tuple[DRC, Value]:
    kinds = {field.name: field.type for field in fields(attack.restorer)}
    if name not in kinds:
        restorer = type(attack.restorer).__name__.lower()
        raise UserError(f"the restorer {restorer} has no parameter {name!r}: it has {', '.join(kinds)}")
    value = _number(name, text, int if kinds[name] == "int" else float)
    return replace(attack, restorer=replace(attack.restorer, **{name: value})), value


SHORTHANDS = {"mask-ratio": _of_ratio, "inverted": _of_inversion}


def _number(name: str, text: str, kind: type[int] | type[float]) -> int | float:
    try:
        value = kind(text)
        if kind is int and abs(value) > MOST:
            raise ValueError
    except ValueError:
        raise UserError(f"{name} takes a {'whole ' if kind is int else ''}number, not {cut(text)!r}") from None
    return value


def with_ratio(roi: Roi, ratio: float) -> Roi:
    """The region, of another share of the picture; of an inverted one, and of several, what is inside."""
    if isinstance(roi, Inverted):
        return Inverted(with_ratio(roi.roi, ratio))
    if isinstance(roi, Several):
        return Several(tuple(with_ratio(one, ratio) for one in roi.rois))
    if not hasattr(roi, "ratio"):
        raise UserError(f"the region {roi} has no mask ratio: choose attention, face, center or random")
    return replace(roi, ratio=ratio)  # type: ignore[type-var]


def _turned(roi: Roi, inverted: bool) -> Roi:
    """The region inverted, or as it is: several are inverted one by one."""
    if isinstance(roi, Several):
        return Several(tuple(_turned(one, inverted) for one in roi.rois))
    plain = roi.roi if isinstance(roi, Inverted) else roi
    if inverted and isinstance(plain, Full):
        raise UserError("the region full leaves nothing to hide when it is inverted: choose another one")
    return Inverted(plain) if inverted else plain
