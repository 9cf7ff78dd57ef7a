"""Which attacks there are, and how the command line writes one with its parameters."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields, replace
from importlib.metadata import entry_points

from trainedon.attacks.core.attack import HAVE, REMEDIES, Attack
from trainedon.attacks.core.pool import Pool
from trainedon.attacks.core.spelling import LARGEST_SEED, MOST, check_spelling, cut
from trainedon.errors import UserError, meant
from trainedon.targets import Reference, Shadows

ENTRY_POINTS = "trainedon.attacks"
LEAD = "drc"  # the first of all: the one that an audit's claim speaks of
INSIDE = ("Attack", "tuple[Attack, ...]")  # types of a parameter that holds attacks
# Several attacks under one name. `cdi`: scores that dataset inference puts together (arXiv 2411.12858, section 5).
GROUPS = {
    "cdi": ", ".join(f"loss(t={t})" for t in range(100, 1000, 100))
    + ", secmi, pia, pian, sima, pfami, noise-aggregation"
}
HELPERS = {"Shadows | None": Shadows, "Reference | None": Reference, "Pool | None": Pool}
_attacks: dict[str, type[Attack]] = {}


def register(attack: type[Attack]) -> type[Attack]:
    """Class decorator: the attack can now be named on the command line."""
    if attack.name in _attacks and _attacks[attack.name] is not attack:
        raise ValueError(f"two attacks are called {attack.name}")
    _attacks[attack.name] = attack
    return attack


def attacks() -> dict[str, type[Attack]]:
    """All attacks by name: our own, and those that other packages offer as entry points `trainedon.attacks`."""
    for point in entry_points(group=ENTRY_POINTS):
        try:
            register(point.load())
        except Exception as error:
            raise UserError(f"the attack {point.name} of another package cannot be loaded ({error})") from error
    return dict(sorted(_attacks.items()))


def parse_attacks(text: str, have: Sequence[str] = HAVE, **given: object) -> list[Attack]:
    """`drc, loss(t=100, draws=2), fremia(pia)`: attacks, parameters in parentheses, the others at their defaults.

    `all` stands for every attack that works as it is, without labels; `cdi` for those of GROUPS. have: the needs that
    are met besides those that are parameters. given: parameters for every attack that has one of that name and does not
    say it itself (`seed`, `shadows`, `reference`); None stands for none.
    Raises UserError for an unknown attack or parameter, for a need that is not met, and when nothing or one attack
    twice is named.
    """
    check_spelling(text, "the attack")
    known = attacks()
    chosen: list[Attack] = []
    for spec in filter(None, map(str.strip, _split(text))):
        if spec == "all" or spec in GROUPS:
            several = _everything(known, have, given) if spec == "all" else parse_attacks(GROUPS[spec], have, **given)
            chosen += [attack for attack in several if attack not in chosen]
            continue
        attack = _parse_one(spec, known, given)
        missing = attack.missing(have)
        if missing:
            raise UserError(f"{attack.name} needs {REMEDIES[missing[0]]}")
        if attack in chosen:
            raise UserError(f"{attack!r} is named twice")
        chosen.append(attack)
    if not chosen:
        raise UserError(f"no attack is named: choose from {', '.join(known)}, or all")
    return chosen


def short(attack: Attack) -> str:
    """The attack about as one would type it: its name, the attacks inside it, and what differs from its defaults."""
    kind = type(attack)
    required = {field.name: getattr(attack, field.name) for field in fields(kind) if _is_required(field)}
    usual = kind(**required)  # its defaults as it reads them
    said = []
    for field in fields(attack):  # type: ignore[arg-type]
        value = getattr(attack, field.name)
        if field.type in INSIDE:
            said += map(short, value if isinstance(value, tuple) else [value])
        elif field.name != "seed" and field.type not in HELPERS:
            usually = field.name not in required and value == getattr(usual, field.name)
            written = "+".join(map(str, value)) or "none" if isinstance(value, tuple) else value
            said += [] if usually else [f"{field.name}={written}"]
    return f"{attack.name}({', '.join(said)})" if said else attack.name


def works_alone(attack: type[Attack]) -> bool:
    """Whether the attack can be made from defaults; a wrapper needs the attack that it wraps."""
    return not any(map(_is_required, fields(attack)))


def _is_required(field: Field) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _everything(known: dict[str, type[Attack]], have: Sequence[str], given: dict[str, object]) -> Iterator[Attack]:
    for kind in sorted(known.values(), key=lambda kind: kind.name != LEAD):
        if works_alone(kind):
            attack = kind(**_applicable(kind, given), **_inner(kind, [], given))
            if "labels" not in attack.needs and not attack.missing(have):
                yield attack


def _applicable(kind: type[Attack], given: dict[str, object]) -> dict[str, object]:
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in given.items() if key in names and value is not None}


def _parse_one(spec: str, known: dict[str, type[Attack]], given: dict[str, object]) -> Attack:
    """One attack; what stands in its parentheses without `=` are the attacks inside it."""
    name, parenthesis, rest = spec.partition("(")
    name = name.strip()
    if name not in known:
        raise UserError(
            f"unknown attack {cut(name)!r}{meant(cut(name), [*known, 'all', *GROUPS])}: choose from "
            f"{', '.join(known)}, or all"
        )
    if parenthesis and not rest.endswith(")"):
        raise UserError(f"{cut(spec)!r}: the closing parenthesis is missing")
    kind = known[name]
    parameters = {field.name: field for field in fields(kind)}
    plain = [key for key, field in parameters.items() if field.type not in INSIDE]
    arguments = _applicable(kind, given)
    inside: list[Attack] = []
    for part in filter(None, map(str.strip, _split(rest[:-1]))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or "(" in key:
            if len(plain) == len(parameters):
                raise _no_parameter(name, key, plain)
            inside.append(_parse_one(part, known, given))
        elif key not in plain:
            raise _no_parameter(name, key, plain)
        else:
            arguments[key] = _typed(name, key, value, parameters[key].type)
    return kind(**arguments, **_inner(kind, inside, given))


def _no_parameter(attack: str, key: str, known: Sequence[str]) -> UserError:
    hint = meant(cut(key), known)
    return UserError(
        f"{attack} has no parameter {cut(key)!r}{hint}: it has {', '.join(known)} (quote a value with commas)"
    )


def _inner(kind: type[Attack], inside: list[Attack], given: dict[str, object]) -> dict[str, object]:
    """The attacks inside another one, as its parameter; where none is named its own, given what others are given."""
    (field,) = [field for field in fields(kind) if field.type in INSIDE] or [None]
    if field is None:
        return {}
    single = field.type == "Attack"
    if not inside:
        if not works_alone(kind):
            raise UserError(f"{kind.name} works on another attack: name it, such as {kind.name}(pia)")
        usual = field.default_factory()
        inside = [replace(one, **_applicable(type(one), given)) for one in ([usual] if single else usual)]
    if single and len(inside) > 1:
        raise UserError(f"{kind.name} works on one attack, not on {len(inside)}")
    return {field.name: inside[0] if single else tuple(inside)}


def _typed(attack: str, key: str, text: str, annotation: object) -> object:
    """Numbers where the attack declares numbers, text everywhere else; quotes around a text are dropped."""
    value = _literal(text)
    if annotation == "int":
        if not isinstance(value, int) or isinstance(value, bool):
            raise UserError(f"{attack}: {key} takes a whole number, not {cut(text)!r}")
        if abs(value) > (LARGEST_SEED if key == "seed" else MOST):
            raise UserError(f"{attack}: {key}={value} is too many: at most {MOST:,} can be asked for")
        return value
    if annotation == "float":
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{attack}: {key} takes a number, not {cut(text)!r}")
        return float(value)
    if annotation in HELPERS:
        try:
            return HELPERS[annotation].open(str(value))
        except (OSError, ValueError) as error:  # of a name that no file can have
            raise UserError(f"{attack}: {key}={cut(text)!r} cannot be opened ({cut(str(error))})") from None
    unset = value is None and "None" in str(annotation)
    return value if unset or isinstance(value, str) else text


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the latter two for what is too deep
        return text  # a bare word, such as encoder=sface


def _split(text: str) -> Iterator[str]:
    """At commas that stand in no parenthesis and no quotes."""
    depth, quote, start = 0, "", 0
    for i, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "," and depth == 0:
            yield text[start:i]
            start = i + 1
        else:
            depth += (character == "(") - (character == ")")
    yield text[start:]
