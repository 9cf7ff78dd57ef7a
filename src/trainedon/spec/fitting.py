"""Whether the fields of a dataclass hold what their annotations say, for those who make one in Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from trainedon.errors import UserError
from trainedon.spec.limits import cut
from trainedon.spec.parameters import Parameter, alternatives, parameters

KINDS: dict[Any, tuple[tuple[type, ...], str, str]] = {  # of one, and of several
    NoneType: ((NoneType,), "None", "None"),
    bool: ((bool,), "True or False", "truths"),
    int: ((int,), "a whole number", "whole numbers"),
    float: ((int, float), "a number", "numbers"),
    str: ((str,), "a text", "texts"),
    Path: ((str, Path), "a path", "paths"),
}


def check_fields(made: Any, called: str) -> None:
    """Raises UserError for the first field whose value is of another type. called: the class, as messages call it.

    A list where a tuple is declared becomes one, and so does one value where several may stand.
    """
    for name, parameter in parameters(type(made)).items():
        value = getattr(made, name)
        if not fits(parameter.hint, value) and parameter.many:
            several = tuple(value) if isinstance(value, list) else (value,)
            if fits(parameter.hint, several):
                object.__setattr__(made, name, several)
                continue
        if not fits(parameter.hint, value):
            raise UserError(f"{called}: {name} takes {described(parameter)}, not {shown(value)}")


def fits(hint: Any, value: object) -> bool:
    """Whether a value is of a declared type. What no text can give, such as a model, is not looked at."""
    return any(_is_one(kind, value) for kind in alternatives(hint))


def shown(value: object) -> str:
    """A value for a message, in one line."""
    return cut(" ".join(repr(value).split()), 80)


def _is_one(kind: Any, value: object) -> bool:
    if kind in KINDS:
        return isinstance(value, KINDS[kind][0]) and (kind is bool or not isinstance(value, bool))
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        first, *others = get_args(kind)
        if not isinstance(value, tuple) or (others != [...] and len(value) != 1 + len(others)):
            return False
        return all(map(fits, [first] * len(value) if others == [...] else [first, *others], value))
    if get_origin(kind) is Sequence:
        return isinstance(value, list | tuple) and all(fits(get_args(kind)[0], one) for one in value)
    return not hasattr(kind, "noun") or isinstance(value, kind)


def described(parameter: Parameter) -> str:
    """What a parameter takes, in words."""
    return " or ".join(map(_called, alternatives(parameter.hint)))


def _called(kind: Any, several: bool = False) -> str:
    if kind in KINDS:
        _, one, many = KINDS[kind]
        return many if several else one
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if get_origin(kind) in (tuple, Sequence):
        return f"a {'list' if get_origin(kind) is Sequence else 'tuple'} of {_called(get_args(kind)[0], several=True)}"
    title = str(getattr(getattr(kind, "noun", None), "title", getattr(kind, "__name__", kind)))
    return f"{title}s" if several else f"{'an' if title[0] in 'aeiou' else 'a'} {title}"
