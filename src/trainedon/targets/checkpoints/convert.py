"""A pickled checkpoint -> safetensors: its tensors alone, and a list of what was left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from trainedon.errors import UserError
from trainedon.files import write_json
from trainedon.fresh_interpreter import MODULES, command_of
from trainedon.reading import open_regular
from trainedon.safe_names import safe_name
from trainedon.targets.checkpoints.unpickled import UNNAMED
from trainedon.targets.reading.model_files import shown
from trainedon.targets.reading.tensors import Tensors

LISTED = "convert.json"
LOCK = ".lock"
PICKLED = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
_PROGRAM = f"{MODULES} from trainedon.targets.checkpoints.unpickled import serve; serve()"
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True)
class Converted:
    """What a checkpoint held. files: name of the file written -> key in the checkpoint, None of what lay bare at its
    top, and how many tensors. begins: name of the file -> what all names in it begin with, `module.` say, where they
    do. aside: keys whose tensors were not taken (of an optimiser, or others than the one asked for). values: its
    numbers and texts, and lists and dictionaries of such. dropped: where other things lay, which nothing holds now.
    unknown: names of classes that were not opened. alone: whether the process had no network at all."""

    files: Mapping[str, tuple[str | None, int]]
    begins: Mapping[str, str]
    aside: tuple[str, ...]
    dropped: tuple[str, ...]
    values: Mapping[str, Any]
    unknown: tuple[str, ...]
    sha256: str
    alone: bool


def convert(checkpoint: str | Path, out: str | Path, only: str | None = None) -> Converted:
    """Write the tensors of a checkpoint that `torch.save` wrote (`.pt`, `.pth`, `.ckpt`, `.bin`) to a new folder.

    Each dictionary of tensors at its top becomes a file of safetensors named by its key, `ema.safetensors` say, all
    but optimisers and their kin; tensors that lie bare at its top become `model.safetensors`, or `top.safetensors`
    where such files are there besides. NumPy's arrays of numbers are taken as tensors. `convert.json` lists them, with
    the checkpoint's digest, its numbers and texts, and what was left. only: the key to take. No code of the checkpoint
    runs: see `unpickled`. Raises UserError for a file that is none, and a folder that holds something.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    _check(checkpoint, out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _hidden(out) as place:
            told = _asked(checkpoint, place, only)
            found = _named(told, place)
            write_json(place / LISTED, _listed(checkpoint, found))
            mode = (place / LISTED).stat().st_mode & 0o777  # safetensors writes files for their owner alone
            for name in found.files:
                (place / name).chmod(mode)
            if out.exists():
                out.rmdir()  # an empty one
            place.rename(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror or error}): choose another --out") from None
    return found


