"""Texts of the command line that name attacks and their parts: short and shallow enough to be read."""

from __future__ import annotations

import re

from trainedon.errors import UserError
from trainedon.redact import without_secrets

LONGEST = 20_000  # letters; all attacks with all their parameters have about 3 000
DEEPEST = 20  # parentheses inside one another
DIGITS = 18  # of a number before its point: more than there is of anything
MOST = 1_000_000  # of what is counted: draws, steps, samples
LARGEST_SEED = 2**63 - 1


def check_spelling(text: str, what: str) -> None:
    """Raises UserError for a text that would take long to read, or whose numbers would."""
    if len(text) > LONGEST:
        raise UserError(f"{what} {cut(without_secrets(text))!r} has {len(text):,} letters: name less at once")
    if without_secrets(text) != text:
        raise UserError(
            f"{what} {cut(without_secrets(text))!r} has a password or a token in it, which a run would keep: "
            "fetch what lies there, and give its path"
        )
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise UserError(f"{what} {cut(text)!r} has parentheses {deepest} deep: {DEEPEST} are read")
    long = re.search(rf"(?<![\w./])\d{{{DIGITS + 2},}}", text)  # a seed has one digit more; a path may have any
    if long is not None:
        raise UserError(f"{what} {cut(text)!r}: the number {cut(long[0])} has more than {DIGITS} digits: give another")


def cut(text: str, most: int = 100) -> str:
    """A text for a message, cut short."""
    return text if len(text) <= most else f"{text[:most]}..."
