"""Models beside the one under audit: shadow models, whose members are known, a reference model, a control model."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch.nn import functional as F

from trainedon.errors import UserError
from trainedon.pictures import Batch, from_levels
from trainedon.reading import open_regular, read_json
from trainedon.targets.core.target import Target
from trainedon.targets.load import load_target, model_digest, sized
from trainedon.targets.reading.model_files import brief
from trainedon.targets.reading.tensors import stamp

SHADOWS = "shadows.json"
POOL = "pool.npz"
MANIFEST = "manifest.json"
# Of the pool's arrays: what they hold, as numpy abbreviates it, and how many dimensions they have.
ARRAYS = {"pixels": ("u", 4), "sha256": ("U", 1), "members": ("b", 2), "labels": ("i", 1)}
OTHER_CONTROL = "give one that cannot have seen the pictures"
NAME = re.compile(r"\w[\w.-]{0,99}")
MOST = 10_000  # shadow models


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

    written: ClassVar[str] = "DIR"  # how messages and lists call what `open` takes

    @classmethod
    def open(cls, folder: str | Path) -> Shadows:
        """Reads JSON alone. Raises UserError when the folder is none of shadow models, or is unfinished."""
        folder = Path(folder)
        try:
            record = read_json(folder / SHADOWS)
            models, digest = record["models"], record["digest"]
            if not (isinstance(models, list) and models and all(isinstance(name, str) for name in [*models, digest])):
                raise ValueError("no list of models, or no digest")
            if not all(NAME.fullmatch(name) for name in models) or len({*models}) < len(models) or len(models) > MOST:
                raise ValueError("its models are no folders in it, each named once")
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{folder} holds no finished shadow models: make them with "
                f"`trainedon train PICTURES --shadows 8 --out {folder}`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder / SHADOWS} cannot be read ({brief(error)}): the folder of shadow models is damaged"
            ) from None
        return cls(digest, tuple(models), folder)

    def __len__(self) -> int:
        return len(self.models)

    def __repr__(self) -> str:
        return f"Shadows({len(self)} models, {self.digest[:16]})"

    def check(self, target: Target) -> None:
        """Raises UserError when the shadow models do not take the target's pictures, or are no longer those that were
        trained into the folder."""
        models = self.targets(target)
        for other in models:
            _check_alike(other, target, "shadow models take")
        if pool_digest(self._read[1], [other.identity.digest for other in models]) != self.digest:
            raise UserError(f"{self.folder} changed after its shadow models were trained: train them anew")

    def targets(self, beside: Target) -> list[Target]:
        """The models, loaded once for each audited model.

        Their passes are counted in the audited model's own count, and they share its memo.
        """
        return [_beside(self.folder / name, beside) for name in self.models]

    @cached_property
    def _read(self) -> tuple[dict[str, np.ndarray], bytes]:
        """The pool, and the sha256 of its file."""
        return pool_with_sha256(self.folder, len(self.models))

    @property
    def _pool(self) -> dict[str, np.ndarray]:
        return self._read[0]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {digest: place for place, digest in enumerate(self.sha256)}

    @cached_property
    def sha256(self) -> tuple[str, ...]:
        """Digests of the pool's pictures."""
        return tuple(self._pool["sha256"].tolist())

    @property
    def members(self) -> np.ndarray:
        """bool (models, n): which picture of the pool each model was trained on."""
        return self._pool["members"]

    def batch(self, rows: Sequence[int] | np.ndarray) -> Batch:
        """Some pictures of the pool as the models saw them, with their labels where the pool has some."""
        rows = np.asarray(rows, dtype=np.int64)
        pixels = from_levels(self._pool["pixels"][rows])
        labels = torch.from_numpy(self._pool["labels"][rows]) if "labels" in self._pool else None
        return Batch(pixels, tuple(self.sha256[row] for row in rows), labels)

    def trained_on(self, sha256: Sequence[str]) -> np.ndarray:
        """bool (models, len(sha256)): which of these pictures each model was trained on; false outside the pool."""
        seen = np.zeros((len(self), len(sha256)), dtype=bool)
        for column, digest in enumerate(sha256):
            if digest in self._places:
                seen[:, column] = self.members[:, self._places[digest]]
        return seen


