"""Which attacks there are, and how the command line writes one with its parameters."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import entry_points

from trainedon.attacks.attack import Attack
from trainedon.errors import UserError

ENTRY_POINTS = "trainedon.attacks"
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


def parse_attacks(text: str, **given: object) -> list[Attack]:
    """`drc, loss(t=100, draws=2)`, or `all`: attacks with the parameters in parentheses, the others at their defaults.

    given: parameters for every attack that has one of that name and does not say it itself (`seed`).
    Raises UserError for an unknown attack or parameter, and when nothing or one attack twice is named.
    """
    known = attacks()
    specs = [*known] if text.strip() == "all" else [*filter(None, map(str.strip, _split(text)))]
    chosen = [_parse_one(spec, known, given) for spec in specs]
    if not chosen:
        raise UserError(f"no attack is named: choose from {', '.join(known)}, or all")
    for attack in chosen:
        if chosen.count(attack) > 1:
            raise UserError(f"{attack!r} is named twice")
    return chosen


def _parse_one(spec: str, known: dict[str, type[Attack]], given: dict[str, object]) -> Attack:
    name, parenthesis, rest = spec.partition("(")
    name = name.strip()
    if name not in known:
        raise UserError(f"unknown attack {name!r}: choose from {', '.join(known)}, or all")
    if parenthesis and not rest.endswith(")"):
        raise UserError(f"{spec!r}: the closing parenthesis is missing")
    parameters = {field.name: field for field in fields(known[name])}
    arguments = {key: value for key, value in given.items() if key in parameters}
    for part in filter(None, map(str.strip, _split(rest[:-1]))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in parameters:
            raise UserError(
                f"{name} has no parameter {key!r}: it has {', '.join(parameters)} (quote a value with commas)"
            )
        arguments[key] = _typed(name, key, value, parameters[key].type)
    return known[name](**arguments)


def _typed(attack: str, key: str, text: str, annotation: object) -> object:
    """Numbers where the attack declares numbers, text everywhere else; quotes around a text are dropped."""
    value = _literal(text)
    if annotation == "int":
        if not isinstance(value, int) or isinstance(value, bool):
            raise UserError(f"{attack}: {key} takes a whole number, not {text!r}")
        return value
    if annotation == "float":
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{attack}: {key} takes a number, not {text!r}")
        return float(value)
    return value if value is None or isinstance(value, str) else text


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
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
