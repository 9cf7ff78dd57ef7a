"""Load a model under audit, safely: JSON that we read ourselves, classes on a list, weights in safetensors only."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from trainedon.embedded import EMBEDDED, model_folder
from trainedon.errors import UserError
from trainedon.targets.adapters import Adapter, Adapters, adapters_of, digest_with, fuse, named
from trainedon.targets.checkpoints.single_file import open_single, single_digest
from trainedon.targets.core.device import batched, chosen, usual_precision
from trainedon.targets.core.identity import Identity
from trainedon.targets.core.path import NoisePath, prediction_of
from trainedon.targets.core.row_memory import Memory
from trainedon.targets.core.target import Target
from trainedon.targets.distilled import distilled, noted
from trainedon.targets.networks.families import (
    FAMILIES,
    Opened,
    check,
    check_offload,
    keep_elsewhere,
    open_pipeline,
    parts_of,
)
from trainedon.targets.networks.footprint import fit, reckon_apart
from trainedon.targets.networks.network import PRECISIONS
from trainedon.targets.networks.text import Text
from trainedon.targets.pixel_models import pixel_files, pixel_target
from trainedon.targets.reading import configs
from trainedon.targets.reading.hub import download
from trainedon.targets.reading.layouts import INDEX, NETWORKS, SCHEDULER, Layout, cached, layout_of
from trainedon.targets.reading.model_files import WEIGHTS, brief, shown, weights_of
from trainedon.targets.reading.opened import Ledger

_USUAL = {"size": None, "offload": None, "slicing": False}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


def load_target(
    model: str | Path,
    *,
    device: str = "cpu",
    rows: int | None = None,
    precision: str = "auto",
    compile: bool = False,
    adapter: Adapters = None,
    base: str | Path | None = None,
    size: int | None = None,
    offload: str | None = None,
    slicing: bool = False,
) -> Target:
    """The model at a local diffusers folder, in one safetensors file with original names, or on the hub (`owner/name`
    or `owner/name@revision`); `embedded` is the model that ships with the package.

    rows: how many pictures go through the network at once, fewer where memory has no room for them; None: what is
    fastest on most networks. precision: float32, bfloat16 or float16, in which it multiplies, or auto: as its files on
    CUDA, float32 elsewhere; compile: whether it goes through `torch.compile`; both change scores.
    Of latent models only: adapter: the file or folder of a LoRA that is fused into it, `PATH:0.6` for part of its
    change, or several; size: side of the pictures in pixels, if not the one that the model was trained for; offload:
    `model` or `sequential`, diffusers' switches that keep parts elsewhere while they do not work; slicing: attention
    and autoencoder in slices.
    base: of a model in one file alone: a diffusers folder with what the file lacks (tokenizers always).
    Raises UserError when the folder is not a model that is supported, when its weights are a pickle, incomplete or not
    finite, when a part of it may not be read.
    """
    if precision not in ("auto", *PRECISIONS):
        raise UserError(f"precision {precision!r} is not known: choose one of auto, {', '.join(PRECISIONS)}")
    how: dict[str, Any] = {"device": chosen(device), "rows": rows}
    how |= {"precision": precision, "compiled": compile}
    check_offload(offload, how["device"])
    options = {"size": size, "offload": offload, "slicing": slicing}
    try:
        if base is not None and not Path(model).is_file():
            raise UserError(f"--base is for a model in one file, and {model} is none: leave it out")
        if Path(model).is_file():
            base = None if base is None else Path(base)
            adapters = adapters_of(adapter)
            single = open_single(Path(model), base, partial(_settled, how))
            return _target(single, Path(model).name, adapters, {"base": base, **options}, how)
        folder, name = _folder(model)
        with Ledger(folder) as files:
            return _of_folder(files, folder, name, adapter, options, how)
    except PermissionError as error:
        raise UserError(f"{error.filename or model} cannot be read: no permission") from None
    except OSError as error:
        raise UserError(f"{shown(str(error.filename or model))} cannot be read ({brief(error)})") from None


def _of_folder(
    files: Ledger,
    folder: Path,
    name: str,
    adapter: Adapters,
    options: dict[str, Any],
    how: dict[str, Any],
) -> Target:
    layout = layout_of(folder, files)
    name, index = _named(layout, name), layout.index
    family = None if index is None else FAMILIES.get(str(index.get("_class_name")))
    if index is not None and family is not None:
        check(index, family)
        adapters = adapters_of(adapter)
        dtype = _settled(how, lambda: _kinds(files, layout.folder(family.network[0])))
        opened = open_pipeline(layout.root, index, family, dtype, layout, files)
        digest = files.digest(layout.root, _deciding(files, layout))
        return _target((opened, digest, layout.notes), name, adapters, options, how)
    if adapter or options != _USUAL:
        raise UserError(
            "adapters, another size, offloading and slicing are for latent models: a pixel model takes none of them"
        )
    _settled(how, lambda: _kinds(files, layout.network or layout.folder("unet")))
    return pixel_target(files, layout, name, how)


def _settled(how: dict[str, Any], kinds: Callable[[], Mapping[str, int]]) -> torch.dtype:
    """The type of a model's numbers; of `how` the precision is a named one from now on.

    kinds: says how many numbers of each type the network's files hold.
    """
    if how["precision"] == "auto":
        device = how["device"]
        how["precision"] = usual_precision(device, kinds() if device.type == "cuda" else {})
    return PRECISIONS[how["precision"]]


def _kinds(files: Ledger, folder: Path) -> Counter[str]:
    """How many numbers of each type the weights in a folder hold, by the headers of their files."""
    found: Counter[str] = Counter()
    for path in weights_of(files, folder).files:
        for entry in files.tensors(path).entries.values():
            found[entry.kind] += math.prod(entry.shape)
    return found


def _target(
    read: tuple[Opened, str, tuple[str, ...]],
    name: str,
    adapters: Sequence[Adapter],
    options: dict[str, Any],
    how: dict[str, Any],
) -> Target:
    """The target of a latent model that was read, with its digest and its notes, and its adapters."""
    opened, digest, notes = read
    size = options["size"]
    fused = fuse(opened, adapters)
    digest, name = digest_with(digest, adapters, fused), named(name, adapters)
    digest = sized(digest, size)
    if options["slicing"]:
        opened.autoencoder.enable_slicing()
        opened.pipeline.enable_attention_slicing()
    how = how | {"offload": options["offload"], "options": options}
    return _latent(opened, name, digest, size, notes, how)


def sized(digest: str, size: int | None) -> str:
    """The digest of a model that is asked for pictures of `size` pixels; None for its own size."""
    return digest if size is None else hashlib.sha256(f"{digest} {size} pixels".encode()).hexdigest()


def _latent(
    opened: Opened, name: str, digest: str, size: int | None, notes: tuple[str, ...], how: dict[str, Any]
) -> Target:
    network, scheduler, family = opened.network, configs.effective(opened.scheduler), opened.family
    shape = opened.shape(size)
    prediction = "flow" if family.flow else prediction_of(scheduler)
    if family.flow:
        path = NoisePath.from_flow(scheduler, shape[1] * shape[2] // opened.step**2)
    else:
        path = NoisePath.from_scheduler(scheduler, opened.sampler)
    why = distilled(opened.sampler, scheduler, dict(network.config), family.title, [name])
    conditioned, classes = "conditioned on captions", None
    if not issubclass(family.adapter, Text):
        config = network.config
        classes = getattr(config, "num_class_embeds", None) or getattr(config, "num_embeds_ada_norm", None)
        conditioned = "conditioned on classes" if classes else "unconditional"
    weights = sum(parameter.numel() for parameter in network.parameters())
    target = family.adapter(
        identity=Identity(name, digest, f"{family.title}, {conditioned}", weights, (*notes, *noted(why)), why),
        shape=shape,
        path=path,
        prediction=prediction,
        classes=classes,
        network=network,
        pixels=(opened.autoencoder.config.in_channels, shape[1] * opened.factor, shape[2] * opened.factor),
        autoencoder=opened.autoencoder,
        pipeline=opened.pipeline,
        **batched(how, shape, network),
    )
    if target.offload is not None:
        reckon_apart(target)
        keep_elsewhere(opened.pipeline, target.device, target.offload)
    fit(target, Memory.of(target.device))
    return target


def _folder(model: str | Path) -> tuple[Path, str]:
    path = Path(model)
    if path.is_dir():
        return cached(path) or (path, path.name or str(path.resolve().name))
    if path.exists():
        raise UserError(f"{model} is neither a folder nor a file: give a diffusers folder, or a checkpoint")
    if str(model) == EMBEDDED:  # a folder of that name goes before it
        return model_folder(), EMBEDDED
    if not HUB_ID.fullmatch(str(model)):
        raise UserError(f"{model} does not exist: give a diffusers folder, a hub id such as owner/name, or embedded")
    return download(*str(model).partition("@")[::2])


def _named(layout: Layout, name: str) -> str:
    """A network that stands for its pipeline's own is called by both."""
    if not layout.elsewhere:
        return name
    folder = next(layout.elsewhere[part] for part in NETWORKS if part in layout.elsewhere)
    return f"{layout.root.absolute().name}/{Path(os.path.relpath(folder, layout.root)).as_posix()}"


