"""The tensors of a pickled checkpoint, in a process of its own: nothing in the file is imported or called.

PyTorch's unpickler for weights alone builds tensors, numbers, texts, lists and dictionaries. Whatever else a checkpoint
names, settings of a training program say, stands in as a `Left`, which keeps what it is given and does nothing. This
process may not use the network, start programs or write files but through safetensors, and its memory is bounded.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from trainedon.reading import open_regular

ROOM = 3 * 2**30  # bytes for libraries; besides, three times the file
SECONDS, BYTES_A_SECOND = 120, 20_000_000  # of a processor
DEEPEST = 64  # dictionaries in dictionaries
MOST = 200_000  # tensors
UNNAMED = "model"  # what a checkpoint is called that is one dictionary of tensors
# What trainings keep beside the network, and a reader has no use for.
ASIDE = ("opt", "scaler", "lr_sched", "sched", "rng", "cuda_rng", "callbacks", "loops")
_REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "ctypes.dlopen")
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # of unshare(2)


class Left(dict):  # type: ignore[type-arg]  # whatever a stranger puts in
    """Stands for an object of a class that is not opened. It keeps what it was given."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__()

    def __new__(cls, *arguments: Any, **named: Any) -> Left:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, Mapping):
                self.update(part)

    __hash__ = object.__hash__  # type: ignore[assignment]


def serve() -> None:
    """The other process. argv: path of modules; checkpoint, folder for the files, a key or null. Answers in JSON."""
    checkpoint, out, only = json.loads(sys.argv[2])
    alone = False
    try:
        with open_regular(Path(checkpoint)) as stream:
            size, alone = stream.seek(0, 2), _without_network()
            _limit(size)
            import safetensors.torch
            import torch  # before programs and files are forbidden, which importing may need

            _forbid()
            stream.seek(0)
            told = _converted(stream, size, Path(out), only, torch, safetensors.torch.save_file)
    except (MemoryError, RecursionError) as error:
        told = {"reason": "takes more memory than an honest checkpoint of its size" if str(error) == "" else str(error)}
    except Exception as error:  # noqa: BLE001 (a damaged pickle raises anything)
        text = str(error).rpartition("WeightsUnpickler error:")[2]  # of PyTorch, behind much advice
        told = {"reason": (" ".join(text.split()) or type(error).__name__)[:300]}
    sys.stdout.write(json.dumps(told | {"alone": alone}) + "\n")


def _converted(stream: IO[bytes], size: int, out: Path, only: str | None, torch: Any, save: Any) -> dict[str, Any]:
    sha256 = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    unknown = _unknown_names(stream, size, torch)
    stream.seek(0)
    with torch.serialization.safe_globals([(Left, name) for name in unknown]):
        read = torch.load(stream, map_location="cpu", weights_only=True)
    groups, values = _groups(read, torch)
    if only is not None and only not in groups:
        raise ValueError(f"it holds no tensors under {only!r}: {', '.join(map(repr, sorted(groups)))} are there")
    aside = [name for name in groups if (name != only if only else name.lower().startswith(ASIDE))]
    files = {}
    for number, name in enumerate(name for name in groups if name not in aside):
        tensors, kept = groups[name], {}
        if sum(one.numel() * one.element_size() for one in tensors.values()) > 2 * size + 2**20:
            raise ValueError("its tensors are larger than the file: it is damaged, or made to fill memory")
        for key, one in tensors.items():
            kept[key] = one.detach().clone(memory_format=torch.contiguous_format)
        save(kept, out / f"{number}.safetensors")
        files[f"{number}.safetensors"] = {"key": name, "tensors": len(kept)}
    if not files:
        raise ValueError("it holds no tensors")
    return {"files": files, "aside": aside, "values": values, "unknown": unknown, "sha256": sha256}


def _unknown_names(stream: IO[bytes], size: int, torch: Any) -> list[str]:
    """What the checkpoint names that is not on PyTorch's list; of the format before 2020 it cannot be told, and is
    refused by name as it is met. Raises ValueError for what is packed, or is a program."""
    stream.seek(0)
    if not zipfile.is_zipfile(stream):
        return []
    with zipfile.ZipFile(stream) as listed:
        if sum(one.file_size for one in listed.infolist()) > size:  # it is written unpacked
            raise ValueError("it is packed: save it with torch.save, which does not pack")
        if any("/code/" in one.filename for one in listed.infolist()):
            raise ValueError("it is a program of TorchScript, and no checkpoint: save the state_dict of its module")
    stream.seek(0)
    return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(stream))


def _groups(read: Any, torch: Any) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The tensors under each key of the checkpoint, and its numbers and texts."""
    if not isinstance(read, Mapping):
        raise ValueError(f"it holds a {type(read).__name__}, and no dictionary of tensors")
    module = isinstance(read, Left)
    flat = module or any(isinstance(value, torch.Tensor) for value in read.values())
    groups: dict[str, dict[str, Any]] = {}
    values: dict[str, Any] = {}
    for key, value in [(UNNAMED, read)] if flat else read.items():
        if isinstance(value, bool | int | float | str) and len(str(value)) <= 200:
            values[str(key)] = str(value) if isinstance(value, float) and not math.isfinite(value) else value
            continue
        found = dict(_tensors(value, "", torch, DEEPEST))
        if found:
            groups[str(key)] = found
    if sum(map(len, groups.values())) > MOST:
        raise ValueError(f"it holds more than {MOST:,} tensors")
    return groups, values


def _tensors(value: Any, name: str, torch: Any, left: int) -> Iterator[tuple[str, Any]]:
    """Names with dots, as a state_dict has them, and the tensors; of a pickled module without its own words for where
    they lie."""
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_quantized or value.is_complex():
            raise ValueError(f"{name[:100]!r} is sparse, quantised or complex, which safetensors do not hold")
        yield name, value
        return
    if left == 0:
        raise ValueError("it is nested too deep")
    if isinstance(value, Mapping):
        parts = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(str(number), part) for number, part in enumerate(value)]
    else:
        return
    within = isinstance(value, Left)
    seen = set()
    for key, part in parts:
        below = name if within and key in ("_parameters", "_buffers", "_modules") else f"{name}.{key}".lstrip(".")
        for one in _tensors(part, below, torch, left - 1):
            if one[0] in seen:
                raise ValueError(f"two of its tensors are called {one[0][:100]!r}")
            seen.add(one[0])
            yield one


def _without_network() -> bool:
    """Leave the network, where the system lets this process: in a namespace of its own there is none."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        return bool(ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NETWORK) == 0)
    except (OSError, AttributeError):
        return False


def _limit(size: int) -> None:
    if sys.platform == "win32":  # which has no such limits
        return
    import resource

    most = {
        resource.RLIMIT_DATA: ROOM + 3 * size,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: SECONDS + size // BYTES_A_SECOND,
        resource.RLIMIT_FSIZE: 2 * size + 2**24,
    }
    for what, room in most.items():
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (room if hard == resource.RLIM_INFINITY else min(room, hard), hard))


def _forbid() -> None:
    """From here on: no network, no program, no file that Python writes; safetensors writes its own."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_REFUSED):
            raise PermissionError(f"a checkpoint may not do this: {event}")
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & 3:  # for writing
            raise PermissionError("a checkpoint may not write files")

    sys.addaudithook(hook)
