"""What the parameters of a part mean: one grammar for the docstrings of classes, `name: what it is.`"""

from __future__ import annotations

import re
from typing import Any

from trainedon.spec.parameters import parameters

# Parameters that mean the same wherever they stand.
COMMON = {
    "seed": "what fixes every random choice; another seed draws other noise. Any whole number.",
    "attack": "the attack inside, around which this one works: any other attack, with its own parameters.",
    "attacks": "the attacks inside, whose scores are joined: any others, separated by commas.",
    "shadows": "a folder of shadow models, which the option --shadows gives (`trainedon train --shadows` makes them).",
    "reference": "a model that saw none of the pictures, which the option --reference gives.",
    "control": "a model that cannot have seen any of the pictures, which the option --control gives.",
}


def meanings(maker: Any) -> dict[str, str]:
    """Parameter -> what it means, for those of a class or a function of which anything is said: in its docstring, in
    that of a class from which it derives, or in COMMON."""
    known = parameters(maker)
    found: dict[str, str] = {}
    for one in getattr(maker, "__mro__", (maker,)):
        if one is not object:
            found = _said(one.__dict__.get("__doc__") if isinstance(one, type) else one.__doc__, [*known]) | found
    return {name: found.get(name, COMMON.get(name, "")) for name in known if name in found or name in COMMON}


def _said(doc: str | None, names: list[str]) -> dict[str, str]:
    """`name: text` or `name, name: text`, up to the next of these or the end of the paragraph."""
    if not names:
        return {}
    any_name = "|".join(map(re.escape, names))
    begin = rf"(?<![\w`])((?:{any_name})(?:, (?:{any_name}))*): "
    found: dict[str, str] = {}
    for paragraph in re.split(r"\n\s*\n", doc or ""):
        text = " ".join(paragraph.split())
        marks = [
            one for one in re.finditer(begin, text) if one.start() == 0 or text[: one.start()].endswith((". ", ") "))
        ]
        ends = [one.start() for one in marks[1:]] + [len(text)]
        for mark, end in zip(marks, ends):
            found |= {name: text[mark.end() : end].strip() for name in mark[1].split(", ")}
    return found