@dataclass(frozen=True)
class Reference:
    """One model that was not trained on the pictures in question, at a local folder or on the hub.

    digest: that of its files, which stands for it in `repr` and in comparisons.
    """

    digest: str
    model: str = field(compare=False, repr=False)

    written: ClassVar[str] = "MODEL"
    role: ClassVar[str] = "reference model"  # what messages call it

    @classmethod
    def open(cls, model: str | Path, base: Path | None = None) -> Self:
        """Hashes a local folder or file, or loads a model from the hub; base: see `load_target`. Raises UserError when
        it cannot be read."""
        path = Path(model)
        digest = model_digest(path, base=base) if path.exists() else load_target(model).identity.digest
        return cls(digest, str(path.absolute()) if path.exists() else str(model))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.digest[:16]})"

    def check(self, target: Target) -> None:
        """Raises UserError when the reference model does not take the target's pictures, or is the target."""
        if self.digest == target.identity.digest:
            raise UserError("the reference model is the audited model itself: give another one")
        _check_alike(self.target(target), target, "reference model takes")

    def target(self, beside: Target) -> Target:
        """The model, loaded once for each audited model; see `Shadows.targets`. Raises UserError when it is no longer
        there, or no longer the one that was hashed."""
        if Path(self.model).is_absolute() and not Path(self.model).exists():
            raise UserError(f"the {self.role} {self.model} is no longer there: put it back, and give the command again")
        found = _beside(self.model, beside)
        if found.identity.digest not in (self.digest, sized(self.digest, beside.options.get("size"))):
            raise UserError(f"the {self.role} {self.model} was changed while it was read: start again")
        return found


@dataclass(frozen=True, repr=False)
class ControlModel(Reference):
    """One model that cannot have seen any picture of the run, of whatever family and size: what an attack finds there
    is no memory of them."""

    role: ClassVar[str] = "control model"

    def check(self, target: Target) -> None:
        """Raises UserError when the control model is the target, or cannot be asked about the target's pictures."""
        if self.digest == target.identity.digest:
            raise UserError(f"the control model is the audited model itself: {OTHER_CONTROL}")
        checked = ("control model is checked", self.digest)
        if checked in target.kept:
            return
        other = self.target(target)
        channels, due = other.picture[0], target.picture[0]
        if channels != due:
            raise UserError(
                f"the control model takes pictures of {channels} channels, the audited model of {due}: {OTHER_CONTROL}"
            )
        if other.classes is not None and other.classes != target.classes:
            raise UserError(
                f"the control model is conditioned on {other.classes} classes, the audited model on "
                f"{target.classes or 'none'}: give an unconditional control model, or one with the same classes"
            )
        if _same_weights(other, target):
            raise UserError(f"the control model has the same weights as the audited model: {OTHER_CONTROL}")
        target.kept[checked] = True

    def known_members(self) -> frozenset[str]:
        """Digests of the pictures that it was trained on, where it lies in a folder that `trainedon train` wrote; of
        other models none are known."""
        if not (Path(self.model) / MANIFEST).is_file():
            return frozenset()
        try:
            rows = read_json(Path(self.model) / MANIFEST)["pictures"]
            return frozenset(str(row["sha256"]) for row in rows if row["member"])
        except (OSError, ValueError, KeyError, TypeError):  # of a model from elsewhere
            return frozenset()

    def fitted(self, batch: Batch, beside: Target) -> Batch:
        """The pictures at the control model's own size, resampled where it is another than the audited model's."""
        size = self.target(beside).picture[1:]
        if tuple(batch.pixels.shape[2:]) == size:
            return batch
        turned = {view: _resampled(pixels, size) for view, pixels in batch.turned_first.items()}
        return replace(batch, pixels=_resampled(batch.pixels, size), turned_first=turned)


