"""Pictures for the page: decoded, bounded, re-encoded as PNG inside the page itself."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from trainedon.errors import UserError
from trainedon.reading import open_regular

LARGEST = 256  # pixels on the longer side, however few pictures are shown
SMALLEST = 64
PIXEL_BUDGET = 3_500_000  # over all pictures of a page: about 10 MB of PNG when they are photographs
MAX_SOURCE_PIXELS = 16_777_216
SMALL = 96  # up to this side a picture is shown with its pixels as squares
TINT = (214, 84, 42)


@dataclass(frozen=True)
class Figure:
    """One picture of the page: a data URI, its size in pixels, its caption and its alternative text.

    role: what it is among the pictures of its card, such as `original`; empty where it stands alone. place: where it
    lies in full size, seen from the page; empty where it does not.
    """

    uri: str
    width: int
    height: int
    caption: str
    alt: str
    role: str = ""
    place: str = ""

    @property
    def small(self) -> bool:
        """Whether the browser should draw its pixels as squares instead of smoothing them away."""
        return max(self.width, self.height) <= SMALL


def longest_side(pictures: int) -> int:
    """The side, in pixels, that keeps a page of so many pictures within the budget."""
    return int(min(LARGEST, max(SMALLEST, math.sqrt(PIXEL_BUDGET / max(1, pictures)))))


def load(path: Path) -> Image.Image | None:
    """A PNG as RGB, or None when it cannot be read: a damaged evidence file must not cost the reader the page."""
    try:
        with open_regular(path) as stream, Image.open(stream, formats=["PNG"]) as image:
            if image.width * image.height > MAX_SOURCE_PIXELS:
                return None
            return image.convert("RGB")
    except (OSError, UserError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def tinted(original: Image.Image, region: Image.Image) -> Image.Image:
    """The original with the hidden region in colour and the rest faded, so that the region's place is seen."""
    mask = region.convert("L").resize(original.size, Image.Resampling.NEAREST).point(lambda v: 255 if v > 127 else 0)
    kept = Image.blend(original, Image.new("RGB", original.size, "white"), 0.45)
    hidden = Image.blend(original, Image.new("RGB", original.size, TINT), 0.72)
    return Image.composite(hidden, kept, mask)


def figure(image: Image.Image, caption: str, alt: str, side: int, role: str = "", place: str = "") -> Figure:
    """`image` re-encoded as PNG, shrunk when its longer side exceeds `side` pixels (never enlarged)."""
    if max(image.size) > side:
        scale = side / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Figure(uri, image.width, image.height, caption, alt, role, place)
