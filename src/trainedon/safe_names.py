"""Names from elsewhere -> names of files that can be written anywhere, that differ, and that can be read back."""

from __future__ import annotations

import re
from urllib.parse import unquote

_LONGEST = 200  # characters of a part, which most file systems hold in any spelling
# What no file system may be handed: control characters, separators, and what Windows keeps for itself.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|%\ud800-\udfff]')
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)


def safe_name(name: str, taken: set[str] | None = None, suffix: str = "") -> str:
    """A relative path with `/` that stays below the folder it is joined to.

    What cannot stand in it is spelled `%XX` (`original_name` gives it back): a part that is empty or made of dots, a
    leading dot, which would hide the file, and what some systems forbid; longer parts are cut. suffix: put behind it.
    taken: names given so far, in small letters, since some systems do not tell capitals apart; a name that is among
    them gets a number, and the new one is added.
    """
    safe = "/".join(_safe_part(part) for part in name.split("/")) + suffix
    folder, slash, leaf = safe.rpartition("/")
    stem, dot, ending = leaf.rpartition(".") if "." in leaf else (leaf, "", "")
    stem, found, number = folder + slash + stem, safe, 2
    while taken is not None and found.lower() in taken:
        found = f"{stem}~{number}{dot}{ending}"
        number += 1
    if taken is not None:
        taken.add(found.lower())
    return found


def original_name(safe: str) -> str:
    """Undoes the spelling of `safe_name`; a number that told two names apart, and what was cut, cannot be undone."""
    return unquote(safe, errors="surrogateescape")


def _safe_part(part: str) -> str:
    spelled = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in _bytes(found[0])), part)
    if not spelled.strip(". "):
        spelled = "".join(f"%{byte:02X}" for byte in spelled.encode()) or "%00"
    if spelled[0] == "." or _DEVICES.match(spelled):
        spelled = f"%{ord(spelled[0]):02X}{spelled[1:]}"
    if spelled[-1] in ". ":  # which Windows drops
        spelled = f"{spelled[:-1]}%{ord(spelled[-1]):02X}"
    return spelled if len(spelled) <= _LONGEST else f"{spelled[: _LONGEST // 2]}~{spelled[-_LONGEST // 2 + 1 :]}"


def _bytes(character: str) -> bytes:
    return character.encode("utf-8", "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass")
