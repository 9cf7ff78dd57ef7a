"""The user's own record of runs: which pictures were asked about, of which model, so that a later run can tell.

One small file a run, in a folder of the user's (`TRAINEDON_STATE`, else `trainedon/runs` in XDG_STATE_HOME, else in
~/.local/state). It holds digests alone: neither names nor paths. It can be deleted at any time; `TRAINEDON_STATE=off`
keeps none. Whatever is wrong with it ends no run.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainedon.errors import UserError
from trainedon.files import write_json
from trainedon.reading import read_json

PLACE = "TRAINEDON_STATE"
OFF = ("", "off")
MOST_RUNS = 1000
MOST_BYTES = 2**26  # of all files together
MOST_PICTURES = 2**16  # of one run
LARGEST = 2**21  # bytes of a file
OURS = re.compile(r"[0-9a-f]{16}-([0-9a-f]{32})\.json")  # model, key; nothing else there is read or removed

Prefixes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Sketch:
    """A set of pictures by the first 8 bytes of their digests, ascending, uint64 (n,); of a large set only those up to
    `last`, which are a random sample of it. total: how many there are in the set."""

    prefixes: Prefixes
    total: int

    @classmethod
    def of(cls, digests: list[str]) -> Sketch:
        """digests: sha256 in hex."""
        prefixes = np.unique(np.array([int(digest[:16], 16) for digest in digests], np.uint64))
        return cls(prefixes[:MOST_PICTURES], len(prefixes))

    @property
    def last(self) -> int:
        """The highest prefix of which it is known whether it is in the set."""
        whole = len(self.prefixes) == self.total
        return 2**64 - 1 if whole or not self.total else int(self.prefixes[-1])


@dataclass(frozen=True)
class Remembered:
    """A run that has scored pictures. key: tells it from others. suspects: those of which the training was in question.
    found: whether its claim was of level 3 or above, or, of an evaluation, its first attack's interval above a half."""

    key: str
    suspects: Sketch
    found: bool


def folder() -> Path | None:
    """Where the record is; None where none is kept."""
    said = os.environ.get(PLACE)
    if said is not None:
        return None if said.lower() in OFF else Path(said)
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path("~/.local/state").expanduser()) / "trainedon" / "runs"
    except RuntimeError:  # a user without a home
        return None


def remember(model: str, run: Remembered) -> None:
    """Write a run into the record, in place of what it had there; the oldest runs go where there are too many.

    Raises OSError where it cannot be written.
    """
    place = folder()
    if place is None:
        return
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = {
        "version": 1,
        "model": model,
        "found": run.found,
        "pictures": run.suspects.total,
        "prefixes": base64.b64encode(run.suspects.prefixes.astype(">u8").tobytes()).decode(),
    }
    write_json(place / f"{model[:16]}-{run.key}.json", told)
    _prune(place)


def remembered(model: str) -> tuple[list[Remembered], int]:
    """The runs on this model, and how many files of the record could not be read.

    Raises OSError where a record is to be kept in what is no folder, or none that can be read.
    """
    place, found, damaged = folder(), [], 0
    for path in [] if place is None else _files(place, f"{model[:16]}-"):
        try:
            if name := OURS.fullmatch(path.name):
                found.append(_read(name[1], read_json(path, LARGEST), model))
        except FileNotFoundError:  # another process has just pruned it, or it is a link that leads nowhere
            damaged += path.is_symlink()
        except (OSError, UserError, ValueError, KeyError, TypeError):
            damaged += 1
    return found, damaged


def _files(place: Path, prefix: str) -> list[Path]:
    """What begins so in a folder, which need not be there yet."""
    try:
        return sorted(path for path in place.iterdir() if path.name.startswith(prefix))
    except FileNotFoundError:
        if place.is_symlink():
            raise
        return []


def _read(key: str, told: Any, model: str) -> Remembered:
    """Raises ValueError, KeyError or TypeError for what is no run of this record."""
    prefixes = np.frombuffer(base64.b64decode(told["prefixes"], validate=True), ">u8").astype(np.uint64)
    found, total = told["found"], told["pictures"]
    if type(found) is not bool or type(total) is not int or total < len(prefixes) or told["model"] != model:
        raise ValueError(key)
    if (prefixes[1:] <= prefixes[:-1]).any() or (total and not len(prefixes)):
        raise ValueError(key)
    return Remembered(key, Sketch(prefixes, total), found)


def _prune(place: Path) -> None:
    """Remove the oldest files beyond MOST_RUNS, or MOST_BYTES."""
    files = []
    with os.scandir(place) as entries:
        for entry in entries:
            if OURS.fullmatch(entry.name):
                status = entry.stat(follow_symlinks=False)
                files.append((status.st_mtime_ns, status.st_size, entry.name))
    size = 0
    for number, (_, bytes_, name) in enumerate(sorted(files, reverse=True), start=1):
        size += bytes_
        if number > MOST_RUNS or size > MOST_BYTES:
            (place / name).unlink(missing_ok=True)
