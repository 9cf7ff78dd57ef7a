"""What lies in a run folder that may come from a stranger: regular files with names of ours, and what else."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.files import file_digest
from trainedon.reading import kind_of
from trainedon.runs.scoring.exhibit_files import RESTORED

MOST = 100_000  # files; a run folder has some hundred
LARGE = 2**30  # bytes, above which a file is looked at for holes
HOLES = 100  # a sparse file: so many times larger than its blocks on the disk


@dataclass(frozen=True)
class Contents:
    """wrong: sentences about what has a name of ours and is no such thing. besides: names of what else lies there."""

    wrong: tuple[str, ...]
    besides: tuple[str, ...]


def contents(run: Path) -> Contents:
    """What lies in a run folder; nothing is opened. Raises UserError where it is more than can be looked through."""
    wrong, besides = [], []
    for name, mode in _every(run):
        is_ours = name in run_files.ALL or RESTORED.fullmatch(name)
        is_folder = name == run_files.RESTORED or re.fullmatch(r"restored/[0-9a-f]{16}", name)
        if (is_folder and not stat.S_ISDIR(mode)) or (is_ours and not stat.S_ISREG(mode)):
            wrong.append(f"{name} is {'a link' if stat.S_ISLNK(mode) else kind_of(mode)}")
        elif not (is_ours or is_folder):
            besides.append(name)
    return Contents(tuple(sorted(wrong)), tuple(sorted(besides)))


def _every(run: Path) -> Iterator[tuple[str, int]]:
    """Name and mode of what lies in the folder and below `restored`, no link followed."""
    left, seen = [""], 0
    while left:
        folder = left.pop()
        with os.scandir(run / folder) as entries:
            for entry in islice(entries, MOST + 1):
                name, mode, seen = f"{folder}{entry.name}", entry.stat(follow_symlinks=False).st_mode, seen + 1
                if seen > MOST:
                    raise UserError(f"{run} holds more than {MOST} files, and no run does: it cannot be looked through")
                yield name, mode
                if stat.S_ISDIR(mode) and (name == run_files.RESTORED or name.startswith(f"{run_files.RESTORED}/")):
                    left.append(f"{name}/")


def digest_in(run: Path, name: str) -> str | None:
    """sha256, hex, of a file of a run folder; None where it is none. Raises UserError for one that is nearly all holes,
    which a few bytes make as large as one likes."""
    path = run / name
    try:
        status = path.lstat()
        written = getattr(status, "st_blocks", status.st_size) * 512
        if status.st_size > LARGE and written * HOLES < status.st_size:
            raise UserError(f"{name} is {status.st_size:,} bytes of nearly nothing but holes")
        return file_digest(path) if stat.S_ISREG(status.st_mode) else None
    except OSError:
        return None
