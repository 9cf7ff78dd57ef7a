"""The files of a model folder: JSON that we read ourselves, weights in safetensors only."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainedon.errors import UserError
from trainedon.reading import json_of, kind_of, read_bytes

if TYPE_CHECKING:
    from trainedon.targets.reading.opened import Ledger

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
WEIGHTS = "diffusion_pytorch_model"
MOST_JSON = 8 * 2**20  # bytes of a configuration
MOST_SHARDS = 500


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises UserError when there is none."""
    try:
        data = read_bytes(path, MOST_JSON)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is missing: the model folder is incomplete") from None
    return object_of(data, path)


def object_of(data: bytes, path: Path) -> dict[str, Any]:
    """The JSON object in the bytes of a file. Raises UserError when there is none."""
    value = json_of(data, path)
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold a JSON object: the model folder is damaged")
    return value


@dataclass(frozen=True)
class Weights:
    """The safetensors that a part is loaded from: one file, or the shards that an index names. variant: `fp16` of
    `model.fp16.safetensors`; None for the files without one. sharded: tensor -> name of the shard."""

    files: tuple[Path, ...]
    variant: str | None = None
    sharded: dict[str, str] | None = None


def weights_of(files: Ledger, folder: Path, name: str = WEIGHTS) -> Weights:
    """What diffusers (or transformers, for another name) opens of a folder; where there are variants alone, the one.

    The choice is made once for a ledger. Raises UserError when there are no weights, when there is no telling which of
    several variants is meant, and where an index does not fit; says so where there are pickles.
    """
    key = folder.absolute(), name
    if key not in files.chosen:
        files.chosen[key] = _weights_of(files, folder, name)
    chosen: Weights = files.chosen[key]
    return chosen


def _weights_of(files: Ledger, folder: Path, name: str) -> Weights:
    variants = _variants(folder, name)
    if None not in variants and not set(variants) <= {"fp16", "bf16"} and len(variants) > 1:
        raise UserError(
            f"{folder} holds weights in several variants ({', '.join(map(str, variants))}): leave one there, "
            f"or rename the one that is meant to {name}.safetensors"
        )
    for variant in (None, "fp16", "bf16", *variants):  # of roundings of the same weights the finer one
        if variant in variants:
            return _weights(files, folder, name, variant)
    raise UserError(_none_there(folder, name))


def _variants(folder: Path, name: str) -> list[str | None]:
    """Which variants of weights lie in a folder; None stands for those without a name."""
    middle = re.compile(
        rf"{re.escape(name)}(?:\.(?P<single>[\w-]+))?\.safetensors|"
        rf"{re.escape(name)}\.safetensors\.index(?:\.(?P<index>[\w-]+))?\.json|"
        rf"{re.escape(name)}\.safetensors\.(?P<old>[\w-]+)\.index\.json"
    )
    found: list[str | None] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = middle.fullmatch(path.name)
        if match and there(path) and not re.search(r"-\d+-of-\d+$", match["single"] or ""):
            found.append(match["single"] or match["index"] or match["old"])
    return list(dict.fromkeys(found))


def _weights(files: Ledger, folder: Path, name: str, variant: str | None) -> Weights:
    suffix = f".{variant}" if variant else ""
    single = folder / f"{name}{suffix}.safetensors"
    indices = [folder / f"{name}.safetensors.index{suffix}.json", folder / f"{name}.safetensors{suffix}.index.json"]
    index = next(filter(there, indices), None)
    if index is None or (name != WEIGHTS and there(single)):  # diffusers prefers the shards, transformers the file
        return Weights((single,), variant)
    shards = files.json(index).get("weight_map")
    if not (isinstance(shards, dict) and shards and all(isinstance(shard, str) for shard in shards.values())):
        raise UserError(f"{index} names no shards: the model folder is damaged")
    names = sorted(set(shards.values()))
    if len(names) > MOST_SHARDS or len({shard.casefold() for shard in names}) < len(names):
        raise UserError(f"{index} names {len(names):,} shards, too many or alike: the model folder is damaged")
    for shard in names:
        if Path(shard).name != shard or "\\" in shard or ":" in shard or not shard.endswith(".safetensors"):
            raise UserError(f"{index} names {shard[:100]!r}: only safetensors in the same folder are opened")
        if not there(folder / shard):
            raise UserError(
                f"{folder / shown(shard)} is missing, which {index.name} names: the model folder is incomplete"
            )
    return Weights(tuple(folder / shard for shard in names), variant, shards)


def _none_there(folder: Path, name: str) -> str:
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    pickles = [one for one in there if Path(one).suffix in PICKLES]
    if any(one.startswith(name) and one.endswith(".safetensors") for one in there):
        return f"{folder} holds shards of weights without their index, {name}.safetensors.index.json: put it there"
    if pickles:
        return (
            f"{folder} holds only pickled weights ({pickles[0]}), which can run code when opened: "
            "convert them to safetensors first, with `trainedon convert`"
        )
    return f"{folder} holds no weights: {name}.safetensors is missing"


# How diffusers called attention before 0.15.
FORMER_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def present_name(tensor: str) -> str:
    """What a tensor of attention that has a name of 2022 is called now; others as they are."""
    names = tensor.split(".")
    if len(names) > 2:  # block.query.weight
        names[-2] = FORMER_NAMES.get(names[-2], names[-2])
    return ".".join(names)


def check_tensors(files: Ledger, weights: Weights, exact: bool) -> None:
    """Raises UserError when a tensor is there twice, so that one would be dropped: in two shards, or under its present
    and its former name; `exact`: or where an index is not just what lies in the shards."""
    found: dict[str, str] = {}
    for path in weights.files:
        for key in files.tensors(path).entries:
            if key in found:
                raise UserError(f"{shown(key)} lies in two shards, {found[key]} and {path.name}: the model is damaged")
            found[key] = path.name
    if exact and weights.sharded is not None and found != weights.sharded:
        key = min(key for key, _ in found.items() ^ weights.sharded.items())
        raise UserError(f"{weights.files[0].parent}: the index of the shards does not fit them (first: {shown(key)})")
    twice = [key for key in found if present_name(key) != key and present_name(key) in found]
    if exact and twice:
        raise UserError(
            f"{weights.files[0]} holds {shown(min(twice))} under its former and its present name: it is damaged"
        )


def there(path: Path) -> bool:
    """Whether there is such a file. Raises UserError where something else stands in its place."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise UserError(f"{path} is a link to nothing: the model folder is incomplete") from None
        return False
    except ValueError:  # a name that no file has
        return False
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
            raise
        raise UserError(f"{path} is no file ({brief(error)}): the model folder is damaged") from None
    if kind_of(mode) != "a file":
        raise UserError(f"{path} is {kind_of(mode)} and no file: the model folder is damaged")
    return True


def brief(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def shown(name: str, most: int = 100) -> str:
    """A tensor's name, or what a stranger's program says, which may hold anything, as part of one line."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name[:most])
    return plain + ("..." if len(name) > most else "")
