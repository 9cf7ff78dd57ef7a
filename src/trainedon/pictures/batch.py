"""Pictures brought to a model's size, many at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from trainedon.condition import UNCONDITIONAL, Captions, Classes, Condition
from trainedon.pictures.pixels.picture import Picture
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering

if TYPE_CHECKING:
    from trainedon.targets import Target

ROUNDING = 2.01 / 127.5  # two levels: columns and rows are rounded one after the other
SMOOTH = ("lanczos", "bicubic", "bilinear")  # filters without edges
VIEWS = {"mirror": (-1,), "upside-down": (-2,), "half-turn": (-1, -2)}  # the axes of (c, h, w) that are reversed


def fit(rgb: np.ndarray, size: tuple[int, int], channels: int, rendering: Rendering = DEFAULT) -> torch.Tensor:
    """Bring a picture to a model's size as `rendering` says, and scale it to [-1, 1].

    rgb: uint8 (h, w, 3) in [0, 255]. size: (height, width) in pixels. channels: 3, or 1 for grey (ITU-R 601 luma).
    Returns float32 (channels, height, width).
    crop: resized until it just covers `size`, the centre cut out; rounded like torchvision's Resize and CenterCrop for
    a square. squash: both sides resized. pad: resized until it just fits in, centred on black, as PIL's ImageOps.pad.
    A picture that has the size already is passed on exactly: x / 127.5 - 1, nothing else.
    Raises ValueError for another shape, dtype or number of channels.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"need uint8 (h, w, 3), got {rgb.dtype} {rgb.shape}")
    if channels not in (1, 3):
        raise ValueError(f"need 1 or 3 channels, got {channels}")
    image = Image.fromarray(rgb)
    if channels == 1:
        image = image.convert("L")
    height, width = size
    resample = Image.Resampling[rendering.resample.upper()]
    if rendering.fit == "pad":
        image = _padded(image, width, height, resample)
    else:
        whole = (0, 0, image.width, image.height)
        box = _centre_box(image.width, image.height, width, height) if rendering.fit == "crop" else whole
        image = image.resize((width, height), resample, box=box)
    values = np.asarray(image, dtype=np.float32)
    return from_levels(values.reshape(height, width, channels).transpose(2, 0, 1))


def reads_alike(
    width: int, height: int, size: tuple[int, int], rendering: Rendering = DEFAULT, view: str = "mirror"
) -> bool:
    """Whether `fit` surely reads such a picture in a view, one of VIEWS, as what it reads in that view, up to rounding
    (two levels of 255).

    Not where an odd number of columns or rows is cut off or filled in, of which one side has one more (torchvision and
    PIL do the same, so that models were trained on it), and not by filters for which one can lie on an edge.
    """
    own, to = (width, height), (size[1], size[0])
    resized = {"crop": _covering(*own, *to), "pad": _inside(*own, *to), "squash": to}[rendering.fit]
    lengths = zip(own, resized, to, strict=True)
    alike = [
        (rendering.resample in SMOOTH or before == end) and (after - end) % 2 == 0 for before, after, end in lengths
    ]
    return all(alike[-1 - axis] for axis in VIEWS[view])


def _inside(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int]:
    """Width and height of the whole picture resized until it just fits in."""
    scale = min(to_width / width, to_height / height)
    return max(1, min(to_width, round(width * scale))), max(1, min(to_height, round(height * scale)))


def _padded(image: Image.Image, width: int, height: int, resample: Image.Resampling) -> Image.Image:
    """The whole picture between black bars."""
    size = _inside(image.width, image.height, width, height)
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image.resize(size, resample), (round((width - size[0]) / 2), round((height - size[1]) / 2)))
    return canvas


def from_levels(levels: np.ndarray) -> torch.Tensor:
    """8-bit levels 0..255 of any shape and number type -> float32 in [-1, 1]: x / 127.5 - 1."""
    return torch.from_numpy((levels.astype(np.float32) / np.float32(127.5) - np.float32(1)).copy())


