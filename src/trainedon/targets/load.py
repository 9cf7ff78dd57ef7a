"""Load a model under audit, safely: JSON that we read ourselves, classes on a list, weights in safetensors only."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import torch
from diffusers import UNet2DModel
from safetensors import SafetensorError
from safetensors.torch import load_file

from trainedon.errors import UserError
from trainedon.targets.path import PREDICTIONS, NoisePath
from trainedon.targets.target import PRECISIONS, Identity, Target
from trainedon.targets.unet import PixelUNet

SUPPORTED = "pixel-space diffusers pipelines with a UNet2DModel (DDPM, DDIM and alike), and bare UNet2DModel folders"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
WEIGHTS = "diffusion_pytorch_model"
ROWS = {"cpu": 32}  # what lies in a processor's cache is soon at hand: more rows take longer, each (docs/speed.md)
ROWS_ELSEWHERE = 64
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")
# Schedulers whose training noise path is the DDPM one, read from the same configuration keys.
SCHEDULERS = {
    "DDPMScheduler",
    "DDIMScheduler",
    "DDIMInverseScheduler",
    "DDPMParallelScheduler",
    "DDIMParallelScheduler",
    "PNDMScheduler",
    "LMSDiscreteScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "RePaintScheduler",
    "TCDScheduler",
    "LCMScheduler",
}


def load_target(
    model: str | Path,
    *,
    device: str = "cpu",
    rows: int | None = None,
    precision: str = "float32",
    compile: bool = False,
) -> Target:
    """The model at a local diffusers folder, or on the hub (`owner/name` or `owner/name@revision`).

    rows: how many pictures go through the network at once; None: what is fastest on most networks. precision: float32,
    bfloat16 or float16, in which it multiplies; compile: whether it goes through `torch.compile`; both change scores.
    Raises UserError when the folder is not a model that is supported, when its weights are a pickle, incomplete or not
    finite, when a part of it may not be read.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r} is not known: choose one of {', '.join(PRECISIONS)}")
    try:
        return _load(model, _device(device), rows, precision, compile)
    except PermissionError as error:
        raise UserError(f"{error.filename or model} cannot be read: no permission") from None


def _load(model: str | Path, device: torch.device, rows: int | None, precision: str, compiled: bool) -> Target:
    folder, name = _folder(model)
    index = folder / "model_index.json"
    if index.is_file():
        unet_folder, scheduler = _open_pipeline(folder, _read_json(index))
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
        digest=_digest(folder, unet_folder),
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
        device=device,
        rows=rows or ROWS.get(device.type, ROWS_ELSEWHERE),
        precision=precision,
        compiled=compiled,
        unet=unet,
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
            allow_patterns=["*.json", "*.safetensors"],
            ignore_patterns=["*.non_ema.*"],
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"{repository} is no local folder and could not be fetched from the hub ({_brief(error)}): "
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
        scheduler = _read_json(folder / "scheduler" / "scheduler_config.json")
    return folder / "unet", scheduler


def _read_json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is missing: the model folder is incomplete") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable JSON ({error}): the model folder is damaged") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold a JSON object: the model folder is damaged")
    return value


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _load_unet(folder: Path) -> tuple[UNet2DModel, dict]:
    config = _read_json(folder / "config.json")
    name = config.get("_class_name")
    if name != "UNet2DModel":
        raise UserError(f"{folder}: network class {name!r} is not supported: give one of {SUPPORTED}")
    if config.get("class_embed_type") not in (None, "None"):
        raise UserError(
            f"{folder}: class_embed_type {config['class_embed_type']!r} is not supported: only num_class_embeds"
        )
    _shape(config)
    weights = _weight_files(folder)
    try:
        # the network is built without drawing its weights, which the file replaces anyway
        with torch.device("meta"):
            unet = UNet2DModel.from_config(config)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
        raise UserError(f"{folder / 'config.json'} does not describe a UNet2DModel ({_brief(error)})") from None
    for path in weights:
        path.open("rb").close()  # safetensors would say of a file that may not be read that it does not exist
    try:
        state = {key: value for path in weights for key, value in load_file(path).items()}
        unet.load_state_dict({key: value.float() for key, value in state.items()}, strict=True, assign=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise UserError(f"{folder}: the weights do not fit the configuration ({_brief(error)})") from None
    for key, value in unet.state_dict().items():
        if not torch.isfinite(value).all():
            raise UserError(f"{folder}: the weights hold NaN or infinity (first in {key}): the model cannot be audited")
    return unet, config


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors of the network: one file, or the shards; full precision before half."""
    for variant in ("", ".fp16"):
        single = folder / f"{WEIGHTS}{variant}.safetensors"
        if single.is_file():
            return [single]
        shards = sorted(folder.glob(f"{WEIGHTS}{variant}-*-of-*.safetensors"))
        if shards:
            return shards
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES) if folder.is_dir() else []
    if pickles:
        raise UserError(
            f"{folder} holds only pickled weights ({pickles[0]}), which can run code when opened: "
            "convert them to safetensors first"
        )
    raise UserError(f"{folder} holds no weights: {WEIGHTS}.safetensors is missing")


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
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"device {device!r} cannot be used here ({str(error).splitlines()[0]}): try --device cpu"
        ) from None
    return chosen


def model_digest(folder: Path) -> str:
    """The digest of a local model folder, as in its `Identity`, without loading its weights."""
    return _digest(folder, folder / "unet" if (folder / "model_index.json").is_file() else folder)


def _digest(root: Path, unet_folder: Path) -> str:
    """sha256 over the files that decide the model's answers."""
    files = [
        path for path in (root / "model_index.json", root / "scheduler" / "scheduler_config.json") if path.is_file()
    ]
    files += [unet_folder / "config.json", *_weight_files(unet_folder)]
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
