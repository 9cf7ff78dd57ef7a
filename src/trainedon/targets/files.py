"""The files of a model folder: JSON that we read ourselves, weights in safetensors only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from trainedon.errors import UserError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
WEIGHTS = "diffusion_pytorch_model"


def read_json(path: Path) -> dict:
    """A JSON object. Raises UserError when there is none."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is missing: the model folder is incomplete") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable JSON ({error}): the model folder is damaged") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold a JSON object: the model folder is damaged")
    return value


def weight_files(folder: Path, name: str = WEIGHTS) -> list[Path]:
    """The safetensors of a part: one file, or the shards; full precision before half. Raises UserError when there are
    none, and says so where there are pickles."""
    for variant in ("", ".fp16", ".bf16"):
        single = folder / f"{name}{variant}.safetensors"
        if single.is_file():
            return [single]
        shards = sorted(
            [*folder.glob(f"{name}{variant}-*-of-*.safetensors"), *folder.glob(f"{name}-*-of-*{variant}.safetensors")]
        )
        if shards:
            return shards
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES) if folder.is_dir() else []
    if pickles:
        raise UserError(
            f"{folder} holds only pickled weights ({pickles[0]}), which can run code when opened: "
            "convert them to safetensors first"
        )
    raise UserError(f"{folder} holds no weights: {name}.safetensors is missing")


def variant_of(weights: Path) -> str | None:
    """`fp16` of `model.fp16.safetensors`; None for full precision."""
    return next((variant for variant in ("fp16", "bf16") if f".{variant}" in weights.name), None)


def digest_of(root: Path, files: Iterable[Path]) -> str:
    """sha256 over files and their names below `root`."""
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def brief(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
