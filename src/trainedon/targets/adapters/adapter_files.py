"""Which files an adapter is, and with what weight it is taken."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainedon.errors import UserError
from trainedon.reading import open_regular, read_bytes
from trainedon.targets.reading.model_files import MOST_JSON, PICKLES, brief, object_of, there
from trainedon.targets.reading.tensors import Tensors

Adapters = str | Path | Sequence[str | Path] | None

OF_PEFT = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
MOST_WEIGHT = 1000
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


@dataclass(frozen=True)
class AdapterContents:
    """What an adapter's files hold. metadata: of the header. config: peft's. digest: of the files as they were read."""

    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]
    config: dict[str, Any] | None
    digest: str


@dataclass(frozen=True)
class Adapter:
    """file: its tensors. config: peft's, beside them. weight: what its change is multiplied by."""

    name: str
    file: Path
    config: Path | None = None
    weight: float = 1.0

    @property
    def digest(self) -> str:
        """sha256 of what decides the change, the weight left out."""
        with closing(self._opened()) as tensors:
            return self._digest(tensors.sha256, self._settings())

    def read(self) -> AdapterContents:
        """What it holds, each file opened once. Raises UserError when one cannot be read."""
        settings = self._settings()
        with closing(self._opened()) as opened:
            tensors = dict(opened.read())
            digest = self._digest(opened.sha256, settings)
        config = None if settings is None or self.config is None else object_of(settings, self.config)
        return AdapterContents(tensors, opened.metadata, config, digest)

    def _opened(self) -> Tensors:
        try:
            stream = open_regular(self.file)
        except PermissionError:
            raise
        except OSError as error:
            raise UserError(f"{self.file}: the adapter cannot be read ({brief(error)})") from None
        try:
            return Tensors(stream, self.file)
        except ValueError as error:
            stream.close()
            raise UserError(f"{self.file}: the adapter cannot be read ({brief(error)})") from None

    def _settings(self) -> bytes | None:
        return None if self.config is None else read_bytes(self.config, MOST_JSON)

    def _digest(self, tensors: str, settings: bytes | None) -> str:
        """Over both files with their names, in the order of these."""
        found = {self.file.name: tensors}
        if settings is not None and self.config is not None:
            found[self.config.name] = hashlib.sha256(settings).hexdigest()
        return hashlib.sha256(
            b"".join(name.encode() + b"\0" + bytes.fromhex(found[name]) for name in sorted(found))
        ).hexdigest()


def adapters_of(given: Adapters) -> tuple[Adapter, ...]:
    """Each a file, a folder with one, or a hub id, alone or with its weight behind a colon, `PATH:0.6`.

    Raises UserError for what is no adapter, and where there is no telling which.
    """
    if given is None:
        return ()
    adapters = tuple(map(_adapter, [given] if isinstance(given, str | Path) else given))
    files = [one.file.resolve() for one in adapters]
    if len(set(files)) < len(files):
        raise UserError(f"{next(one for one in files if files.count(one) > 1)} is given twice: give it once, as FILE:2")
    return adapters


def named(model: str, adapters: Sequence[Adapter]) -> str:
    """`MODEL + A + B:0.6`; of adapters that are called alike, with their folders."""
    names = [one.name for one in adapters]
    told = [
        f"{one.file.resolve().parent.name}/{one.name}" if names.count(one.name) > 1 else one.name for one in adapters
    ]
    weighed = [name if one.weight == 1 else f"{name}:{one.weight:g}" for name, one in zip(told, adapters, strict=True)]
    return " + ".join([model, *weighed])


def digest_with(digest: str, adapters: Sequence[Adapter], fused: Sequence[str] | None = None) -> str:
    """A model's digest, and its adapters' in the order in which they are applied. fused: their digests as they were
    read; without, they are read for it."""
    for one, own in zip(adapters, [one.digest for one in adapters] if fused is None else fused, strict=True):
        times = "" if one.weight == 1 else f" times {one.weight!r}"
        digest = hashlib.sha256(f"{digest} {own}{times}".encode()).hexdigest()
    return digest


def _adapter(given: str | Path) -> Adapter:
    text, weight = str(given), 1.0
    if not Path(text).exists():
        before, colon, after = text.rpartition(":")
        with suppress(ValueError):  # a name with a colon in it
            text, weight = (before, float(after)) if colon else (text, 1.0)
    if not 0 < abs(weight) <= MOST_WEIGHT:  # NaN compares false
        raise UserError(f"{given}: an adapter's weight is a number other than 0, of at most {MOST_WEIGHT:,}")
    path = Path(text)
    name = path.name if path.is_file() else path.resolve().name
    if not path.exists():
        if not _HUB_ID.fullmatch(text):
            raise UserError(f"{text} does not exist: give the file of an adapter, the folder that holds it or a hub id")
        path, name = _download(*text.partition("@")[::2])
    file = path if path.is_file() else _only_file(path)
    if file.suffix != ".safetensors":
        raise UserError(
            f"{file}: {_pickled(file.name) if file.suffix in PICKLES else 'an adapter is a .safetensors file'}"
        )
    config = file.parent / CONFIG
    for one in [config, *([] if path.is_file() else [file])]:  # a person who names a link means what is behind it
        _check_inside(one, file.parent)
    return Adapter(name, file, config if there(config) else None, weight)


def _check_inside(path: Path, folder: Path) -> None:
    """Raises UserError for a link that leads out of an adapter's folder, or out of the hub's cache."""
    real, root = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    cached = real.parent.name == "blobs" and real.parent.parent.name.startswith("models--")
    if not (real.is_relative_to(root) or cached):
        raise UserError(f"{path} is a link that leads out of its folder: put what it names in its place")


def _only_file(folder: Path) -> Path:
    found = sorted(path for path in folder.glob("*.safetensors") if path.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found[:6]) + (", ..." if len(found) > 6 else "")
        raise UserError(
            f"{folder} holds {len(found)} files that may be the adapter ({names}): give the one that is meant"
        )
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    raise UserError(
        f"{folder} holds no adapter: "
        + (
            _pickled(pickles[0])
            if pickles
            else f"give the file itself, or a folder with pytorch_lora_weights.safetensors or peft's {OF_PEFT}"
        )
    )


def _pickled(name: str) -> str:
    return (
        f"{name} is a pickle, which can run code when opened: convert it with `trainedon convert`, which runs none of "
        "it, and give the new file"
    )


def _download(repository: str, revision: str) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repository, revision=revision or None, allow_patterns=["*.safetensors", CONFIG], ignore_patterns=["*/*"]
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"{repository} is no adapter here and could not be fetched from the hub ({brief(error)}): "
            "check the name and the connection"
        ) from None
    return Path(folder), f"{repository}@{Path(folder).name}"
