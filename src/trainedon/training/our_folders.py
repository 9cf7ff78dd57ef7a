"""Whose folder is it? A training writes to new folders and its own, and overwrites nobody else's files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from trainedon import run_files
from trainedon.checks import check_lock
from trainedon.errors import UserError
from trainedon.reading import read_json

MANIFEST = "manifest.json"
RECIPE = "recipe.json"
# What may lie in a folder before its recipe does: the list of members, an autoencoder trained for it, what a kill left.
_BEFORE = (MANIFEST, "autoencoder", run_files.LOCK, f".{MANIFEST}.tmp", f".{RECIPE}.tmp")


def check_ours(out: Path) -> None:
    """Raises UserError for a folder that holds other things than a training of this program; writes nothing."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file, and a model is written to a folder: choose another --out")
    check_lock(out)
    if (out / RECIPE).exists():
        if not {"passes", "batch_size", "learning_rate"} <= read_object(out / RECIPE).keys():
            raise UserError(f"{out / RECIPE} is not the recipe of a training of this program: choose another --out")
        return
    if (out / MANIFEST).exists() and not {"seed", "members", "pictures"} <= read_object(out / MANIFEST).keys():
        raise UserError(f"{out / MANIFEST} is not a list of members of this program: choose another --out")
    strangers = sorted(path.name for path in out.iterdir() if path.name not in _BEFORE)
    if strangers:
        raise UserError(f"{out} is not empty and holds no training (it holds {strangers[0]}): choose another --out")


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object of a training. Raises UserError when it cannot be read, or is something else."""
    try:
        found = read_json(path, 2**30)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): choose another --out") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged: choose another --out")
    return found


def clear(path: Path) -> None:
    """Remove a file, a link or a folder of ours, so that another one can take its place; links are not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
