"""An extension of griffe: in docstrings, each parameter or field begins a paragraph of its own, its name in bold;
parameters that are not for users are left out.

The package's docstrings say `name: text.` one after another, which reads well beside code and badly on a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import griffe

# at the beginning of a paragraph or sentence; several names may go over a line's end
NAMED = re.compile(r"(?:\A|(?<=\n\n)|(?<=[.;:]\s))((?:\w+,\s+)*\w+):\s+")


def apart(text: str, names: Iterable[str]) -> str:
    """The docstring with `name:` set apart where it is one of these names, or several of them."""
    known = set(names)

    def paragraph(found: re.Match[str]) -> str:
        said = re.split(r",\s+", found[1])
        return f"\n\n**{', '.join(said)}**: " if known.issuperset(said) else found[0]

    return NAMED.sub(paragraph, text)


class Parameters(griffe.Extension):
    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        for name in [parameter.name for parameter in func.parameters if parameter.name.startswith("_")]:
            del func.parameters[name]  # for callers within the package
        if func.docstring is not None:
            func.docstring.value = apart(func.docstring.value, (parameter.name for parameter in func.parameters))

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        if cls.docstring is not None:
            fields = (name for name, member in cls.members.items() if member.is_attribute)
            cls.docstring.value = apart(cls.docstring.value, fields)
