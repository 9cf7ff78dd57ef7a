"""One picture -> its row of the inventory: read, decoded, hashed and measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from trainedon.errors import PictureError
from trainedon.pictures.appearance import detail, jpeg_trace, perceptual_hash
from trainedon.pictures.inventory import Item
from trainedon.pictures.pixels.picture import Entry, digest, unpack
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering

CHUNK = 16  # pictures that are handed over at once: few, since one may take seconds
_SHARPNESS_SIDE = 256  # pixels
_LEVELS = np.arange(256) / 255


@dataclass(frozen=True)
class Examination:
    """What is asked of every picture of a set. caption: of all of them; None: what their source says."""

    set_name: str
    caption: str | None = None
    rendering: Rendering = DEFAULT

    def __call__(self, entry: Entry) -> Item:
        """Its row; of a picture that cannot be used with the reason. Raises UserError where its store fails."""
        sha256, label_from = None, None if entry.label is None else entry.label_from
        try:
            data = entry.data()
            sha256 = digest(data)
            rgb, facts = unpack(data, self.rendering)
            caption = entry.caption if self.caption is None else self.caption
        except PictureError as error:
            return Item(entry.name, sha256, self.set_name, entry.label, reason=str(error), label_from=label_from)
        measured: dict[str, Any] = {"alpha": False} | facts | statistics(rgb)
        return Item(entry.name, sha256, self.set_name, entry.label, **measured, caption=caption, label_from=label_from)


class Examiners(Protocol):
    """Who examines pictures: this process, others beside it, or a cluster. The rows are the same."""

    def examined(self, chunks: Iterable[Sequence[Entry]], examine: Examination) -> Iterator[Iterable[Item]]:
        """The rows of each chunk, in the order of the chunks, of which no more are taken than are worked on soon.

        Raises UserError as `Examination` does, and where those who examine cannot be reached.
        """
        ...


def statistics(rgb: np.ndarray) -> dict[str, float | str | None]:
    """Colour statistics from the histogram (exact, and small for a large picture), sharpness, and looks."""
    # first, since each of them holds copies of a large picture while it works
    appearance = {"phash": perceptual_hash(rgb), "jpeg_trace": jpeg_trace(rgb), "detail": detail(rgb)}
    image = Image.fromarray(rgb)
    counts = np.array(image.histogram(), dtype=np.float64).reshape(3, 256)
    pixels = rgb.shape[0] * rgb.shape[1]
    mean = counts @ _LEVELS / pixels
    variance = (counts * (_LEVELS - mean[:, None]) ** 2).sum(axis=1) / pixels
    named = {f"mean_{channel}": float(value) for channel, value in zip("rgb", mean)}
    named |= {f"std_{channel}": float(value) for channel, value in zip("rgb", np.sqrt(variance))}
    return named | {"sharpness": _sharpness(image)} | appearance


def _sharpness(image: Image.Image) -> float:
    grey = image.convert("L")
    longer = max(grey.size)
    if longer > _SHARPNESS_SIDE:
        width, height = (max(1, round(side * _SHARPNESS_SIDE / longer)) for side in grey.size)
        grey = grey.resize((width, height), Image.Resampling.LANCZOS)
    x = np.zeros((grey.height + 2, grey.width + 2))
    x[1:-1, 1:-1] = np.asarray(grey)
    x[0], x[-1], x[:, 0], x[:, -1] = x[1], x[-2], x[:, 1], x[:, -2]  # the edge goes on outside
    laplacian = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]
    return float(laplacian.var())
