"""Load a model under audit, safely: JSON that we read ourselves, classes on a list, weights in safetensors only."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainedon.errors import UserError
from trainedon.targets.adapters import Adapter, Adapters, adapters_of, digest_with, fuse, named
from trainedon.targets.checkpoints.single_file import open_single, single_digest
from trainedon.targets.core.batching import PAD, Batching
from trainedon.targets.core.path import PREDICTIONS, NoisePath
from trainedon.targets.core.target import Identity, Target
from trainedon.targets.distilled import distilled
from trainedon.targets.networks.families import FAMILIES, Opened, check, open_pipeline, parts_of, spare
from trainedon.targets.networks.network import PRECISIONS
from trainedon.targets.networks.text import Text
from trainedon.targets.networks.unet import PixelUNet, open_unet, shape_of
from trainedon.targets.reading import configs
from trainedon.targets.reading.hub import download
from trainedon.targets.reading.layouts import INDEX, NETWORKS, SCHEDULER, Layout, cached, layout_of, scheduler_near
from trainedon.targets.reading.model_files import WEIGHTS, brief, shown, there, weights_of
from trainedon.targets.reading.opened import Ledger
from trainedon.targets.reading.schedulers import SCHEDULERS, check_scheduler

SUPPORTED = "pixel-space pipelines with a UNet2DModel (DDPM, DDIM and alike), bare UNet2DModel folders, " + ", ".join(
    FAMILIES
)
ROWS = {"cpu": 32}  # what lies in a processor's cache is soon at hand: more rows take longer, each (docs/speed.md)
ROWS_ELSEWHERE = 64
MOST_NUMBERS = 2**27  # 512 MiB, of which a network holds several
_USUAL = {"size": None, "offload": None, "slicing": False}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


def load_target(
    model: str | Path,
    *,
    device: str = "cpu",
    rows: int | None = None,
    precision: str = "float32",
    compile: bool = False,
    adapter: Adapters = None,
    base: str | Path | None = None,
    size: int | None = None,
    offload: str | None = None,
    slicing: bool = False,
) -> Target:
    """The model at a local diffusers folder, in one safetensors file with original names, or on the hub (`owner/name`
    or `owner/name@revision`).

    rows: how many pictures go through the network at once; None: what is fastest on most networks. precision: float32,
    bfloat16 or float16, in which it multiplies; compile: whether it goes through `torch.compile`; both change scores.
    Of latent models only: adapter: the file or folder of a LoRA that is fused into it, `PATH:0.6` for part of its
    change, or several; size: side of the pictures in pixels, if not the one that the model was trained for; offload:
    `model` or `sequential`, diffusers' switches that keep parts elsewhere while they do not work; slicing: attention
    and autoencoder in slices.
    base: of a model in one file alone: a diffusers folder with what the file lacks (tokenizers always).
    Raises UserError when the folder is not a model that is supported, when its weights are a pickle, incomplete or not
    finite, when a part of it may not be read.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r} is not known: choose one of {', '.join(PRECISIONS)}")
    how: dict[str, Any] = {"device": _device(device), "rows": rows}
    how |= {"precision": precision, "compiled": compile}
    options = {"size": size, "offload": offload, "slicing": slicing}
    try:
        if base is not None and not Path(model).is_file():
            raise UserError(f"--base is for a model in one file, and {model} is none: leave it out")
        if Path(model).is_file():
            base = None if base is None else Path(base)
            adapters = adapters_of(adapter)
            single = open_single(Path(model), base, PRECISIONS[precision])
            return _whole(single, Path(model).name, adapters, {"base": base, **options}, how)
        folder, name = _folder(model)
        with Ledger(folder) as files:
            return _of_folder(files, folder, name, adapter, PRECISIONS[precision], options, how)
    except PermissionError as error:
        raise UserError(f"{error.filename or model} cannot be read: no permission") from None
    except OSError as error:
        raise UserError(f"{shown(str(error.filename or model))} cannot be read ({brief(error)})") from None


def _of_folder(
    files: Ledger,
    folder: Path,
    name: str,
    adapter: Adapters,
    dtype: torch.dtype,
    options: dict[str, Any],
    how: dict[str, Any],
) -> Target:
    layout = layout_of(folder, files)
    name, index = _named(layout, name), layout.index
    family = None if index is None else FAMILIES.get(str(index.get("_class_name")))
    if index is not None and family is not None:
        check(index, family)
        adapters = adapters_of(adapter)
        opened = open_pipeline(layout.root, index, family, dtype, layout, files)
        digest = files.digest(layout.root, _deciding(files, layout))
        return _whole((opened, digest, layout.notes), name, adapters, options, how)
    if adapter or options != _USUAL:
        raise UserError(
            "adapters, another size, offloading and slicing are for latent models: a pixel model takes none of them"
        )
    return _pixel(files, layout, name, how)