@contextmanager
def _hidden(out: Path) -> Iterator[Path]:
    """A new folder beside `out` for this process alone, which goes with the block; what a killed process left there
    goes first. Raises UserError where another one works there, or something of somebody else's lies there."""
    hidden = out.absolute().with_name(f".{out.name}.tmp")
    place = hidden / "out"
    if hidden.is_symlink() or (hidden.exists() and not _is_left_over(hidden)):
        raise UserError(f"{hidden} is none of this program's: move it away, or choose another --out")
    hidden.mkdir(exist_ok=True)
    lock = FileLock(hidden / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(f"another process writes {out}: wait for it, or choose another --out") from None
    try:
        if place.exists():
            shutil.rmtree(place)
        place.mkdir()
        yield place
    finally:
        shutil.rmtree(hidden, ignore_errors=True)  # while it is locked: afterwards it may be another process's
        lock.release()


def _is_left_over(hidden: Path) -> bool:
    """Whether a folder holds nothing but what this program writes there."""
    if not hidden.is_dir() or {path.name for path in hidden.iterdir()} - {LOCK, "out"}:
        return False
    place = hidden / "out"
    written = place.iterdir() if place.is_dir() and not place.is_symlink() else ()
    return all(path.name.endswith((".safetensors", LISTED, f"{LISTED}.tmp")) for path in written)


def _listed(checkpoint: Path, found: Converted) -> dict[str, Any]:
    return {
        "source": checkpoint.name,
        "sha256": found.sha256,
        "files": {name: {"key": key, "tensors": count} for name, (key, count) in found.files.items()},
        "left_out": [*found.aside],
        "dropped": [*found.dropped],
        "values": dict(found.values),
        "not_opened": [*found.unknown],
    }


def _check(checkpoint: Path, out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} is there already: give a new folder, to which the tensors are written")
    if checkpoint.is_dir():
        raise UserError(_which(checkpoint))
    try:
        with open_regular(checkpoint) as stream:
            head = stream.read(16)
    except FileNotFoundError:
        raise UserError(f"{checkpoint} does not exist; check the spelling") from None
    except OSError as error:
        raise UserError(f"{checkpoint} cannot be read ({error.strerror})") from None
    if head[8:9] == b"{":
        raise UserError(f"{checkpoint} is a safetensors file already: nothing is to be converted")


def _which(folder: Path) -> str:
    """What to give in place of a folder, such as a training program leaves."""
    there = sorted(path.name for path in folder.iterdir() if path.suffix in (*PICKLED, ".safetensors"))
    named = ", ".join(map(shown, there[:8])) + (", ..." if len(there) > 8 else "")
    holds = f"it holds {named}" if there else f"it holds none that ends in {', '.join(PICKLED)}"
    return f"{folder} is a folder: give the file in it that holds the network ({holds})"


def _asked(checkpoint: Path, place: Path, only: str | None) -> dict[str, Any]:
    """What the other process says. Raises UserError where it refuses, or came to an end."""
    order = json.dumps([str(checkpoint.absolute()), str(place.absolute()), only])
    try:
        done = subprocess.run(
            command_of(_PROGRAM, order),
            env=os.environ | _ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError as error:
        raise UserError(f"no other process can be started to open it ({error.strerror}): allow some more") from None
    try:
        told = json.loads(done.stdout.splitlines()[-1])
        reason = told.get("reason")
    except (ValueError, LookupError, AttributeError):
        raise UserError(
            f"{checkpoint} was not opened: the process that reads it came to an end (code {done.returncode}), such as "
            "where memory or time run out"
        ) from None
    if reason is not None:
        raise UserError(f"{checkpoint} was not converted: {shown(str(reason), 500)}")
    return dict(told)


def _named(told: dict[str, Any], place: Path) -> Converted:
    """What was written, under the names of its keys. Raises UserError for files that are no safetensors, since what
    the other process says may be the file's own words."""
    taken: set[str] = {LISTED}
    files: dict[str, tuple[str | None, int]] = {}
    begins: dict[str, str] = {}
    try:
        for number, one in enumerate(told["files"].values()):
            written = place / f".{number}.safetensors"
            with open_regular(written, follow=False) as stream:
                names = [*Tensors(stream, place).entries]
            name = safe_name(str(one["key"]).replace("/", "_") or UNNAMED, taken, ".safetensors")
            written.rename(place / name)
            files[name] = (None if one["top"] else str(one["key"]), len(names))
            if shared := _shared(names):
                begins[name] = shared
        if not files or {path.name for path in place.iterdir()} != {*files}:
            raise ValueError("other files than said")
        return Converted(
            files=files,
            begins=begins,
            aside=tuple(map(str, told["aside"])),
            values={str(key): value for key, value in told["values"].items()},
            dropped=tuple(map(str, told["dropped"])),
            unknown=tuple(map(str, told["unknown"])),
            sha256=str(told["sha256"]),
            alone=bool(told["alone"]),
        )
    except (ValueError, TypeError, LookupError, AttributeError, OSError) as error:
        raise UserError(
            f"what was read of the checkpoint makes no sense ({shown(str(error))}): it is damaged"
        ) from None


def _shared(names: list[str]) -> str:
    """What the names of all tensors begin with, up to a dot; nothing of a single one."""
    levels = zip(*(name.split(".")[:-1] for name in names)) if len(names) > 1 else ()
    return "".join(f"{level[0]}." for level in takewhile(lambda level: len({*level}) == 1, levels))
