"""Load a model under audit, safely: JSON that we read ourselves, classes on a list, weights in safetensors only."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from safetensors import SafetensorError
from safetensors.torch import load_file

from trainedon.errors import UserError
from trainedon.targets.adapters import adapt, adapter_file
from trainedon.targets.families import (
    ASIDE,
    FAMILIES,
    SCHEDULERS,
    Opened,
    check,
    check_finite,
    open_pipeline,
    parts_of,
    spare,
)
from trainedon.targets.files import WEIGHTS, brief, digest_of, read_json, weight_files
from trainedon.targets.path import PREDICTIONS, NoisePath
from trainedon.targets.target import PRECISIONS, Identity, Target
from trainedon.targets.text import Text
from trainedon.targets.unet import PixelUNet

SUPPORTED = "pixel-space pipelines with a UNet2DModel (DDPM, DDIM and alike), bare UNet2DModel folders, " + ", ".join(
    FAMILIES
)
ROWS = {"cpu": 32}  # what lies in a processor's cache is soon at hand: more rows take longer, each (docs/speed.md)
ROWS_ELSEWHERE = 64
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")
# What is fetched of a hub repository: never pickles, nor the single file with all weights that often lies beside parts.
PARTS = ("*.json", "*/*.safetensors", f"{WEIGHTS}*.safetensors", "*/merges.txt", "*/*.model")


def load_target(
    model: str | Path,
    *,
    device: str = "cpu",
    rows: int | None = None,
    precision: str = "float32",
    compile: bool = False,
    adapter: str | Path | None = None,
    size: int | None = None,
    offload: str | None = None,
    slicing: bool = False,
) -> Target:
    """The model at a local diffusers folder, or on the hub (`owner/name` or `owner/name@revision`).

    rows: how many pictures go through the network at once; None: what is fastest on most networks. precision: float32,
    bfloat16 or float16, in which it multiplies; compile: whether it goes through `torch.compile`; both change scores.
    Of latent models only: adapter: the folder of a LoRA that is fused into it; size: side of the pictures in pixels, if
    not the one that the model was trained for; offload: `model` or `sequential`, diffusers' switches that keep parts
    elsewhere while they do not work; slicing: attention and autoencoder in slices.
    Raises UserError when the folder is not a model that is supported, when its weights are a pickle, incomplete or not
    finite, when a part of it may not be read.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r} is not known: choose one of {', '.join(PRECISIONS)}")
    how = {"device": _device(device), "rows": rows or ROWS.get(_device(device).type, ROWS_ELSEWHERE)}
    how |= {"precision": precision, "compiled": compile}
    try:
        folder, name = _folder(model)
        index = read_json(folder / "model_index.json") if (folder / "model_index.json").is_file() else None
        family = None if index is None else FAMILIES.get(str(index.get("_class_name")))
        if index is not None and family is not None:
            check(index, family)
            opened = open_pipeline(folder, index, family, PRECISIONS[precision])
            digest = digest_of(folder, _deciding(folder, index))
            if adapter is not None:
                adapt(opened, Path(adapter))
                digest, name = _adapted(digest, Path(adapter)), f"{name} + {Path(adapter).resolve().name}"
            if size is not None:
                digest = hashlib.sha256(f"{digest} {size} pixels".encode()).hexdigest()
            spare(opened, how["device"], offload, slicing)
            options = {"size": size, "offload": offload, "slicing": slicing}
            return _latent(opened, name, digest, size, how | {"offloaded": offload is not None, "options": options})
        if adapter is not None or size is not None or offload is not None or slicing:
            raise UserError(
                "adapters, another size, offloading and slicing are for latent models: a pixel model takes none of them"
            )
        return _pixel(model, folder, name, index, how)
    except PermissionError as error:
        raise UserError(f"{error.filename or model} cannot be read: no permission") from None


