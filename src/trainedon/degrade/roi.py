"""Regions of interest: which part of a picture is hidden from the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import torch

from trainedon.degrade import places
from trainedon.degrade.faces import check_face_package, find_faces
from trainedon.degrade.vision import cls_attention
from trainedon.errors import PictureError, UserError
from trainedon.noise import generator

if TYPE_CHECKING:
    from trainedon.pictures import Batch, Entry
    from trainedon.targets import Target

ROIS = (
    "attention[:RATIO[:DINO]], words[:RATIO], face[:RATIO], center[:RATIO], random[:RATIO], quadrant:0..3, full, "
    "masks:DIR, inverted(ANY OF THEM); several joined by +, hidden one after another; quadrants, cover, tiles:N, "
    "ranked:K for such"
)
Ask = tuple[int, bool]  # a timestep, and whether it is the attention that places pay to the caption's words
MOST_TILES = 64  # of a side
WHITE = 128  # a mask file hides what is at least this bright, of 255


class Roi(ABC):
    """A rule that says which part of a picture is hidden. A function of the picture (and the model) alone."""

    @abstractmethod
    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        """True = hidden. Returns bool (n, h, w) on the device of `batch.pixels`, shaped like the pictures."""

    def masks(self, target: Target, batch: Batch) -> list[torch.Tensor]:
        """The mask of each of `parts`; the audited network is asked for its attention once for all of them."""
        seen = {ask: own_attention(target, batch, *ask) for ask in self._asks()}
        return [roi._by(target, batch, seen) for roi in self.parts]

    def _asks(self) -> tuple[Ask, ...]:
        """For which attention the audited network is asked, each once."""
        return ()

    def _by(self, target: Target, batch: Batch, seen: dict[Ask, torch.Tensor]) -> torch.Tensor:
        """`mask`, given each attention (n, h, w) that is asked for."""
        return self.mask(target, batch)

    @property
    def parts(self) -> tuple[Roi, ...]:
        """The regions that are hidden one after another, each on its own: mostly just this one."""
        return (self,)

    def check(self, target: Target) -> None:
        """Raises UserError when the target lacks what the region is chosen by; evaluates nothing."""
        for roi in self.parts:
            if roi is not self:
                roi.check(target)

    def evaluations(self, target: Target) -> int:
        """Evaluations of the audited network that finding the region costs, per picture."""
        return len(self._asks())

    def notes(self, batch: Batch) -> tuple[str, ...]:
        """What a reader should know of each picture's region, n texts, mostly empty."""
        return ("",) * len(batch)


@dataclass(frozen=True)
class Attention(Roi):
    """The places that draw most attention (Fu et al., arXiv 2403.08487, mask by attention).

    ratio: hidden share of the picture. source: "own" = the self-attention of the audited model for the noise-free
    picture at timestep `t`; otherwise the folder or hub id of a DINO vision transformer, whose CLS token is asked.
    """

    ratio: float = 0.25
    source: str = "own"
    t: int = 100

    def __post_init__(self) -> None:
        places.check_ratio(self.ratio)

    def check(self, target: Target) -> None:
        if self.source == "own":
            check_attends(target)

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        """Raises UserError when the audited model is asked and has no self-attention."""
        return self.masks(target, batch)[0]

    def _asks(self) -> tuple[Ask, ...]:
        return ((self.t, False),) if self.source == "own" else ()

    def _by(self, target: Target, batch: Batch, seen: dict[Ask, torch.Tensor]) -> torch.Tensor:
        saliency = seen[self._asks()[0]] if self._asks() else cls_attention(self.source, batch.pixels)
        return places.salient(saliency, self.ratio).to(batch.pixels.device)


