"""The evidence pictures of a run: the strongest of each set, and a sample that no score chose."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trainedon.attacks import Exhibit
from trainedon.files import write_json
from trainedon.pictures import to_levels

STRONGEST = 24
SAMPLED = 24


@dataclass(frozen=True)
class _Kept:
    sha256: str
    set: str
    score: float


class Exhibits:
    """`restored/<sha256[:16]>/`, pruned after each shard, so that its size does not grow with the pictures.

    A picture that is among the strongest, or the first by digest, of all was so among those seen up to any moment:
    what is left at the end does not depend on where a run was interrupted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, _Kept] = {}
        for path in folder.glob("*/evidence.json"):
            record = json.loads(path.read_text("utf-8"))
            self._kept[record["sha256"]] = _Kept(record["sha256"], record["set"], record["score"])

    def add(self, *, picture: str, sha256: str, set_name: str, attack: str, score: float, exhibit: Exhibit) -> None:
        """Write one picture's evidence; a folder without evidence.json is unfinished and not read."""
        folder = self._folder / sha256[:16]
        folder.mkdir(parents=True, exist_ok=True)
        for name, pixels in exhibit.pictures.items():
            _image(pixels).save(folder / f"{name}.png")
        record = {"picture": picture, "sha256": sha256, "set": set_name, "attack": attack, "score": score}
        write_json(
            folder / "evidence.json", record | {"similarities": list(exhibit.similarities), "note": exhibit.note}
        )
        self._kept[sha256] = _Kept(sha256, set_name, score)

    def wanted(self, candidates: Sequence[tuple[str, str, float]]) -> set[str]:
        """The digests that are to be kept of those that are here and of `candidates`: (sha256, set, score) each."""
        every = self._kept | {sha256: _Kept(sha256, name, score) for sha256, name, score in candidates}
        found: set[str] = set()
        for name in {kept.set for kept in every.values()}:
            members = [kept for kept in every.values() if kept.set == name]
            found |= {kept.sha256 for kept in sorted(members, key=lambda kept: (-kept.score, kept.sha256))[:STRONGEST]}
            found |= {kept.sha256 for kept in sorted(members, key=lambda kept: kept.sha256)[:SAMPLED]}
        return found

    def prune(self) -> None:
        """Drop what is neither among the strongest of its set nor in the sample."""
        wanted = self.wanted([])
        for sha256 in [*self._kept]:
            if sha256 not in wanted:
                shutil.rmtree(self._folder / sha256[:16])
                del self._kept[sha256]


def _image(pixels: torch.Tensor) -> Image.Image:
    """float32 (c, h, w) in [-1, 1] -> 8-bit picture."""
    levels = to_levels(pixels)
    return Image.fromarray(levels[0] if len(levels) == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0)))
