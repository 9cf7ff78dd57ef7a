"""The tensors of a pickled checkpoint, in a process of its own: nothing in the file is imported or called.

PyTorch's unpickler for weights alone builds tensors, numbers, texts, lists and dictionaries. Whatever else a checkpoint
names, settings of a training program say, is replaced by a stand-in, which keeps what it is given and does nothing.
This process may not use the network, start programs or write files but through safetensors, and its memory is bounded.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from trainedon.reading import open_regular
from trainedon.targets.checkpoints.beside import Rest, is_aside, is_value, written
from trainedon.targets.checkpoints.stand_ins import STAND_INS, STOOD_FOR, Array, Left, Scalar

ROOM = 3 * 2**30  # bytes for libraries; besides, three times the file
SECONDS, BYTES_A_SECOND = 120, 20_000_000  # of a processor
DEEPEST = 64  # dictionaries in dictionaries
MOST = 200_000  # tensors
UNNAMED = "model"  # what a checkpoint is called that is one dictionary of tensors
TOP = "top"  # what tensors are called that lie beside such dictionaries
SAVE_ANEW = "open it with its own code where that does no harm, and save the state_dict of its module"
_REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "ctypes.dlopen")
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # of unshare(2)


class Refused(ValueError):
    """Says in our words why a checkpoint is not converted, and what to do."""


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
    except Exception as error:  # noqa: BLE001 (a damaged pickle raises anything)
        told = {"reason": said(error)[:500]}
    sys.stdout.write(json.dumps(told | {"alone": alone}) + "\n")


def said(error: Exception) -> str:
    """Why a checkpoint was not read. PyTorch's own words are for who wrote the code that reads it."""
    text = str(error)
    if isinstance(error, Refused):
        return text
    if isinstance(error, MemoryError | RecursionError):
        return "it takes more memory than an honest checkpoint of its size: it is damaged, or made to fill memory"
    if isinstance(error, PermissionError):
        return f"{text}: do not open it in any other way"
    if found := re.search(r"unsupported GLOBAL (\S+) whose module (\S+) is blocked", text):
        return f"it would call {found[1]}, and no honest checkpoint does: do not open it in any other way"
    if found := re.search(r"GLOBAL (\S+) was not an allowed global", text):
        return (
            f"it is of the format before PyTorch 1.6 and names {found[1]}, which cannot be left out of it: {SAVE_ANEW}"
        )
    if isinstance(error, zipfile.BadZipFile) or "PytorchStreamReader" in text or isinstance(error, EOFError):
        return "it is damaged or cut short: get it again"
    return f"it is damaged, or was not written by torch.save: get it again, or {SAVE_ANEW}"


def _converted(stream: IO[bytes], size: int, out: Path, only: str | None, torch: Any, save: Any) -> dict[str, Any]:
    sha256 = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    unknown = _unknown_names(stream, size, torch)
    stream.seek(0)
    stand_ins = {**dict.fromkeys(unknown, Left), "numpy.ndarray": Left, **STAND_INS}
    with torch.serialization.safe_globals([(kind, name) for name, kind in stand_ins.items()]):
        read = torch.load(stream, map_location="cpu", weights_only=True)
    states, top, values, rests = _states(read, torch)
    if only is not None and only not in states:
        raise Refused(f"it holds no tensors under {only!r}: {', '.join(map(repr, sorted(states)))} are there")
    aside = [name for name in states if (name != only if only else is_aside(name))]
    taken = {name: tensors for name, tensors in states.items() if name not in aside}
    if not taken:
        beside = f" but those of {', '.join(map(repr, aside))}, which --only KEY takes" if aside else ""
        raise Refused(f"it holds no tensors{beside}")
    if sum(one.numel() * one.element_size() for state in taken.values() for one in state.values()) > 2 * size + 2**20:
        alone = "; --only KEY takes one state alone" if len(taken) > 1 else ""
        raise Refused(f"its tensors are larger than the file: it is damaged, or made to fill memory{alone}")
    files = {}
    for number, (name, tensors) in enumerate(taken.items()):
        kept = {key: one.detach().clone(memory_format=torch.contiguous_format) for key, one in tensors.items()}
        file = f".{number}.safetensors"  # as the name of no key begins, which it gets later
        save(kept, out / file)
        files[file] = {"key": name, "top": name == top, "tensors": len(kept)}
    return {
        "files": files,
        "aside": aside,
        "values": values,
        "dropped": [one for name in ("", *taken) if name in rests for one in rests[name].dropped],
        "unknown": sorted({name for rest in rests.values() for name in rest.classes} | {*unknown} - STOOD_FOR),
        "sha256": sha256,
    }


def _unknown_names(stream: IO[bytes], size: int, torch: Any) -> list[str]:
    """What the checkpoint names that is not on PyTorch's list; of the format before 2020 it cannot be told, and is
    refused by name as it is met. Raises Refused for what is packed, or is a program."""
    stream.seek(0)
    if not zipfile.is_zipfile(stream):
        return []
    with zipfile.ZipFile(stream) as listed:
        if sum(one.file_size for one in listed.infolist()) > size:  # it is written unpacked
            raise Refused("it is packed: save it with torch.save, which does not pack")
        if any("/code/" in one.filename for one in listed.infolist()):
            raise Refused("it is a program of TorchScript, and no checkpoint: save the state_dict of its module")
    stream.seek(0)
    return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(stream))


