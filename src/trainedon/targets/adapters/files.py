"""Which files an adapter is, and with what weight it is taken."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainedon.errors import UserError
from trainedon.targets.files import PICKLES, brief, digest_of

Adapters = str | Path | Sequence[str | Path] | None

OF_PEFT = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


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
        return digest_of(self.file.parent, filter(None, (self.file, self.config)))


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


def digest_with(digest: str, adapters: Sequence[Adapter]) -> str:
    """A model's digest, and its adapters' in the order in which they are applied."""
    for one in adapters:
        times = "" if one.weight == 1 else f" times {one.weight!r}"
        digest = hashlib.sha256(f"{digest} {one.digest}{times}".encode()).hexdigest()
    return digest


def _adapter(given: str | Path) -> Adapter:
    text, weight = str(given), 1.0
    if not Path(text).exists():
        before, colon, after = text.rpartition(":")
        with suppress(ValueError):  # a name with a colon in it
            text, weight = (before, float(after)) if colon else (text, 1.0)
    if not math.isfinite(weight) or weight == 0:
        raise UserError(f"{given}: an adapter's weight is a number other than 0")
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
    return Adapter(name, file, config if config.is_file() else None, weight)


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
        f"{name} is a pickle, which can run code when opened: convert it first where that does no harm, with "
        "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'adapter.safetensors')"
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