def _latent(opened: Opened, name: str, digest: str, size: int | None, how: dict[str, Any]) -> Target:
    network, scheduler, family = opened.network, opened.scheduler, opened.family
    shape = opened.shape(size)
    prediction = "flow" if family.flow else scheduler.get("prediction_type") or "epsilon"
    if prediction not in (*PREDICTIONS, "flow"):
        raise UserError(f"prediction type {prediction!r} is not supported: one of {', '.join(PREDICTIONS)} is needed")
    if family.flow:
        path = NoisePath.from_flow(scheduler, shape[1] * shape[2] // opened.step**2)
    else:
        path = NoisePath.from_scheduler(scheduler)
    asked, classes = "captions", None
    if not issubclass(family.adapter, Text):
        config = network.config
        classes = getattr(config, "num_class_embeds", None) or getattr(config, "num_embeds_ada_norm", None)
        asked = "classes" if classes else "nothing"
    weights = sum(parameter.numel() for parameter in network.parameters())
    return family.adapter(
        identity=Identity(name, digest, f"{family.title}, asked by {asked}", weights),
        shape=shape,
        path=path,
        prediction=prediction,
        classes=classes,
        network=network,
        pixels=(opened.autoencoder.config.in_channels, shape[1] * opened.factor, shape[2] * opened.factor),
        autoencoder=opened.autoencoder,
        pipeline=opened.pipeline,
        **how,
    )


def _pixel(model: str | Path, folder: Path, name: str, index: dict | None, how: dict[str, Any]) -> Target:
    if index is not None:
        unet_folder, scheduler = _open_pipeline(folder, index)
    elif (folder / "config.json").is_file():
        unet_folder, scheduler = folder, None
    else:
        raise UserError(f"{model} is not a model folder: it has neither model_index.json nor config.json")
    unet, config = _load_unet(unet_folder)
    notes: list[str] = []
    if scheduler is None:
        scheduler = {}
        notes.append("no scheduler beside the network: linear betas 1e-4 to 0.02, T = 1000, epsilon were assumed")
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise UserError(f"prediction type {prediction!r} is not supported: one of {', '.join(PREDICTIONS)} is needed")
    identity = Identity(
        name=name,
        digest=digest_of(folder, _pixel_files(folder, unet_folder)),
        family="pixel UNet2DModel" + (", class-conditional" if config.get("num_class_embeds") else ""),
        parameters=sum(parameter.numel() for parameter in unet.parameters()),
        notes=tuple(notes),
    )
    return PixelUNet(
        identity=identity,
        shape=_shape(config),
        path=NoisePath.from_scheduler(scheduler),
        prediction=prediction,
        classes=config.get("num_class_embeds"),
        network=unet,
        **how,
    )


def _folder(model: str | Path) -> tuple[Path, str]:
    path = Path(model)
    if path.is_dir():
        return path, path.name or str(path.resolve().name)
    if path.exists():
        raise UserError(f"{model} is a file: give the diffusers folder that holds model_index.json or config.json")
    if not HUB_ID.fullmatch(str(model)):
        raise UserError(f"{model} does not exist: give a diffusers folder or a hub id such as owner/name")
    return _download(*str(model).partition("@")[::2])


def _download(repository: str, revision: str) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=list(PARTS),
            ignore_patterns=["*.non_ema.*", "*/flax_model*", *(f"{part}/*" for part in ASIDE)],
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"{repository} is no local folder and could not be fetched from the hub ({brief(error)}): "
            "check the name and the connection"
        ) from None
    return Path(folder), f"{repository}@{Path(folder).name}"  # the snapshot's folder is named by its commit


def _open_pipeline(folder: Path, index: dict) -> tuple[Path, dict | None]:
    """The UNet's folder and the scheduler's configuration, when every part is on the list."""
    parts = {key: value for key, value in index.items() if not key.startswith("_") and isinstance(value, list)}
    if parts.get("unet") != ["diffusers", "UNet2DModel"] or set(parts) - {"unet", "scheduler"}:
        described = ", ".join(f"{key}: {'.'.join(map(str, value))}" for key, value in sorted(parts.items()))
        family = str(index.get("_class_name", "unknown"))
        raise UserError(f"pipelines of class {family} ({described}) are not supported yet: give one of {SUPPORTED}")
    scheduler = None
    if "scheduler" in parts:
        if parts["scheduler"] not in [["diffusers", name] for name in SCHEDULERS]:
            described = ".".join(map(str, parts["scheduler"]))
            raise UserError(f"scheduler {described} is not supported: one of {', '.join(sorted(SCHEDULERS))}")
        scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    return folder / "unet", scheduler