def model_digest(folder: Path, adapter: Adapters = None, base: Path | None = None) -> str:
    """The digest of a local model, a folder or a file, as in its `Identity`, without loading its weights."""
    if folder.is_file():
        return digest_with(single_digest(folder, base), adapters_of(adapter))
    folder = (cached(folder) or (folder,))[0]
    with Ledger(folder) as files:
        layout = layout_of(folder, files)
        if layout.index is not None and layout.index.get("_class_name") in FAMILIES:
            return digest_with(files.digest(layout.root, _deciding(files, layout)), adapters_of(adapter))
        return files.digest(layout.root, pixel_files(files, layout))


def _deciding(files: Ledger, layout: Layout) -> list[Path]:
    """The files that decide the answers of a pipeline: of each part its weights, or all that it has without any."""
    deciding = [layout.root / INDEX]
    for part, (library, _) in parts_of(layout.index or {}).items():
        folder = layout.folder(part)
        if part == "scheduler" and folder == layout.root:
            deciding.append(folder / SCHEDULER)
        elif part == "scheduler" or part.startswith("tokenizer"):
            deciding += files.listed(folder)
        else:
            name = WEIGHTS if library == "diffusers" else "model"
            deciding += [folder / "config.json", *weights_of(files, folder, name).files]
    return deciding