def _states(read: Any, torch: Any) -> tuple[dict[str, dict[str, Any]], str | None, dict[str, Any], dict[str, Rest]]:
    """The tensors under each key of the checkpoint; which of these lay bare at its top; its numbers and texts; and what
    else was met under each key, under `""` what has no tensors.

    Tensors that lie bare at the top are a state of their own: the model, where nothing but what is left aside lies
    beside them, else what belongs to all.
    """
    whole = isinstance(read, Left) and "_modules" in read  # a module
    if whole:
        read = {UNNAMED: read}
    if not isinstance(read, Mapping) or isinstance(read, Array):
        raise Refused(f"it holds a {type(read).__name__}, and no dictionary of tensors: {SAVE_ANEW}")
    states: dict[str, dict[str, Any]] = {}
    values: dict[str, Any] = {}
    bare: dict[str, Any] = {}
    besides = Rest()
    rests = {}
    for key, value in _told_apart(read):
        rest = Rest()
        several = isinstance(value, Mapping | list | tuple) and not isinstance(value, Scalar)
        if is_value(value) and not (several and is_aside(key)):
            values[key] = written(value)
        elif (tensor := _tensor(value, key, torch, rest)) is not None:
            bare[key] = tensor
        elif found := dict(_tensors(value, "", torch, DEEPEST, rest)):
            states[key] = found
            rests[key] = Rest(rest.classes, {f"{key}: {name}": None for name in rest.dropped})
        else:
            besides.drop(key)
            besides.classes |= rest.classes
    top = UNNAMED if whole else None
    if bare:
        top = TOP if any(not is_aside(name) for name in states) else UNNAMED
        if top in states:
            raise Refused(f"tensors lie at its top and also under {top!r}: save it anew with another key there")
        states[top] = bare
    if sum(map(len, states.values())) > MOST:
        raise Refused(f"it holds more than {MOST:,} tensors: save those of the network alone")
    return states, top, values, {"": besides, **rests}


def _told_apart(value: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Keys as texts, by which files and tensors are named. Raises Refused where two are one, or one is no text."""
    seen: dict[str, Any] = {}
    for key, part in value.items():
        name = str(key)
        if name in seen:
            both = f"{seen[name]!r} and {key!r}"
            raise Refused(f"two of its keys are written alike, {both}: save it anew with keys that are texts")
        _check_text(name)
        seen[name] = key
        yield name, part


def _check_text(name: str) -> None:
    """Raises Refused for a name with half a character, which no file can be called by."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Refused(f"its key {name[:100]!a} is no text: save it anew under another") from None


def _tensor(value: Any, name: str, torch: Any, rest: Rest) -> Any:
    """A tensor, or an array of NumPy as one; None for anything else."""
    if isinstance(value, Array):
        try:
            numbers = value.numbers()
        except ValueError as error:
            raise Refused(f"{name[:100]!r}: {error}: it is damaged") from None
        if numbers is not None:
            return torch.from_numpy(numbers)
        rest.classes.add("numpy.ndarray of other things than numbers")
        rest.drop(name)
        return None
    if not isinstance(value, torch.Tensor):
        return None
    if value.device.type == "meta":
        raise Refused(f"{name[:100]!r} has a shape and no numbers (device meta): load the weights, and save it anew")
    if value.is_nested:
        raise Refused(f"{name[:100]!r} is a nested tensor, which safetensors do not hold: {SAVE_ANEW}")
    if value.layout is not torch.strided or value.is_quantized or value.is_complex():
        raise Refused(f"{name[:100]!r} is sparse, quantised or complex, which safetensors do not hold: {SAVE_ANEW}")
    return value


def _tensors(value: Any, name: str, torch: Any, left: int, rest: Rest) -> Iterator[tuple[str, Any]]:
    """Names with dots, as a state_dict has them, and the tensors; of a pickled module without its own words for where
    they lie."""
    if (tensor := _tensor(value, name, torch, rest)) is not None:
        _check_text(name)
        if name == "__metadata__":
            raise Refused(
                f"a tensor in it is called {name}, which safetensors keep for themselves: save it under another"
            )
        yield name, tensor
        return
    if left == 0:
        raise Refused("it is nested too deep: save the state_dict of its module")
    if isinstance(value, Mapping) and not isinstance(value, Scalar):
        parts = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(str(number), part) for number, part in enumerate(value)]
    else:
        rest.drop(name)
        return
    within = isinstance(value, Left)
    seen = set()
    for key, part in parts:
        below = name if within and key in ("_parameters", "_buffers", "_modules") else f"{name}.{key}".lstrip(".")
        for one in _tensors(part, below, torch, left - 1, Rest(rest.classes) if within else rest):
            if one[0] in seen:
                raise Refused(f"two of its tensors are called {one[0][:100]!r}: save them under different names")
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