def to_levels(pixels: torch.Tensor) -> np.ndarray:
    """float32 in [-1, 1], or clamped to it -> uint8 of the same shape, rounded; undoes `from_levels` exactly."""
    return ((pixels.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


def _centre_box(width: int, height: int, to_width: int, to_height: int) -> tuple[float, float, float, float]:
    """The part of the picture, in its own pixels, that the centre crop of the resized picture shows.

    Resizing that part alone gives the same pixels, and a picture of 1 x 1 000 000 is never blown up as a whole.
    """
    new_width, new_height = _covering(width, height, to_width, to_height)
    left, top = round((new_width - to_width) / 2), round((new_height - to_height) / 2)
    x, y = width / new_width, height / new_height
    return left * x, top * y, min((left + to_width) * x, width), min((top + to_height) * y, height)


def _covering(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int]:
    """Width and height of the whole picture resized until it just covers."""
    if width * to_height <= height * to_width:  # the width decides
        return to_width, max(to_height, to_width * height // width)
    return max(to_width, to_height * width // height), to_height


def _read_in(
    view: str, rgb: np.ndarray, own: torch.Tensor, size: tuple[int, int], channels: int, rendering: Rendering
) -> torch.Tensor:
    """What `fit` makes of a picture in a view, turned back; `own`, what it makes of the picture, where that is the same
    up to rounding."""
    axes = VIEWS[view]
    if reads_alike(rgb.shape[1], rgb.shape[0], size, rendering, view):
        return own
    turned = np.ascontiguousarray(np.flip(rgb, tuple(axis + 2 for axis in axes)))
    other = fit(turned, size, channels, rendering).flip(axes)
    return own if float((other - own).abs().max()) <= ROUNDING else other


@dataclass(frozen=True)
class Batch:
    """Pictures as a model sees them.

    pixels: float32 (n, c, h, w) in [-1, 1].
    sha256: n hex digests, the keys of the pictures' noise.
    labels: their classes, int64 (n,), or None when the pictures have none.
    names: n relative names, or None for pictures that come from no file.
    captions: n captions, None for a picture without; None when no picture has one.
    turned_first: pixels as the files are read that hold the pictures in a view, one of VIEWS, turned back; without the
    views in which that is the same in every row.
    condition: what a model is conditioned on. When it is not given, attacks set it to the labels or captions, as the
    model takes them (`Target.condition_of`).
    """

    pixels: torch.Tensor
    sha256: tuple[str, ...]
    labels: torch.Tensor | None = None
    names: tuple[str, ...] | None = None
    captions: tuple[str | None, ...] | None = None
    condition: Condition = UNCONDITIONAL
    turned_first: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != torch.float32:
            raise ValueError(f"need float32 (n, c, h, w), got {self.pixels.dtype} {tuple(self.pixels.shape)}")
        if len(self.sha256) != len(self.pixels):
            raise ValueError(f"{len(self.pixels)} pictures but {len(self.sha256)} digests")
        if self.labels is not None and (self.labels.shape != self.pixels.shape[:1] or self.labels.dtype != torch.int64):
            raise ValueError(
                f"need int64 ({len(self.pixels)},) labels, got {self.labels.dtype} {tuple(self.labels.shape)}"
            )
        if isinstance(self.condition, Classes | Captions) and len(self.condition) != len(self.pixels):
            raise ValueError(f"{len(self.pixels)} pictures but a condition of {len(self.condition)} rows")
        if self.captions is not None and len(self.captions) != len(self.pixels):
            raise ValueError(f"{len(self.pixels)} pictures but {len(self.captions)} captions")

    @classmethod
    def of(cls, pixels: torch.Tensor, labels: torch.Tensor | None = None) -> Batch:
        """A batch of tensors that come from no file: each row's digest is that of its float32 bytes in C order."""
        rows = pixels.detach().cpu().contiguous()
        return cls(pixels, tuple(hashlib.sha256(row.numpy().tobytes()).hexdigest() for row in rows), labels)

    @classmethod
    def from_pictures(
        cls,
        pictures: Sequence[Picture],
        size: tuple[int, int],
        channels: int,
        rendering: Rendering = DEFAULT,
        views: Iterable[str] = tuple(VIEWS),
    ) -> Batch:
        """Decoded pictures (one or more), each brought to (height, width) by `fit`; labels only if all have one,
        captions if any has. rendering: the one with which they were decoded. views: those that scores will be taken off
        for; each one that moves places costs reading some pictures once more."""
        labels = [picture.label for picture in pictures]
        captions = tuple(picture.caption for picture in pictures)
        rows = [fit(picture.rgb, size, channels, rendering) for picture in pictures]
        turned = {}
        for view in VIEWS.keys() & {*views}:
            others = [
                _read_in(view, picture.rgb, own, size, channels, rendering)
                for picture, own in zip(pictures, rows, strict=True)
            ]
            if any(other is not own for other, own in zip(others, rows, strict=True)):
                turned[view] = torch.stack(others)
        return cls(
            torch.stack(rows),
            tuple(picture.sha256 for picture in pictures),
            None if None in labels else torch.tensor(labels, dtype=torch.int64),
            tuple(picture.name for picture in pictures),
            None if all(caption is None for caption in captions) else captions,
            turned_first=turned,
        )

    def for_view(self, view: str) -> Batch:
        """What the model conjugated by that view is to be shown, so that a file and its view are treated alike."""
        other = self.turned_first.get(view)
        return self if other is None else replace(self, pixels=other.to(self.pixels.device), turned_first={})

    def __len__(self) -> int:
        return len(self.sha256)

    def __getitem__(self, rows: slice) -> Batch:
        """The rows of a slice, as a batch."""
        if not isinstance(rows, slice):
            raise TypeError("a batch is cut by slices: batch[a:b]")
        return self.take(range(*rows.indices(len(self))))

    def take(self, rows: Sequence[int]) -> Batch:
        """Some rows, as a batch."""
        rows = list(rows)
        return Batch(
            self.pixels[rows],
            tuple(self.sha256[i] for i in rows),
            None if self.labels is None else self.labels[rows],
            None if self.names is None else tuple(self.names[i] for i in rows),
            None if self.captions is None else tuple(self.captions[i] for i in rows),
            self.condition[rows],
            {view: pixels[rows] for view, pixels in self.turned_first.items()},
        )


def load_pictures(path: str | Path, target: Target, limit: int | None = None, rendering: Rendering = DEFAULT) -> Batch:
    """All pictures of a source that `scan` reads, at the target's size, in memory at once.

    Raises PictureError for one that cannot be used, UserError when there is none.
    """
    from trainedon.pictures.sources import scan  # and with it Arrow, which attacks alone do not need

    pictures = [entry.read(rendering) for entry in scan(path, limit)]
    return Batch.from_pictures(pictures, target.picture[1:], target.picture[0], rendering)
