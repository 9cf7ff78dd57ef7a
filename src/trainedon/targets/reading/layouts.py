"""Where the parts of a model lie: a pipeline's folder, one with everything at its top, a network beside or below its
pipeline as training scripts leave it, a repository in the hub's cache."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainedon.errors import UserError
from trainedon.reading import read_bytes
from trainedon.targets.reading.hub import ASIDE
from trainedon.targets.reading.model_files import there
from trainedon.targets.reading.opened import Ledger

MOST_NAME = 1000  # bytes of a file that names a commit
INDEX, CONFIG, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
CHECKPOINT = re.compile(r"checkpoint-\d+")
# The part that denoises, whichever the family; with `_ema` behind it, its moving average.
NETWORKS = ("unet", "transformer")
LEGACY = "Transformer2DModel"  # the class of all transformers before diffusers 0.29; their configuration says which


@dataclass(frozen=True)
class Layout:
    """root: what the parts' folders are looked for in. index: its `model_index.json`; None for a bare network.
    elsewhere: parts that lie in another folder than their own, the network among them. network: the folder of a bare
    network. notes: what was chosen, for the record."""

    root: Path
    index: dict[str, Any] | None = None
    elsewhere: dict[str, Path] = field(default_factory=dict)
    network: Path | None = None
    notes: tuple[str, ...] = ()

    def folder(self, part: str) -> Path:
        """A part's folder: its own, or else the top, as diffusers looks for it."""
        return self.elsewhere.get(part) or part_folder(self.root, part)


def part_folder(root: Path, part: str) -> Path:
    return root / part if (root / part).is_dir() else root


def layout_of(folder: Path, files: Ledger) -> Layout:
    """The layout of a model folder. Raises UserError when it is none."""
    if there(folder / INDEX):
        index = _index(files, folder)
        notes = [_averaged_too(folder, part) for part in NETWORKS if part in index]
        return Layout(folder, index, notes=tuple(filter(None, notes)))
    if not there(folder / CONFIG):
        return _checkpoint(files, folder)
    found = _pipeline_above(files, folder)
    if found is None:
        return Layout(folder, network=folder)
    root, index, part = found
    name, where = folder.absolute().name, os.path.relpath(root, folder)
    trained = {} if root == folder.absolute().parent else _beside(folder.absolute().parent, index, part)
    others = f"{', '.join(trained)} beside it and the other parts" if trained else "the other parts"
    note = f"the network in {name} is asked with {others} of its pipeline, which lies in {where} from there"
    averaged = [_averaged_too(folder.parent, part)] if name == part else []
    return Layout(root, index, {part: folder} | trained, notes=tuple(filter(None, [note, *averaged])))


def _index(files: Ledger, root: Path) -> dict[str, Any]:
    """A pipeline's `model_index.json`. Raises UserError when its class is none by name, such as `[module, class]`."""
    index = files.json(root / INDEX)
    kind = index.get("_class_name")
    if not isinstance(kind, str | None):
        raise UserError(
            f"{root / INDEX}: _class_name is {str(kind)[:80]}, no name of a class: name a pipeline of diffusers there, "
            "those with code of their own are not supported"
        )
    return index


def _beside(checkpoint: Path, index: dict[str, Any], network: str) -> dict[str, Path]:
    """The parts of a pipeline that a checkpoint holds beside the network, as they were at that step of training."""
    named = [part for part, value in index.items() if isinstance(value, list) and any(value) and part != network]
    return {part: checkpoint / part for part in named if part not in ASIDE and (checkpoint / part).is_dir()}


def _averaged_too(folder: Path, part: str) -> str | None:
    """What is said where moving averages lie beside the weights that are used."""
    averaged = folder / f"{part}_ema"
    if not ((folder / part).is_dir() and averaged.is_dir()):
        return None
    return f"{part} is audited; {averaged.name}, the moving average of its weights, lies beside it and is not used"


def _checkpoint(files: Ledger, folder: Path) -> Layout:
    """A folder without either JSON file: what a training script saved on the way, with a network below it."""
    for part in NETWORKS:
        for name in (part, f"{part}_ema"):
            if there(folder / name / CONFIG):
                return layout_of(folder / name, files)
    below = sorted(path.name for path in folder.iterdir() if CHECKPOINT.fullmatch(path.name) and path.is_dir())
    if below:
        raise UserError(f"{folder} holds no finished model, but checkpoints ({', '.join(below[:5])}): give one of them")
    raise UserError(f"{folder} is not a model folder: it has neither model_index.json nor config.json")


def _pipeline_above(files: Ledger, folder: Path) -> tuple[Path, dict[str, Any], str] | None:
    """The pipeline that a network's folder belongs to, its `model_index.json`, and which part of it the network is:
    one level up, or two from a training script's checkpoint."""
    folder = folder.absolute()
    above = [folder.parent, *([folder.parent.parent] if CHECKPOINT.fullmatch(folder.parent.name) else [])]
    for root in above:
        part = next((part for part in NETWORKS if folder.name.startswith(part)), None)
        if part and there(root / INDEX):
            index = _index(files, root)
            if _names(index, part, files.json(folder / CONFIG).get("_class_name"), LEGACY):
                files.below(root)
                return root, index, part
    return None


def _names(index: dict[str, Any], part: str, *kinds: object) -> bool:
    """Whether a pipeline's part is of one of these classes."""
    named = index.get(part)
    return isinstance(named, list) and named[-1:] in [[kind] for kind in kinds]


def _strangers(files: Ledger, folder: Path, network: Path) -> bool:
    """Whether a folder is that of a pipeline which the network is no part of."""
    if not there(folder / INDEX):
        return False
    index, kind = _index(files, folder), files.json(network / CONFIG).get("_class_name")
    return not any(_names(index, part, kind) for part in NETWORKS)


def scheduler_near(files: Ledger, network: Path, root: Path) -> Path | None:
    """The scheduler's configuration that lies nearest to a network: beside it, then in its pipeline, `root`, then above
    it, where that is the folder of a model with several parts, but no other pipeline's."""
    network = network.absolute()
    saved = CHECKPOINT.fullmatch(network.parent.name)
    above = [network.parent] if saved or network.name.startswith(NETWORKS) else []
    above += [network.parent.parent] if saved else []
    folders = [network, root, *(folder for folder in above if not _strangers(files, folder, network))]
    places = [place for folder in folders for place in (folder / SCHEDULER, folder / "scheduler" / SCHEDULER)]
    return next(filter(there, places), None)


def cached(folder: Path) -> tuple[Path, str] | None:
    """The snapshot in a repository's folder of the hub's cache, `models--owner--name`, and its name; None for others.

    Raises UserError when there is no telling which snapshot is meant.
    """
    if not (folder / "snapshots").is_dir() or (folder / INDEX).exists() or (folder / CONFIG).exists():
        return None
    found = sorted(path.name for path in (folder / "snapshots").iterdir() if path.is_dir())
    main = folder / "refs" / "main"
    commit = read_bytes(main, MOST_NAME).decode("utf-8", "replace").strip() if there(main) else None
    if commit not in found:
        if commit is not None or len(found) != 1:
            raise UserError(
                f"{folder} is a repository of the hub's cache, and refs/main names none of its snapshots: "
                f"give one of them ({', '.join(found[:5]) or 'there is none'})"
            )
        commit = found[0]
    name = folder.name.removeprefix("models--").replace("--", "/")
    return folder / "snapshots" / commit, f"{name}@{commit}"
