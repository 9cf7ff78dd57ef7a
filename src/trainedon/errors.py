"""Errors that a person can act on."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Bad input. The message is one line that says what is wrong and what to do; the command line exits with 2."""


class PartError(Exception):
    """A part, such as an attack, answered what it must not; whose package is to blame is told by its class."""

    def __init__(self, part: object, what: str) -> None:
        super().__init__(what)
        self.module = type(part).__module__


class PictureError(Exception):
    """One picture cannot be used. The message is the reason, recorded beside the picture's name."""


def meant(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` where a known word is much like this one, and nothing elsewhere: for the messages above."""
    squeezed = {_squeezed(one): one for one in known}
    close = get_close_matches(_squeezed(word), squeezed, n=1, cutoff=0.7)
    return f" (did you mean {squeezed[close[0]]}?)" if close else ""


def _squeezed(word: str) -> str:
    return "".join(filter(str.isalnum, word.lower()))
