"""Text -> a value of the type that a parameter declares."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from trainedon.errors import UserError
from trainedon.spec.call import joined
from trainedon.spec.limits import MOST, cut
from trainedon.spec.parameters import alternatives, opens

ReadPart = Callable[[Any, str], Any]  # the base class of a part, its text -> the part


def read(hint: Any, text: str, where: str, part: ReadPart, most: int = MOST) -> Any:
    """The value that `text` says.

    hint: bool, int, float, str, Path, a Literal, a tuple of such (joined by `+`, or `none`), what is opened (see
    `opens`), a part, or a union of these, of which the first that fits is taken. where: the parameter as messages call
    it. most: how large a whole number may be.
    Raises UserError for a text that says no such value, and for a type that no text can give.
    """
    kinds = alternatives(hint)
    if NoneType in kinds and text in ("None", "none"):
        return None
    kinds = tuple(kind for kind in kinds if kind is not NoneType) or kinds
    for kind in kinds[:-1]:
        try:
            return _one(kind, text, where, part, most)
        except UserError:
            continue
    return _one(kinds[-1], text, where, part, most)


def unquoted(text: str) -> str:
    """The text without the quotes around it, if there are any."""
    value = _literal(text) if text[:1] in ("'", '"') else text
    return value if isinstance(value, str) else text


def _one(kind: Any, text: str, where: str, part: ReadPart, most: int) -> Any:
    if get_origin(kind) is tuple:
        return _several(kind, text, where, part, most)
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind), unquoted(text), where)
    if isinstance(kind, type) and hasattr(kind, "noun"):
        return part(kind, unquoted(text))
    if opens(kind):
        return _opened(kind, unquoted(text), where)
    if kind is bool:
        return _truth(text, where)
    if kind in (int, float):
        return _number(kind, text, where, most)
    if kind in (str, Path, Any, object):
        return Path(unquoted(text)) if kind is Path else unquoted(text)
    raise UserError(f"{where} is of type {called(kind)}, which no text can give: make it in Python")


def called(kind: Any) -> str:
    """A type by its name, such as `Colour`; of others what Python shows, such as `list[int]`."""
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def _one_of(values: tuple[Any, ...], text: str, where: str) -> Any:
    """The value of a Literal that is written so."""
    for value in values:
        if str(value) == text:
            return value
    raise UserError(f"{where} is one of {', '.join(map(str, values))}, not {cut(text)!r}")


def _several(kind: Any, text: str, where: str, part: ReadPart, most: int) -> tuple[Any, ...]:
    """What is joined by `+`: any number of one type, or one of each."""
    first, *others = get_args(kind)
    text = unquoted(text)
    pieces = [] if text == "none" else joined(text)
    if others != [...] and len(pieces) != 1 + len(others):
        raise UserError(f"{where} takes {1 + len(others)} values joined by +, not {cut(text)!r}")
    kinds = [first] * len(pieces) if others == [...] else [first, *others]
    try:
        return tuple(_one(one, piece, where, part, most) for one, piece in zip(kinds, pieces, strict=True))
    except UserError as error:
        if first is int:
            raise UserError(f"{where} takes whole numbers joined by +, such as 100+200, not {cut(text)!r}") from None
        raise error


def _truth(text: str, where: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise UserError(f"{where} is true or false, not {cut(text)!r}")
    return text.lower() == "true"


def _number(kind: type, text: str, where: str, most: int) -> int | float:
    value = _literal(text)
    whole = kind is int
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not math.isfinite(value):
        raise UserError(f"{where} takes a {'whole ' if whole else ''}number, not {cut(text)!r}")
    if not whole:
        return float(value)
    if abs(value) > most:
        raise UserError(f"{where}={value} is too many: at most {most:,} can be asked for")
    return int(value)


def _opened(kind: Any, text: str, where: str) -> Any:
    try:
        return kind.open(text)
    except (OSError, ValueError) as error:  # of a name that no file can have
        raise UserError(f"{where}={cut(text)!r} cannot be opened ({cut(str(error))})") from None


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the latter two for what is too deep
        return text
