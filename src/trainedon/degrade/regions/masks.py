"""Regions that a person has drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from trainedon.degrade.regions.region import NOTHING, Roi, Seen
from trainedon.errors import PictureError, UserError
from trainedon.spec import register

if TYPE_CHECKING:
    from trainedon.pictures import Batch, Entry

WHITE = 128  # a mask file hides what is at least this bright, of 255


@register
@dataclass(frozen=True)
class MaskFolder(Roi):
    """Masks drawn by hand: for `a/b.jpg` the picture `a/b.jpg` or `a/b.png` (any format) below `path`; white = hidden.

    A mask is cropped and resized (nearest) like its picture. One that hides nothing, or is missing, is a UserError.
    """

    path: str | Path

    name: ClassVar[str] = "masks"
    unnamed: ClassVar[tuple[str, ...]] = ("path",)
    takes_rest: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", str(self.path))

    def check_installed(self) -> None:
        if not self.path or not Path(self.path).is_dir():
            raise UserError(f"{self.path} is not a folder: give the folder that holds the masks, as masks:PATH")

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        from trainedon.pictures import scan

        entries: dict[str, Entry] = {}
        for entry in scan(self.path):
            entries.setdefault(entry.name, entry)
            entries.setdefault(_stem(entry.name), entry)
        return entries

    def mask(self, batch: Batch, seen: Seen = NOTHING) -> torch.Tensor:
        if batch.names is None:
            raise UserError("a folder of masks needs pictures with names: choose another region")
        size = (batch.pixels.shape[2], batch.pixels.shape[3])
        return torch.stack([self._read(name, size) for name in batch.names]).to(batch.pixels.device)

    def _read(self, name: str, size: tuple[int, int]) -> torch.Tensor:
        entry = self._entries.get(name)
        if entry is None and "#" not in name:  # a row of an array file (file.npz#12) has no suffix to drop
            entry = self._entries.get(_stem(name))
        if entry is None:
            raise UserError(f"{self.path} holds no mask for {name}: add {name} (white = hidden)")
        try:
            rgb = entry.read().rgb
        except PictureError as error:
            raise UserError(f"the mask {entry.name} in {self.path} cannot be read: {error}") from None
        mask = torch.from_numpy(_nearest(rgb.mean(axis=2) >= WHITE, size))
        if not mask.any():
            raise UserError(f"the mask {entry.name} in {self.path} hides nothing: paint the part to hide white")
        return mask


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The centre of `mask` with the shape of `size`, nearest pixels: bool (h0, w0) -> bool (h, w)."""
    step = min(mask.shape[0] / size[0], mask.shape[1] / size[1])  # mask pixels a picture pixel, the shorter side's
    y, x = ((whole - step * side) / 2 + step * (np.arange(side) + 0.5) for whole, side in zip(mask.shape, size))
    return mask[np.ix_(y.astype(int), x.astype(int))]
