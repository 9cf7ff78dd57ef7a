"""The way back: a part, or a value of a parameter, -> the text that says it, as `Noun.read` and `read` take it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainedon.spec.arguments import Arguments
from trainedon.spec.call import split
from trainedon.spec.parameters import Parameter, parameters, unnamed

Given = Mapping[str, Any]
# What must stand in quotes: what would be cut up, read as a number or as nothing, or stripped.
SPECIAL = re.compile(r"""[\d.-].*|.*[,;+()'"=\x00-\x1f].*|\s.*|.*\s||none|None""", re.DOTALL)


def spelled(value: Any, given: Given | None = None) -> str:
    """A value as one would write it. given: of a part, as for its `spelled`."""
    if hasattr(value, "noun"):
        return str(value.spelled(given))
    if isinstance(value, tuple):
        return _joined(value)
    if isinstance(value, str | Path):
        return _quoted(str(value)) if SPECIAL.fullmatch(str(value)) else str(value)
    return str(value).replace("e+", "e")  # a plus joins


def of_part(part: Any, given: Given | None = None, *, colon: bool = True) -> str:
    """The name of a part, and what differs from its defaults, or from what is given to all.

    colon: whether what may stand after a colon does.
    """
    kind, noun = type(part), part.noun
    known, alone = parameters(kind), unnamed(kind, noun)
    said = {key: getattr(part, key) for key in _said(part, given or {})}
    texts = {key: spelled(value, given if known[key].is_inside(noun) else None) for key, value in said.items()}
    short = [texts[key] for key in alone[: len(said)] if key in said]
    if colon and said and len(short) == len(said) and _may_follow_a_colon([known[key] for key in said], short):
        return f"{part.name}:{':'.join(short)}"
    inside: list[str] = []
    for key in alone:
        if key not in said or not known[key].is_inside(noun) or said[key] == ():
            break
        values = said[key] if known[key].many else [said[key]]
        inside += [spelled(value, given) for value in values]
        del texts[key]
        if known[key].many:
            break
    inside += [f"{key}={text}" for key, text in texts.items()]
    return f"{part.name}({', '.join(inside)})" if inside else str(part.name)


def _said(part: Any, given: Given) -> list[str]:
    """The parameters that the name alone does not say. What is opened has no text: it is given to all."""
    kind = type(part)
    known = parameters(kind)
    needed = {key: getattr(part, key) for key, one in known.items() if one.required or one.is_opened}
    usual = kind(**{**Arguments(part.noun, kind, given).unsaid(), **needed})
    return [
        key
        for key, one in known.items()
        if not one.is_opened and (one.required or getattr(part, key) != getattr(usual, key))
    ]


def _may_follow_a_colon(said: list[Parameter], texts: list[str]) -> bool:
    return not any(one.is_part for one in said) and not any(":" in text for text in texts[:-1])


def _joined(values: tuple[Any, ...]) -> str:
    """Several joined by `+`, a name that they share said once."""
    texts = [_alone(value, last=value is values[-1]) for value in values]
    heads = ["", *(text[: text.find(":") + 1] for text in texts)]
    short = [
        text[len(head) :] if head and head == before and text[len(head) : len(head) + 1].isdigit() else text
        for text, head, before in zip(texts, heads[1:], heads, strict=False)
    ]
    if len(short) == 1 and short[0][0] in "'\"":  # those around it all are taken off first
        return _quoted(short[0])
    return "+".join(short) or "none"


def _alone(value: Any, *, last: bool) -> str:
    """One of several: in parentheses what is itself joined, or would take the rest."""
    text = spelled(value)
    takes_more = next(split(text, "+")) != text or (not last and getattr(value, "takes_rest", False))
    return of_part(value, colon=False) if takes_more and hasattr(value, "noun") else text


def _quoted(text: str) -> str:
    return repr(text).replace("\\'", "\\x27")