def _whole(
    read: tuple[Opened, str, tuple[str, ...]],
    name: str,
    adapters: Sequence[Adapter],
    options: dict[str, Any],
    how: dict[str, Any],
) -> Target:
    """The target of a latent model that was read, with its digest and its notes, and its adapters."""
    opened, digest, notes = read
    size, offload = options["size"], options["offload"]
    fused = fuse(opened, adapters)
    digest, name = digest_with(digest, adapters, fused), named(name, adapters)
    digest = sized(digest, size)
    spare(opened, how["device"], offload, options["slicing"])
    how = how | {"offloaded": offload is not None, "options": options}
    return _latent(opened, name, digest, size, notes, how)


def sized(digest: str, size: int | None) -> str:
    """The digest of a model that is asked for pictures of `size` pixels; None for its own size."""
    return digest if size is None else hashlib.sha256(f"{digest} {size} pixels".encode()).hexdigest()


def _latent(
    opened: Opened, name: str, digest: str, size: int | None, notes: tuple[str, ...], how: dict[str, Any]
) -> Target:
    network, scheduler, family = opened.network, configs.effective(opened.scheduler), opened.family
    shape = opened.shape(size)
    prediction = "flow" if family.flow else _prediction(scheduler)
    if family.flow:
        path = NoisePath.from_flow(scheduler, shape[1] * shape[2] // opened.step**2)
    else:
        path = NoisePath.from_scheduler(scheduler, opened.sampler)
    why = _distilled(opened.sampler, scheduler, dict(network.config), family.title, name)
    asked, classes = "captions", None
    if not issubclass(family.adapter, Text):
        config = network.config
        classes = getattr(config, "num_class_embeds", None) or getattr(config, "num_embeds_ada_norm", None)
        asked = "classes" if classes else "nothing"
    weights = sum(parameter.numel() for parameter in network.parameters())
    return family.adapter(
        identity=Identity(name, digest, f"{family.title}, asked by {asked}", weights, (*notes, *_noted(why)), why),
        shape=shape,
        path=path,
        prediction=prediction,
        classes=classes,
        network=network,
        pixels=(opened.autoencoder.config.in_channels, shape[1] * opened.factor, shape[2] * opened.factor),
        autoencoder=opened.autoencoder,
        pipeline=opened.pipeline,
        **_batched(how, shape, network),
    )


def _batched(how: dict[str, Any], shape: tuple[int, int, int], network: Any) -> dict[str, Any]:
    """How the model is loaded, rows and compilation as a Batching."""
    rows = how["rows"] or _rows(how["device"], shape, network)
    others = {key: value for key, value in how.items() if key not in ("rows", "compiled")}
    return others | {"batching": Batching(rows, how["compiled"])}


def _rows(device: torch.device, shape: tuple[int, int, int], network: Any) -> int:
    """How many rows go through a network at once where nobody said: fewer where each fills much memory, which on a
    processor ends the process and is no error that it could heed."""
    if device.type not in ROWS:
        return ROWS_ELSEWHERE
    widths = getattr(network.config, "block_out_channels", None) or (1,)
    numbers = shape[1] * shape[2] * widths[0]  # of what a row is turned into at its full size
    return max(PAD, min(ROWS[device.type], MOST_NUMBERS // numbers // PAD * PAD))


def _distilled(sampler: str, scheduler: dict[str, Any], network: dict[str, Any], family: str, name: str) -> str | None:
    origins = [str(one) for one in (network.get("_name_or_path"),) if one]
    return distilled(sampler, scheduler, network, family, [name, *origins])


def _noted(distilled: str | None) -> list[str]:
    return [] if distilled is None else [f"the model seems to be distilled to few steps: {distilled}"]


def _prediction(scheduler: dict[str, Any]) -> str:
    prediction: str = scheduler.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise UserError(f"prediction type {prediction!r} is not supported: one of {', '.join(PREDICTIONS)} is needed")
    return prediction


def _pixel(files: Ledger, layout: Layout, name: str, how: dict[str, Any]) -> Target:
    import diffusers  # late, as it takes seconds

    if layout.index is not None:
        _check_pixel(layout.index, layout.root)
    folder = layout.network or layout.folder("unet")
    unet, config = open_unet(files, folder)
    place, kind, notes = _scheduler_of(files, layout)
    scheduler = {} if place is None else files.json(place)
    if place is not None:
        check_scheduler(scheduler, getattr(diffusers, kind), place)
    scheduler = configs.effective(scheduler)
    why = _distilled(kind, scheduler, config, "pixel", name)
    identity = Identity(
        name=name,
        digest=files.digest(layout.root, _pixel_files(files, layout)),
        family="pixel UNet2DModel" + (", class-conditional" if config.get("num_class_embeds") else ""),
        parameters=sum(parameter.numel() for parameter in unet.parameters()),
        notes=(*layout.notes, *notes, *_noted(why)),
        distilled=why,
    )
    return PixelUNet(
        identity=identity,
        shape=shape_of(config),
        path=NoisePath.from_scheduler(scheduler, kind),
        prediction=_prediction(scheduler),
        classes=config.get("num_class_embeds"),
        network=unet,
        **_batched(how, shape_of(config), unet),
    )


def _folder(model: str | Path) -> tuple[Path, str]:
    path = Path(model)
    if path.is_dir():
        return cached(path) or (path, path.name or str(path.resolve().name))
    if path.exists():
        raise UserError(f"{model} is neither a folder nor a file: give a diffusers folder, or a checkpoint")
    if not HUB_ID.fullmatch(str(model)):
        raise UserError(f"{model} does not exist: give a diffusers folder or a hub id such as owner/name")
    return download(*str(model).partition("@")[::2])


def _named(layout: Layout, name: str) -> str:
    """A network that stands for its pipeline's own is called by both."""
    if not layout.elsewhere:
        return name
    folder = next(layout.elsewhere[part] for part in NETWORKS if part in layout.elsewhere)
    return f"{layout.root.absolute().name}/{Path(os.path.relpath(folder, layout.root)).as_posix()}"


def _check_pixel(index: dict[str, Any], root: Path) -> None:
    """Raises UserError when a pipeline has a part, or a setting, that is not on the list."""
    parts = {key: value for key, value in index.items() if not key.startswith("_") and isinstance(value, list)}
    if parts.get("unet") != ["diffusers", "UNet2DModel"] or set(parts) - {"unet", "scheduler"}:
        named = [f"{key[:40]}: {'.'.join(map(str, value))[:80]}" for key, value in sorted(parts.items())]
        described = ", ".join(map(shown, named[:10])) + (f" and {len(named) - 10} more" if len(named) > 10 else "")
        family = shown(str(index.get("_class_name", "unknown")))
        raise UserError(f"pipelines of class {family} ({described}) are not supported yet: give one of {SUPPORTED}")
    if "scheduler" in index:
        _scheduler_named(index)
    import diffusers

    configs.check_index(index, diffusers.DDPMPipeline, root / INDEX)


def _scheduler_named(index: dict[str, Any]) -> str:
    """The class of the scheduler that a pixel pipeline names. Raises UserError when it is not on the list."""
    named = index["scheduler"]
    if named not in [["diffusers", name] for name in SCHEDULERS]:
        described = ".".join(map(str, named)) if isinstance(named, list) else str(named)
        raise UserError(f"scheduler {shown(described)} is not supported: one of {', '.join(sorted(SCHEDULERS))}")
    return str(named[1])


def _scheduler_of(files: Ledger, layout: Layout) -> tuple[Path | None, str, list[str]]:
    """The configuration of a pixel model's scheduler, its class, and what is to be said of it: of the pipeline, or else
    what lies near the network."""
    if layout.index is not None and "scheduler" in layout.index:
        return layout.folder("scheduler") / SCHEDULER, _scheduler_named(layout.index), []
    place = scheduler_near(files, layout.network or layout.folder("unet"), layout.root.absolute())
    if place is None:
        assumed = "no scheduler beside the network: linear betas 1e-4 to 0.02, T = 1000, epsilon were assumed"
        return None, "DDPMScheduler", [assumed]
    kind = files.json(place).get("_class_name", "DDPMScheduler")
    if not isinstance(kind, str) or kind not in SCHEDULERS:
        raise UserError(
            f"{place}: scheduler {shown(str(kind))} is not supported: one of {', '.join(sorted(SCHEDULERS))}"
        )
    where = Path(os.path.relpath(place, layout.network or layout.folder("unet"))).as_posix()
    return place, kind, [f"no model_index.json names a scheduler: {where} beside the network was read ({kind})"]


def _device(device: str) -> torch.device:
    """`auto`: a graphics card that works, the first kind of these, or the processor."""
    if device == "auto":
        device = next((kind for kind in ("cuda", "mps") if _works(kind)), "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"device {device!r} cannot be used here ({str(error).splitlines()[0]}): try --device cpu"
        ) from None
    return chosen


def _works(device: str) -> bool:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return False
    return True


def model_digest(folder: Path, adapter: Adapters = None, base: Path | None = None) -> str:
    """The digest of a local model, a folder or a file, as in its `Identity`, without loading its weights."""
    if folder.is_file():
        return digest_with(single_digest(folder, base), adapters_of(adapter))
    folder = (cached(folder) or (folder,))[0]
    with Ledger(folder) as files:
        layout = layout_of(folder, files)
        if layout.index is not None and layout.index.get("_class_name") in FAMILIES:
            return digest_with(files.digest(layout.root, _deciding(files, layout)), adapters_of(adapter))
        return files.digest(layout.root, _pixel_files(files, layout))


def _pixel_files(files: Ledger, layout: Layout) -> list[Path]:
    """The files that decide the answers of a pixel model."""
    folder = layout.network or layout.folder("unet")
    place, _, _ = _scheduler_of(files, layout)
    beside = [layout.root / INDEX, layout.root / "scheduler" / SCHEDULER, *([place] if place else [])]
    return [*filter(there, beside), folder / "config.json", *weights_of(files, folder).files]


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
