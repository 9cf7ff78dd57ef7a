"""The evidence pictures of a run: the strongest of each set, and a sample that no score chose."""

from __future__ import annotations

import io
import re
import shutil
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trainedon import run_files
from trainedon.attacks import Exhibit
from trainedon.errors import UserError
from trainedon.files import file_digest, write_atomically
from trainedon.formats.exhibit_json import ExhibitRecord, read_exhibit, write_exhibit
from trainedon.pictures import Item, to_levels
from trainedon.reading import open_regular

STRONGEST = 24
SAMPLED = 24
RESTORED = re.compile(r"restored/[0-9a-f]{16}/[a-z]+(-[0-9]+)?\.(png|json)")
MOST_FILES = 100_000
MOST_PIXELS = 2**30  # of all of them


@dataclass(frozen=True)
class Shown:
    """What is shown of one picture. pictures: name -> PNG file, in the order in which they are to be seen."""

    picture: str
    sha256: str
    set: str
    attack: str
    score: float
    similarities: tuple[float, ...]
    note: str
    ahead: float | None
    mosaic: bool
    pictures: dict[str, bytes]

    @classmethod
    def of(cls, item: Item, attack: str, score: float, exhibit: Exhibit) -> Shown:
        """The picture of an inventory row, as an attack shows it."""
        files = {name: _png(pixels) for name, pixels in exhibit.pictures.items()}
        return cls(
            item.picture,
            str(item.sha256),
            item.set,
            attack,
            score,
            tuple(exhibit.similarities),
            exhibit.note,
            exhibit.ahead,
            exhibit.mosaic,
            files,
        )


class Selection:
    """Which pictures are shown: digest -> (set, score).

    A picture that is among the strongest, or the first by digest, of all was so among those seen up to any moment, in
    any order, and among any part of them: what is left in the end does not depend on where a run was interrupted, nor
    on who scored what.
    """

    def __init__(self, kept: Iterable[tuple[str, str, float]] = ()) -> None:
        self._kept = {sha256: (name, score) for sha256, name, score in kept}

    def wanted(self, candidates: Sequence[tuple[str, str, float]] = ()) -> set[str]:
        """The digests that are to be kept of those that are here and of `candidates`: (sha256, set, score) each."""
        every = self._kept | {sha256: (name, score) for sha256, name, score in candidates}
        found: set[str] = set()
        for set_name in {name for name, _ in every.values()}:
            scores = {sha256: score for sha256, (name, score) in every.items() if name == set_name}
            found |= set(sorted(scores, key=lambda sha256: (-scores[sha256], sha256))[:STRONGEST])
            found |= set(sorted(scores)[:SAMPLED])
        return found

    def has(self, sha256: str) -> bool:
        """Whether a picture is shown already."""
        return sha256 in self._kept

    def add(self, shown: Shown) -> None:
        self._kept[shown.sha256] = (shown.set, shown.score)

    def prune(self) -> list[str]:
        """Forget what is neither among the strongest of its set nor in the sample; returns these digests."""
        wanted = self.wanted()
        gone = [sha256 for sha256 in self._kept if sha256 not in wanted]
        for sha256 in gone:
            del self._kept[sha256]
        return gone

    def __iter__(self) -> Iterator[tuple[str, str, float]]:
        return ((sha256, name, score) for sha256, (name, score) in self._kept.items())


class Exhibits:
    """`restored/<sha256[:16]>/`, pruned after each shard, so that its size does not grow with the pictures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        records = [read_exhibit(path) for path in folder.glob(f"*/{run_files.EXHIBIT}")]
        self.selection = Selection((record.sha256, record.set, record.score) for record in records)

    def add(self, shown: Sequence[Shown]) -> list[Path]:
        """Write what is still wanted, and drop what is no longer. A folder without evidence.json is unfinished and not
        read. Returns the files that are new."""
        wanted = self.selection.wanted([(one.sha256, one.set, one.score) for one in shown])
        written: list[Path] = []
        for one in shown:
            if one.sha256 in wanted:
                written += self._write(one)
                self.selection.add(one)
        for sha256 in self.selection.prune():
            shutil.rmtree(self._folder / sha256[:16])
        return [path for path in written if path.exists()]

    def _write(self, shown: Shown) -> list[Path]:
        folder = self._folder / shown.sha256[:16]
        shutil.rmtree(folder, ignore_errors=True)  # what is left unfinished may be of another version
        folder.mkdir(parents=True)
        written = [folder / f"{name}.png" for name in shown.pictures]
        for path, data in zip(written, shown.pictures.values(), strict=True):
            with write_atomically(path) as stream:
                stream.write(data)
        record = ExhibitRecord(
            picture=shown.picture,
            sha256=shown.sha256,
            set=shown.set,
            attack=shown.attack,
            score=shown.score,
            similarities=[*shown.similarities],
            note=shown.note,
            ahead=shown.ahead,
            mosaic=shown.mosaic,
        )
        write_exhibit(folder / run_files.EXHIBIT, record)
        return [*written, folder / run_files.EXHIBIT]


def digests(folder: Path) -> dict[str, str]:
    """`restored/<sha256[:16]>/NAME` -> sha256, of every file that the page may show, as they lie in a run folder."""
    return {name: file_digest(folder / name) for name in shown_files(folder)}


def keep_only(folder: Path, known: Collection[str] | None) -> None:
    """Remove the evidence pictures that a run folder has besides the `known`, named as in `digests`. None: none was
    recorded, and all are left."""
    if known is None:
        return
    for path in [folder / name for name in shown_files(folder) if name not in known]:
        path.unlink()
        for parent in (path.parent, path.parent.parent):
            if not any(parent.iterdir()):
                parent.rmdir()


def shown_files(folder: Path) -> list[str]:
    """The names of these files, sorted."""
    found = (
        path.relative_to(folder).as_posix() for path in islice((folder / run_files.RESTORED).glob("*/*"), MOST_FILES)
    )
    return sorted(name for name in found if RESTORED.fullmatch(name))


def check_sizes(folder: Path, shape: Sequence[int] | None) -> None:
    """Raises UserError where evidence pictures are larger than those of the model, [channels, height, width], or would
    take for ever to be shown: a few bytes can be as many pixels as one likes."""
    pixels = 0
    for name in shown_files(folder):
        if not name.endswith(".png") or (folder / name).is_symlink():
            continue
        with open_regular(folder / name) as stream:
            head = stream.read(24)
        width, height = struct.unpack(">II", head[16:].rjust(8, b"\0"))
        if shape and len(shape) == 3 and (height > shape[1] or width > shape[2]):
            raise UserError(f"{name} is {width} x {height}, and the model makes {shape[2]} x {shape[1]}")
        pixels += width * height
    if pixels > MOST_PIXELS:
        raise UserError(f"the evidence pictures have {pixels:,} pixels, more than any run keeps")


def _png(pixels: torch.Tensor) -> bytes:
    """float32 (c, h, w) in [-1, 1] -> an 8-bit PNG file."""
    levels = to_levels(pixels)
    image = Image.fromarray(levels[0] if len(levels) == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0)))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
