"""What this program wrote itself: its pictures were drawn or kept by a run, and are none that anybody asks about."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from trainedon import run_files
from trainedon.errors import PictureError
from trainedon.pictures.pixels.sniffing import Seems

_REMEDY = "give {} by itself if its pictures are meant"
# name of a file that tells of the folder it is in -> how it begins, and what such a folder is
MARKS: dict[str, tuple[re.Pattern[bytes], str]] = {
    run_files.RUN: (
        re.compile(rb'\{\s*"schema_version":\s*\d+,\s*"status":\s*"\w+",\s*"kind":\s*"(?:audit|evaluate)"'),
        "run",
    ),
    run_files.DRAW: (
        re.compile(rb'\{\s*"schema_version":\s*\d+,\s*"secret":\s*"[^"]*",\s*"commitment":\s*"[0-9a-f]{64}"'),
        "draw",
    ),
    run_files.TWINS: (
        re.compile(rb'\{\s*"schema_version":\s*\d+,\s*"secret":\s*"[^"]*",\s*"commitment":\s*"[0-9a-f]{64}"'),
        "twins",
    ),
    "manifest.json": (
        re.compile(rb'\{\s*"seed":\s*-?\d+,\s*"members":\s*\d+,\s*"pictures":\s*\[\s*\{\s*"picture":'),
        "model",
    ),
    "shadows.json": (re.compile(rb'\{\s*"models":\s*\[\s*"\d{3}",'), "shadows"),
}
_KINDS = {
    "run": Seems("run of trainedon", remedy="give the folder that its pictures came from"),
    "draw": Seems("draw of trainedon", remedy=_REMEDY.format("its folder included or held-out")),
    "twins": Seems("folder of twins of trainedon", remedy=_REMEDY.format("its folder publish or kept")),
    "model": Seems("model that trainedon trained", remedy=_REMEDY.format("a folder in it")),
    "shadows": Seems("set of shadow models of trainedon", remedy=_REMEDY.format("a folder in it")),
}
EVIDENCE = run_files.RESTORED  # the folder of a run with what it painted
# whose pictures are not one set, also where they are given as a source
OWN_MIXED = ("own run", "own draw", "own twins")
OWN = tuple(f"own {kind}" for kind in _KINDS)  # what there can be in a folder that this program wrote


def made_here(names: Collection[str], head: Callable[[str], bytes]) -> str | None:
    """What a folder is that this program wrote, begun or finished: one of OWN; None for another one.

    names: of the files in it. head: gives the first bytes of one, or raises PictureError. A folder of somebody else's
    that has a file of such a name is another one.
    """
    for name, (begins, kind) in MARKS.items():
        if name in names:
            try:
                if begins.match(head(name)):
                    return f"own {kind}"
            except PictureError:
                continue
    return None


def seems_own(kind: str) -> Seems:
    """What such a folder is passed over as. kind: as `made_here` gives it."""
    return _KINDS[kind.removeprefix("own ")]