def _load_unet(folder: Path) -> tuple[UNet2DModel, dict]:
    config = read_json(folder / "config.json")
    name = config.get("_class_name")
    if name != "UNet2DModel":
        raise UserError(f"{folder}: network class {name!r} is not supported: give one of {SUPPORTED}")
    if config.get("class_embed_type") not in (None, "None"):
        raise UserError(
            f"{folder}: class_embed_type {config['class_embed_type']!r} is not supported: only num_class_embeds"
        )
    _shape(config)
    weights = weight_files(folder)
    try:
        # the network is built without drawing its weights, which the file replaces anyway
        with torch.device("meta"):
            unet = UNet2DModel.from_config(config)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
        raise UserError(f"{folder / 'config.json'} does not describe a UNet2DModel ({brief(error)})") from None
    for path in weights:
        path.open("rb").close()  # safetensors would say of a file that may not be read that it does not exist
    try:
        state = {key: value for path in weights for key, value in load_file(path).items()}
        unet.load_state_dict({key: value.float() for key, value in state.items()}, strict=True, assign=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise UserError(f"{folder}: the weights do not fit the configuration ({brief(error)})") from None
    check_finite(unet, folder)
    return unet, config


def _shape(config: dict) -> tuple[int, int, int]:
    channels = config.get("in_channels", 3)
    if channels not in (1, 3):
        raise UserError(f"the network takes {channels} channels: only grey (1) and RGB (3) pictures are supported")
    answers = config.get("out_channels", 3)
    if answers not in (channels, 2 * channels):
        raise UserError(f"the network takes {channels} channels and answers {answers}: not supported")
    size = config.get("sample_size")
    size = [size, size] if isinstance(size, int) else size
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(s, int) and s > 0 for s in size)):
        raise UserError("the model does not say which picture size it works on: set sample_size in its config.json")
    return channels, size[0], size[1]


def _device(device: str) -> torch.device:
    """`auto`: a graphics card that works, the first kind of these, or the processor."""
    if device == "auto":
        device = next((kind for kind in ("cuda", "mps") if _works(kind)), "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
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


def model_digest(folder: Path, adapter: Path | None = None) -> str:
    """The digest of a local model folder, as in its `Identity`, without loading its weights."""
    index = read_json(folder / "model_index.json") if (folder / "model_index.json").is_file() else {}
    if index.get("_class_name") in FAMILIES:
        digest = digest_of(folder, _deciding(folder, index))
        return digest if adapter is None else _adapted(digest, adapter)
    return digest_of(folder, _pixel_files(folder, folder / "unet" if index else folder))


def _adapted(digest: str, adapter: Path) -> str:
    files = [adapter_file(adapter), *adapter.glob("adapter_config.json")]
    return hashlib.sha256(f"{digest} {digest_of(adapter, files)}".encode()).hexdigest()


def _pixel_files(root: Path, unet_folder: Path) -> list[Path]:
    """The files that decide the answers of a pixel model."""
    beside = [root / "model_index.json", root / "scheduler" / "scheduler_config.json"]
    return [*filter(Path.is_file, beside), unet_folder / "config.json", *weight_files(unet_folder)]


def _deciding(root: Path, index: dict) -> list[Path]:
    """The files that decide the answers of a pipeline: of each part its weights, or all that it has without any."""
    files = [root / "model_index.json"]
    for part, (library, _) in parts_of(index).items():
        folder = root / part
        if part == "scheduler" or part.startswith("tokenizer"):
            files += [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
        else:
            files += [folder / "config.json", *weight_files(folder, WEIGHTS if library == "diffusers" else "model")]
    return files