def _resampled(pixels: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    return F.interpolate(pixels, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)


def pool_digest(pool: bytes, models: Sequence[str]) -> str:
    """The digest of a folder of shadow models, from the sha256 of its pool and the digests of its models."""
    return hashlib.sha256(b"".join([pool, *map(bytes.fromhex, models)])).hexdigest()


def read_pool(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of `pool.npz`: pixels uint8 (n, c, h, w), sha256 (n,), members bool (models, n), and labels int64 (n,)
    if any. Raises UserError when the file cannot be read, or is another one."""
    return pool_with_sha256(folder)[0]


def pool_with_sha256(folder: Path, models: int | None = None) -> tuple[dict[str, np.ndarray], bytes]:
    """The same, and the sha256 of the file, which is opened once. models: how many there are, where that is known."""
    try:
        with open_regular(folder / POOL) as stream:
            before = stamp(stream)
            sha256 = hashlib.file_digest(stream, "sha256").digest()
            stream.seek(0)
            with zipfile.ZipFile(stream) as listed:
                if sum(one.file_size for one in listed.infolist()) > before.size:  # it is written unpacked
                    raise ValueError("it is packed")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                pool = {name: file[name] for name in file.files if name in ARRAYS}
            if stamp(stream) != before:
                raise ValueError("it was changed while it was read")
        _check_pool(pool, models)
    except Exception as error:  # noqa: BLE001 (zip files and arrays that are damaged raise anything)
        raise UserError(f"{folder / POOL} cannot be read ({brief(error)}): train the shadow models anew") from None
    return pool, sha256


def _check_pool(pool: dict[str, np.ndarray], models: int | None) -> None:
    """Raises ValueError for arrays that are no pool."""
    if not {*ARRAYS} - {"labels"} <= set(pool):
        raise ValueError("it holds no pool of pictures")
    for name, array in pool.items():
        kind, dimensions = ARRAYS[name]
        if array.dtype.kind != kind or array.ndim != dimensions:
            raise ValueError(f"{name} is {array.dtype} of {array.ndim} dimensions")
    count = len(pool["pixels"])
    if any(array.shape[-1 if name == "members" else 0] != count for name, array in pool.items()):
        raise ValueError("its arrays are of different lengths")
    if models is not None and len(pool["members"]) != models:
        raise ValueError(f"it is that of {len(pool['members'])} models, and {models} are there")


def _beside(model: str | Path, target: Target) -> Target:
    key = ("model", str(model))
    if key not in target.kept:
        how = {"precision": target.precision, "compile": target.batching.compiled, **target.options}
        if not Path(model).is_file():
            how.pop("base", None)
        loaded = load_target(model, device=str(target.device), rows=target.batching.rows, **how)
        if loaded.batching.most < target.batching.most:  # there is less room with the weights of both
            target.batching.at_most(loaded.batching.most)
        target.kept[key] = loaded
    other: Target = target.kept[key]  # type: ignore[assignment]
    other.evaluations, other.memo, other.batching = target.evaluations, target.memo, target.batching
    return other


def _check_alike(other: Target, target: Target, what: str) -> None:
    if (other.shape, other.picture, other.classes) != (target.shape, target.picture, target.classes):
        raise UserError(
            f"the {what} pictures of {other.picture} and {other.classes or 'no'} classes, the audited model "
            f"{target.picture} and {target.classes or 'no'}: give what was trained as the audited model was"
        )


def _same_weights(first: Target, second: Target) -> bool:
    """Whether two models that were read from different files have the same weights, as a copy in another format or in
    half precision has. Models whose weights are not at hand differ."""
    networks = [getattr(one, "network", None) for one in (first, second)]
    if not all(isinstance(network, torch.nn.Module) for network in networks):
        return False
    pairs = [[*network.parameters()] for network in networks if network is not None]
    if [one.shape for one in pairs[0]] != [one.shape for one in pairs[1]]:
        return False
    alike = (_equal(one, other) for one, other in zip(*pairs, strict=True))
    return all(alike)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two parameters are equal in one of the precisions in which weights are stored."""
    return any(torch.equal(one.to(kind), other.to(one.device, kind)) for kind in (torch.float16, torch.bfloat16))
