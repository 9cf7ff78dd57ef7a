"""Models beside the one under audit: shadow models, whose members are known, and a reference model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from trainedon.errors import UserError
from trainedon.targets.load import load_target, model_digest
from trainedon.targets.target import Target

SHADOWS = "shadows.json"
POOL = "pool.npz"


@dataclass(frozen=True)
class Shadows:
    """A folder that `trainedon train PICTURES --shadows N` wrote: N models, each trained on its own random part of one
    pool of pictures, and the pool itself.

    digest: sha256 over pool and models; it stands for the folder in `repr` and in comparisons, so that a run knows
    its shadow models again wherever they lie. models: their folders' names.
    """

    digest: str
    models: tuple[str, ...]
    folder: Path = field(compare=False, repr=False)

    @classmethod
    def open(cls, folder: str | Path) -> Shadows:
        """Reads JSON alone. Raises UserError when the folder is none of shadow models, or is unfinished."""
        folder = Path(folder)
        try:
            record = json.loads((folder / SHADOWS).read_text("utf-8"))
            models, digest = tuple(record["models"]), str(record["digest"])
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{folder} holds no finished shadow models: make them with "
                f"`trainedon train PICTURES --shadows 8 --out {folder}`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder / SHADOWS} cannot be read ({error}): the folder of shadow models is damaged"
            ) from None
        return cls(digest, models, folder)

    def __len__(self) -> int:
        return len(self.models)

    def __repr__(self) -> str:
        return f"Shadows({len(self)} models, {self.digest[:16]})"

    def check(self, target: Target) -> None:
        """Raises UserError when the shadow models do not take the target's pictures."""
        for other in self.targets(target):
            _check_alike(other, target, "shadow models")

    def targets(self, beside: Target) -> list[Target]:
        """The models, loaded once for each audited model.

        Their passes are counted in the audited model's own count, and they share its memo.
        """
        return [_beside(self.folder / name, beside) for name in self.models]

    @cached_property
    def _pool(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.folder / POOL, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{self.folder / POOL} cannot be read ({error}): train the shadow models anew") from None

    @property
    def sha256(self) -> tuple[str, ...]:
        """Digests of the pool's pictures."""
        return tuple(self._pool["sha256"].tolist())

    @property
    def pixels(self) -> torch.Tensor:
        """The pool as the models saw it: float32 (n, c, h, w) in [-1, 1]."""
        return torch.from_numpy(self._pool["pixels"].astype(np.float32) / np.float32(127.5) - np.float32(1))

    @property
    def labels(self) -> torch.Tensor | None:
        """Class labels of the pool, int64 (n,), where its pictures have some."""
        return torch.from_numpy(self._pool["labels"]) if "labels" in self._pool else None

    @property
    def members(self) -> np.ndarray:
        """bool (models, n): which picture of the pool each model was trained on."""
        return self._pool["members"]

    def trained_on(self, sha256: tuple[str, ...]) -> np.ndarray:
        """bool (models, len(sha256)): which of these pictures each model was trained on; false outside the pool."""
        place = {digest: i for i, digest in enumerate(self.sha256)}
        seen = np.zeros((len(self), len(sha256)), dtype=bool)
        for column, digest in enumerate(sha256):
            if digest in place:
                seen[:, column] = self.members[:, place[digest]]
        return seen


@dataclass(frozen=True)
class Reference:
    """One model that was not trained on the pictures in question, at a local folder or on the hub.

    digest: that of its files, which stands for it in `repr` and in comparisons.
    """

    digest: str
    model: str = field(compare=False, repr=False)

    @classmethod
    def open(cls, model: str | Path) -> Reference:
        """Hashes a local folder, or loads a model from the hub. Raises UserError when it cannot be read."""
        folder = Path(model)
        digest = model_digest(folder) if folder.is_dir() else load_target(model).identity.digest
        return cls(digest, str(model))

    def __repr__(self) -> str:
        return f"Reference({self.digest[:16]})"

    def check(self, target: Target) -> None:
        """Raises UserError when the reference model does not take the target's pictures, or is the target."""
        if self.digest == target.identity.digest:
            raise UserError("the reference model is the audited model itself: give another one")
        _check_alike(self.target(target), target, "reference model")

    def target(self, beside: Target) -> Target:
        """The model, loaded once for each audited model; see `Shadows.targets`."""
        return _beside(self.model, beside)


def pool_digest(pool: bytes, models: list[str]) -> str:
    """The digest of a folder of shadow models, from the bytes of its pool and the digests of its models."""
    return hashlib.sha256(b"".join([hashlib.sha256(pool).digest(), *(bytes.fromhex(m) for m in models)])).hexdigest()


def _beside(model: str | Path, target: Target) -> Target:
    key = ("model", str(model))
    if key not in target.kept:
        target.kept[key] = load_target(model, device=str(target.device), rows=target.rows)
    other: Target = target.kept[key]  # type: ignore[assignment]
    other.evaluations, other.memo = target.evaluations, target.memo
    return other


def _check_alike(other: Target, target: Target, what: str) -> None:
    if (other.shape, other.classes) != (target.shape, target.classes):
        raise UserError(
            f"the {what} take pictures of {other.shape} and {other.classes or 'no'} classes, the audited model "
            f"{target.shape} and {target.classes or 'no'}: train the {what} as the audited model is"
        )