@dataclass(frozen=True)
class Words(Roi):
    """The places that pay most attention to the words of the caption: what a text-to-image model takes it to name.

    ratio, t: as for `Attention`. Where a caption has no words, the places that draw most attention.
    """

    ratio: float = 0.25
    t: int = Attention.t

    def __post_init__(self) -> None:
        places.check_ratio(self.ratio)

    def check(self, target: Target) -> None:
        check_attends(target)
        if target.conditioning != "caption":
            raise UserError("the model takes no captions, whose words a region could be chosen by: take attention")

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        """Raises UserError when the audited model takes no captions."""
        return self.masks(target, batch)[0]

    def _asks(self) -> tuple[Ask, ...]:
        return (self.t, True), (self.t, False)

    def _by(self, target: Target, batch: Batch, seen: dict[Ask, torch.Tensor]) -> torch.Tensor:
        paid, received = seen[self.t, True], seen[self.t, False]
        saliency = torch.where(paid.isnan(), received, paid)
        return places.salient(saliency, self.ratio).to(batch.pixels.device)


@dataclass(frozen=True)
class Face(Roi):
    """An ellipse over the largest face (YuNet), grown or shrunk to `ratio`; the centre where no face is found."""

    ratio: float = 0.25

    def __post_init__(self) -> None:
        places.check_ratio(self.ratio)

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        h, w = batch.pixels.shape[2:]
        middle = places.center(h, w, self.ratio)
        faces = find_faces(batch.pixels)
        masks = [middle if face is None else places.ellipse(h, w, face.box, self.ratio) for face in faces]
        return torch.stack(masks).to(batch.pixels.device)

    def notes(self, batch: Batch) -> tuple[str, ...]:
        missing = "no face was found, so the centre is hidden instead"
        return tuple(missing if face is None else "" for face in find_faces(batch.pixels))


@dataclass(frozen=True)
class Center(Roi):
    """A square in the middle, of `ratio` of the picture."""

    ratio: float = 0.25

    def __post_init__(self) -> None:
        places.check_ratio(self.ratio)

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        return _same(batch, places.center(*batch.pixels.shape[2:], self.ratio))


@dataclass(frozen=True)
class Random(Roi):
    """A rectangle of random place and shape, of `ratio` of the picture: a function of its digest and `seed`."""

    ratio: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        places.check_ratio(self.ratio)

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        h, w = batch.pixels.shape[2:]
        keys = (generator("random region", digest, self.seed) for digest in batch.sha256)
        return torch.stack([places.rectangle(h, w, self.ratio, key) for key in keys]).to(batch.pixels.device)


