"""One picture, and the promise of one: an entry is listed at once and read when its turn comes."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainedon.errors import PictureError
from trainedon.pictures.pixels.apart import decode_safely
from trainedon.pictures.pixels.decoding import check_pixels
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering

Facts = dict[str, int | float | str]

MAX_ROWS = 5_000_000  # of a table, whose list of entries is held in memory


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    name: path below the folder with `/`, or the name that a table or tar gives, or `file.npz#12`.
    sha256: hex digest of the file's bytes; for a row of an array, of the row's bytes in C order.
    rgb: uint8 (h, w, 3) in [0, 255].
    facts: `format`, `mode`, `width`, `height` (pixels), `bytes`; `alpha` and `orientation` where there is something to
    tell, as `decode` has them.
    label: class number, or None. caption: one paragraph, or None.
    """

    name: str
    sha256: str
    rgb: np.ndarray
    facts: Facts
    label: int | None
    caption: str | None = None


class Entry(ABC):
    """Something that can be read as a picture, each time anew: small, and the same in another process."""

    __slots__ = ()
    name: str
    label: int | None
    label_from: ClassVar[str] = "given"  # where a label comes from; `folders`: it is the number of the file's folder

    @abstractmethod
    def data(self) -> bytes | np.ndarray:
        """The stored form: a file's bytes, or an array uint8 (h, w) or (h, w, c). Raises PictureError."""

    @property
    def caption(self) -> str | None:
        """What the picture is called in words, read where it lies. Raises PictureError where it cannot be used."""
        return None

    @property
    def source(self) -> str | None:
        """Whose work the picture is, where a table says it."""
        return None

    @property
    def shared(self) -> bool:
        """Whether another process on this machine reads the same, at no greater cost."""
        return False

    @property
    def worded(self) -> bool:
        """Whether it has a file of its own for its caption, which may be blank."""
        return False

    def read(self, rendering: Rendering = DEFAULT) -> Picture:
        """Read and decode. Raises PictureError with a short reason when the picture cannot be used."""
        data = self.data()
        rgb, facts = unpack(data, rendering)
        return Picture(self.name, digest(data), rgb, facts, self.label, self.caption)


def digest(data: bytes | np.ndarray) -> str:
    """sha256, hex, of the bytes (of an array: in C order)."""
    return hashlib.sha256(data if isinstance(data, bytes) else data.tobytes()).hexdigest()


def unpack(data: bytes | np.ndarray, rendering: Rendering = DEFAULT) -> tuple[np.ndarray, Facts]:
    """rgb uint8 (h, w, 3) and facts, of a file's bytes or of an array uint8 (h, w), (h, w, 1), (h, w, 3) or (h, w, 4).

    Raises PictureError.
    """
    if isinstance(data, bytes):
        return decode_safely(data, rendering)
    height, width = data.shape[:2]
    check_pixels(width, height)
    values = data.reshape(height, width, -1)
    channels = values.shape[2]
    if channels not in (1, 3, 4):
        raise PictureError(f"{channels} channels; 1, 3 or 4 can be used")
    rgb = np.repeat(values, 3, axis=2) if channels == 1 else values[..., :3].copy()
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    facts = {"format": "NPZ", "mode": mode, "width": width, "height": height, "bytes": data.nbytes}
    if channels == 4:
        facts |= {"alpha": True} if (values[..., 3] < 255).any() else {}
        rgb = _flattened(rgb, values[..., 3:], rendering.settled.alpha)
    return rgb, facts


def _flattened(rgb: np.ndarray, alpha: np.ndarray, on: str) -> np.ndarray:
    """Flattened on white or black, in exact integers, or with transparency left out; alpha: uint8 (h, w, 1)."""
    if on == "drop":
        return rgb
    alpha = alpha.astype(np.uint32)
    behind = 255 if on == "white" else 0
    blended: np.ndarray = (rgb * alpha + behind * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)
