"""The parser: `NAME(ARGUMENTS)`, or for short `NAME:VALUES`, one level at a time.

What stands inside stays text until it is known what it is for, because a path or a caption may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from trainedon.errors import UserError
from trainedon.spec.limits import cut

BEFORE_QUOTES = ("", "(", ",", "=", ":", "+", ";")  # after anything else, ' is an apostrophe


@dataclass(frozen=True)
class Call:
    """A name and what it is given. colon: whether that stood after a colon, not in parentheses."""

    name: str
    inside: str = ""
    colon: bool = False

    @classmethod
    def of(cls, text: str) -> Call:
        """Raises UserError for parentheses that do not close, and for what stands after them."""
        text = text.strip()
        name, mark, rest = re.fullmatch(r"([^(:]*)([(:]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
        if mark != "(":
            return cls(name.strip(), rest.strip(), colon=mark == ":")
        close = next((place for place, sign, depth in _unquoted(text) if sign == ")" and depth == 0), None)
        if close is None:
            raise UserError(f"{cut(text)!r}: the closing parenthesis is missing")
        if text[close + 1 :].strip():
            after = cut(text[close + 1 :].strip(), 40)
            raise UserError(
                f"{cut(text)!r}: {after!r} stands after the closing parenthesis: take it away, or put a comma between"
            )
        return cls(name.strip(), text[len(name) + 1 : close])

    def arguments(self, unnamed: Sequence[str]) -> Iterator[tuple[str | None, str]]:
        """Pairs of name and text; the name is None where none is said.

        unnamed: parameters that are given without their names. After a colon these stand, parted by further colons, the
        last one taking the rest as it is; where there are none, what stands there is as in parentheses.
        """
        if self.colon and unnamed:
            yield from ((None, text.strip()) for text in self.inside.split(":", len(unnamed) - 1))
            return
        for text in filter(None, map(str.strip, split(self.inside, ","))):
            said = re.fullmatch(r"([^\W\d]\w*)\s*=(.*)", text, re.DOTALL)
            yield (said[1], said[2].strip()) if said else (None, text)


def split(text: str, at: str, *, nested: bool = False) -> Iterator[str]:
    """The pieces between all `at` that stand in no quotes, and, unless `nested`, in no parentheses."""
    start = 0
    for place, sign, depth in _unquoted(text):
        if sign == at and (nested or depth == 0):
            yield text[start:place]
            start = place + 1
    yield text[start:]


def names(text: str) -> list[str]:
    """The names in a list such as `drc, loss(t=100)`. Raises UserError for parentheses that do not close."""
    return [Call.of(one).name for one in split(text, ",") if one.strip()]


def joined(text: str, whole: Collection[str] = ()) -> list[str]:
    """The pieces of a text that are joined by `+` outside quotes and parentheses.

    A number alone goes on with the name before it: `diffuse:50+100` is `diffuse:50`, `diffuse:100`. whole: names after
    whose colon all of the rest stands, such as a path, which may hold a `+` itself.
    """
    pieces: list[str] = []
    rest: str | None = text
    while rest is not None:
        piece = next(split(rest, "+"))
        name, colon, _ = piece.partition(":")
        if colon and name.strip() in whole:
            piece = rest
        rest = rest[len(piece) + 1 :] if len(piece) < len(rest) else None
        before, colon, _ = pieces[-1].partition(":") if pieces else ("", "", "")
        piece = piece.strip()
        pieces.append(f"{before}:{piece}" if colon and re.match(r"[\d.]", piece) else piece)
    return pieces


def _unquoted(text: str) -> Iterator[tuple[int, str, int]]:
    """Place, sign, and depth in parentheses, of what stands in no quotes; a parenthesis has the depth around it."""
    depth, quote, before = 0, "", ""
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"" and before in BEFORE_QUOTES and sign in text[place + 1 :]:
            quote = sign
        else:
            depth -= sign == ")"
            yield place, sign, depth
            depth += sign == "("
        before = before if sign.isspace() else sign