@dataclass(frozen=True)
class Quadrant(Roi):
    """One quarter: 0 upper left, 1 upper right, 2 lower left, 3 lower right. The four cover a picture once."""

    k: int

    def __post_init__(self) -> None:
        if self.k not in range(4):
            raise UserError(f"quadrant:{self.k} does not exist: choose 0, 1, 2 or 3")

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        h, w = batch.pixels.shape[2:]
        lower = (torch.arange(h) >= h // 2).view(-1, 1)
        right = (torch.arange(w) >= w // 2).view(1, -1)
        return _same(batch, (lower == bool(self.k & 2)) & (right == bool(self.k & 1)))


@dataclass(frozen=True)
class Tile(Roi):
    """One of `n` x `n` equal parts, the k-th in reading order."""

    k: int
    n: int

    def __post_init__(self) -> None:
        if not (self.n >= 1 and 0 <= self.k < self.n**2):
            raise UserError(f"tile {self.k} of {self.n} x {self.n} does not exist")

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        return _same(batch, places.tiles(*batch.pixels.shape[2:], self.n) == self.k)


@dataclass(frozen=True)
class Ranked(Roi):
    """Of `n` x `n` equal parts the one that draws the `rank`-th most of the audited model's attention, 0 the most."""

    rank: int
    n: int = 4
    t: int = Attention.t

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.n**2:
            raise UserError(f"ranked: there are {self.n**2} parts to rank: choose from 1 to as many")

    def check(self, target: Target) -> None:
        check_attends(target)

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        """Raises UserError when the audited model has no self-attention."""
        return self.masks(target, batch)[0]

    def _asks(self) -> tuple[Ask, ...]:
        return ((self.t, False),)

    def _by(self, target: Target, batch: Batch, seen: dict[Ask, torch.Tensor]) -> torch.Tensor:
        saliency = seen[self.t, False]
        numbers = places.tiles(*batch.pixels.shape[2:], self.n).to(saliency.device)  # (h, w)
        drawn = torch.stack([saliency[:, numbers == k].mean(1) for k in range(self.n**2)], dim=1)
        chosen = drawn.cpu().sort(dim=1, descending=True, stable=True).indices[:, self.rank].to(saliency.device)
        return (numbers == chosen[:, None, None]).to(batch.pixels.device)


@dataclass(frozen=True)
class Full(Roi):
    """The whole picture: the model is given nothing of it."""

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        return _same(batch, torch.ones(batch.pixels.shape[2:], dtype=torch.bool))


@dataclass(frozen=True)
class MaskFolder(Roi):
    """Masks drawn by hand: for `a/b.jpg` the picture `a/b.jpg` or `a/b.png` (any format) below `path`; white = hidden.

    A mask is cropped and resized (nearest) like its picture. One that hides nothing, or is missing, is a UserError.
    """

    path: str | Path

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        from trainedon.pictures import scan

        entries: dict[str, Entry] = {}
        for entry in scan(self.path):
            entries.setdefault(entry.name, entry)
            entries.setdefault(_stem(entry.name), entry)
        return entries

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        if batch.names is None:
            raise UserError("a folder of masks needs pictures with names: choose another region")
        size = tuple(batch.pixels.shape[2:])
        return torch.stack([self._read(name, size) for name in batch.names]).to(batch.pixels.device)

    def _read(self, name: str, size: tuple[int, int]) -> torch.Tensor:
        # a row of an array file (file.npz#12) has no suffix to drop
        entry = self._entries.get(name) or ("#" not in name and self._entries.get(_stem(name)))
        if not entry:
            raise UserError(f"{self.path} holds no mask for {name}: add {name} (white = hidden)")
        try:
            rgb = entry.read().rgb
        except PictureError as error:
            raise UserError(f"the mask {entry.name} in {self.path} cannot be read: {error}") from None
        mask = torch.from_numpy(_nearest(rgb.mean(axis=2) >= WHITE, size))
        if not mask.any():
            raise UserError(f"the mask {entry.name} in {self.path} hides nothing: paint the part to hide white")
        return mask


@dataclass(frozen=True)
class Inverted(Roi):
    """Everything but the region of another rule: tells what the model remembers of the surroundings."""

    roi: Roi

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        return self._turned(self.roi.mask(target, batch))

    def _asks(self) -> tuple[Ask, ...]:
        return self.roi._asks()

    def _by(self, target: Target, batch: Batch, seen: dict[Ask, torch.Tensor]) -> torch.Tensor:
        return self._turned(self.roi._by(target, batch, seen))

    def _turned(self, inside: torch.Tensor) -> torch.Tensor:
        mask = ~inside
        if not mask.flatten(1).any(dim=1).all():
            raise UserError(f"{self} hides nothing: choose a region that leaves a part of the picture")
        return mask

    def check(self, target: Target) -> None:
        self.roi.check(target)

    def notes(self, batch: Batch) -> tuple[str, ...]:
        return self.roi.notes(batch)


@dataclass(frozen=True)
class Several(Roi):
    """Several regions, hidden one after another; its mask is all of them together."""

    rois: tuple[Roi, ...]

    @property
    def parts(self) -> tuple[Roi, ...]:
        return self.rois

    def mask(self, target: Target, batch: Batch) -> torch.Tensor:
        return torch.stack(self.masks(target, batch)).any(0)

    def _asks(self) -> tuple[Ask, ...]:
        return tuple(dict.fromkeys(ask for roi in self.rois for ask in roi._asks()))

    def _by(self, target: Target, batch: Batch, seen: dict[Ask, torch.Tensor]) -> torch.Tensor:
        return torch.stack([roi._by(target, batch, seen) for roi in self.rois]).any(0)

    def notes(self, batch: Batch) -> tuple[str, ...]:
        by_region = zip(*(roi.notes(batch) for roi in self.rois), strict=True)
        return tuple("; ".join(dict.fromkeys(filter(None, texts))) for texts in by_region)


def own_attention(target: Target, batch: Batch, t: int, words: bool = False) -> torch.Tensor:
    """The audited model's self-attention for the noise-free pictures at timestep t of the usual path, or what it pays
    to the words of their captions: (n, h, w)."""
    pixels, condition = batch.pixels.to(target.device), target.condition_of(batch).to(target.device)
    check_attends(target)
    t = target.path.like_ddpm(t)
    return target.attention(target.encode(pixels), t, condition, words)  # type: ignore[return-value]


def check_attends(target: Target) -> None:
    """Raises UserError when the audited model has no self-attention."""
    if not target.attends:
        raise UserError(
            "the model has no self-attention to choose a region by: "
            "choose center or face, or name a DINO model as attention:RATIO:FOLDER"
        )


def quadrants() -> Several:
    """The four quarters one after another: every part of the picture is hidden once."""
    return Several(tuple(Quadrant(k) for k in range(4)))


def cover() -> Several:
    """The centre, then each quadrant: every part of the picture is hidden once, and the middle once more whole.

    What one region says of a picture depends on what happens to lie there; a blank corner is restored by any model.
    """
    return Several((Center(0.25), *quadrants().parts))


COVERS = {"quadrants": quadrants, "cover": cover}


def _same(batch: Batch, mask: torch.Tensor) -> torch.Tensor:
    return mask.to(batch.pixels.device).expand(len(batch), -1, -1).clone()


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The centre of `mask` with the shape of `size`, nearest pixels: bool (h0, w0) -> bool (h, w)."""
    h, w = size
    step = min(mask.shape[0] / h, mask.shape[1] / w)  # mask pixels a picture pixel, the shorter side deciding
    y, x = ((whole - step * side) / 2 + step * (np.arange(side) + 0.5) for whole, side in zip(mask.shape, size))
    return mask[np.ix_(y.astype(int), x.astype(int))]


def parse_roi(text: str) -> Roi:
    """A region as the command line writes it, such as `center:0.25` or `inverted(face)`.

    Raises UserError that lists the choices, and UserError when a package that the region needs is missing.
    """
    text = text.strip()
    if text in COVERS:
        return COVERS[text]()
    parts = _joined(text)
    if len(parts) > 1:
        return Several(tuple(roi for part in parts for roi in parse_roi(part).parts))
    if text.startswith("inverted(") and text.endswith(")"):
        return Inverted(parse_roi(text[len("inverted(") : -1]))
    name, *values = text.split(":", 2 if text.startswith("attention") else 1)
    try:
        roi = _build(name, values)
    except ValueError:
        roi = None  # something that is not a number stands for one
    if roi is None:
        raise UserError(f"region {text!r} is not known: choose one of {ROIS}")
    if isinstance(roi, Face):
        check_face_package()
    return roi


def _joined(text: str) -> list[str]:
    """Split at every + outside parentheses; a folder's name may hold one too, so a region with a path stands alone."""
    if "masks:" in text:
        return [text]
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "+" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _build(name: str, values: list[str]) -> Roi | None:
    simple = {"face": Face, "center": Center, "random": Random, "words": Words}
    if name in simple:
        return simple[name](*map(float, values))
    if name == "attention":
        return Attention(*map(float, values[:1]), *values[1:])
    if name == "quadrant" and values:
        return Quadrant(int(values[0]))
    if name == "tiles" and values and 0 < int(values[0]) <= MOST_TILES:
        n = int(values[0])
        return Several(tuple(Tile(k, n) for k in range(n**2)))
    if name == "ranked" and values and 0 < int(values[0]) <= MOST_TILES**2:
        return Several(tuple(Ranked(rank) for rank in range(int(values[0]))))
    if name == "full" and not values:
        return Full()
    if name == "masks" and values and values[0]:
        if not Path(values[0]).is_dir():
            raise UserError(f"{values[0]} is not a folder: give the folder that holds the masks")
        return MaskFolder(values[0])
    return None
