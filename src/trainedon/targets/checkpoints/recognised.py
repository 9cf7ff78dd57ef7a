"""Which published model a single file holds, and what it says of its noise path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trainedon.errors import UserError
from trainedon.reading import read_bytes
from trainedon.targets.checkpoints import designs
from trainedon.targets.checkpoints.checkpoint import Checkpoint
from trainedon.targets.checkpoints.designs import NETWORK, Design
from trainedon.targets.core.path import NoisePath
from trainedon.targets.reading.configs import effective
from trainedon.targets.reading.model_files import shown, there
from trainedon.targets.reading.opened import Ledger

# Networks that have names in common with those above, by a tensor that only they have.
STRANGERS = {
    "distilled_guidance_layer.": "Chroma",
    "single_stream_modulation.": "Flux 2",
    "double_stream_modulation_img.": "Flux 2",
    "txt_in.individual_token_refiner.": "HunyuanVideo",
    "early_stream_modulations.": "Flux 3",
}
CHANNELS = {8: "InstructPix2Pix", 5: "a network that is given depth", 7: "an upscaler"}
# The width of what a UNet is told of words, where no text encoder lies beside it.
WIDTHS = {768: designs.SD1, 1024: designs.SD2, 2048: designs.SDXL, 1280: designs.REFINER}
SPOKEN = {"v": "v_prediction", "v_prediction": "v_prediction", "v-prediction": "v_prediction"}
SPOKEN |= {"velocity": "v_prediction", "eps": "epsilon", "epsilon": "epsilon", "x0": "sample", "sample": "sample"}
MOST_YAML = 2**20  # bytes of the configuration that lies beside a file
EDM = re.compile(r"^(edm_mean|edm_std|edm_vpred\..+)$")
V_NAME = re.compile(r"(^|[^a-z])v[-_ ]?pred", re.IGNORECASE)


def design_of(file: Checkpoint, base: Path | None, files: Ledger) -> tuple[Design, str]:
    """The published model, and how the names of its network's tensors begin.

    base: a folder of the same model, which is asked where the file leaves open what it is. Raises UserError for
    a file that holds none of those on the list, saying what it seems to be.
    """
    for prefix in NETWORK:
        if f"{prefix}input_blocks.0.0.weight" in file.shapes:
            return _unet(file, prefix, base, files), prefix
        if f"{prefix}joint_blocks.0.x_block.attn.qkv.weight" in file.shapes:
            return _sd3(file, prefix), prefix
        if f"{prefix}double_blocks.0.img_attn.qkv.weight" in file.shapes:
            return _flux(file, prefix), prefix
    raise UserError(f"{file.path} {file.foreign()}")


def _unet(file: Checkpoint, prefix: str, base: Path | None, files: Ledger) -> Design:
    begins = _Beginnings(file)
    if edm := next(filter(EDM.match, file.shapes), None):
        raise UserError(f"{file.path.name} was trained on EDM's noise path ({shown(edm)}), which is not supported")
    if begins("cond_stage_model.transformer."):
        found = designs.SD1
    elif begins("cond_stage_model.model."):
        found = designs.SD2
    elif begins("conditioner.embedders.1.model."):
        found = designs.SDXL
    elif begins("conditioner.embedders.0.model."):
        found = designs.REFINER
    else:
        width = file.side(f"{prefix}middle_block.1.transformer_blocks.0.attn2.to_k.weight", 1)
        known = WIDTHS.get(width or 0) or _of_folder(base, files)
        if known is None:
            raise UserError(
                f"{file.path.name} holds a network that is told {width or 'no'} numbers of each word, and no text "
                "encoder: that is no Stable Diffusion 1 or 2 and no SDXL as published, and then --base DIR, its "
                "diffusers folder, is needed"
            )
        found = known
    channels = file.side(f"{prefix}input_blocks.0.0.weight", 1)
    if channels == 9 and found.pipeline != designs.REFINER.pipeline:
        return designs.inpainting(found)
    if channels in CHANNELS:
        raise UserError(f"{file.path.name} takes {channels} channels ({CHANNELS[channels]}): not supported")
    return found


def _of_folder(base: Path | None, files: Ledger) -> Design | None:
    """Which of the published models with a UNet a folder is most like."""
    if base is None or not there(base / "model_index.json"):
        return None
    index = files.json(base / "model_index.json")
    if str(index.get("_class_name")).startswith("StableDiffusionXL"):
        return designs.SDXL if any(index.get("text_encoder") or [None]) else designs.REFINER
    config = files.json(base / "unet" / "config.json") if there(base / "unet" / "config.json") else {}
    return designs.SD2 if config.get("use_linear_projection") else designs.SD1


def _sd3(file: Checkpoint, prefix: str) -> Design:
    if f"{prefix}joint_blocks.0.x_block.attn2.qkv.weight" in file.shapes:
        return designs.SD35_MEDIUM
    return designs.SD35_LARGE if f"{prefix}joint_blocks.0.x_block.attn.ln_q.weight" in file.shapes else designs.SD3


def _flux(file: Checkpoint, prefix: str) -> Design:
    begins = _Beginnings(file)
    for beginning, name in STRANGERS.items():
        if begins(prefix + beginning):
            raise UserError(f"{file.path.name} holds {name}, which is not supported")
    fed, drawn = file.side(f"{prefix}img_in.weight", 1), file.side(f"{prefix}final_layer.linear.weight", 0)
    if fed != drawn or "kontext" in file.path.name.lower():
        raise UserError(
            f"{file.path.name} is a Flux that is also given a picture (Fill, Depth, Canny or Kontext): not supported"
        )
    return designs.FLUX_DEV if begins(f"{prefix}guidance_in.") else designs.FLUX_SCHNELL


class _Beginnings:
    """Whether any tensor's name begins so."""

    def __init__(self, file: Checkpoint) -> None:
        self._names = tuple(file.shapes)

    def __call__(self, beginning: str) -> bool:
        return any(name.startswith(beginning) for name in self._names)


def schedule(file: Checkpoint, design: Design, kind: str, given: dict[str, Any] | None, base: object) -> dict[str, Any]:
    """The scheduler's configuration: that of `base`, if it has one (`given`), or the published one.

    kind: its class. What is predicted cannot be seen in the weights. Raises UserError where the file says otherwise
    than the configuration, and where nothing says it of a model of which there are both kinds.
    """
    if design.scheduler[0].startswith("FlowMatch"):
        return dict(design.scheduler[1]) if given is None else given
    said = _said(file)
    if len(set(said.values())) > 1:
        raise UserError(f"{file.path.name} contradicts itself: {_listed(said)}: what is right, only its author knows")
    way = "give --base DIR, the diffusers folder of this model, whose scheduler says it"
    if given is None:
        config = dict(design.scheduler[1])
        if not said and not design.predicts:
            raise UserError(
                f"{file.path.name}: {design.title} was trained to predict noise (512 pixels) or v (768 pixels), and "
                f"the file does not say which: {way}"
            )
        if not said and V_NAME.search(file.path.name):
            raise UserError(f"{file.path.name}: its name speaks of v-prediction, and nothing in it does: {way}")
        config["prediction_type"] = next(iter(said.values()), config["prediction_type"])
        if "ztsnr" in file.shapes:
            config["rescale_betas_zero_snr"] = True
    else:
        config = given
        read = effective(config)
        prediction = read.get("prediction_type") or "epsilon"
        if said and prediction not in said.values():
            raise UserError(
                f"{base}: its scheduler says {prediction}, and {file.path.name} says {_listed(said)}: give the folder "
                "of this model"
            )
        if "ztsnr" in file.shapes and not read.get("rescale_betas_zero_snr"):
            raise UserError(
                f"{base}: its scheduler has no zero terminal signal-to-noise ratio (rescale_betas_zero_snr), and "
                f"{file.path.name} says that it was trained with it (ztsnr): give the folder of this model"
            )
    _check_betas(file, NoisePath.from_scheduler(effective(config), kind), way)
    return config


def _said(file: Checkpoint) -> dict[str, str]:
    """What the file says that it predicts, by where it says so: a marker among its tensors, its metadata, or a
    configuration beside it."""
    said = {"v_pred among its tensors": "v_prediction"} if "v_pred" in file.shapes else {}
    spoken = file.metadata.get("modelspec.prediction_type", "").strip().lower()
    if spoken in SPOKEN:
        said["modelspec.prediction_type in its header"] = SPOKEN[spoken]
    kind = file.metadata.get("modelspec.architecture", "")
    if match := re.fullmatch(r"stable-diffusion-v2-(768-v|512)(-.+)?", kind):
        said["modelspec.architecture in its header"] = "epsilon" if match[1] == "512" else "v_prediction"
    beside = file.path.with_suffix(".yaml")
    if there(beside):
        text = read_bytes(beside, MOST_YAML).decode("utf-8", "replace")
        if match := re.search(r"^[ \t]*parameterization:[ \t]*[\"']?(\w+)", text, re.MULTILINE):
            said[beside.name] = SPOKEN.get(match[1], match[1])
        elif re.search(r"^[ \t]*(linear_start|unet_config)[ \t]*:", text, re.MULTILINE):
            said[beside.name] = "epsilon"  # what such a configuration means that is silent
    return said


def _listed(said: Mapping[str, str]) -> str:
    return ", ".join(f"{what} ({where})" for where, what in said.items())


def _check_betas(file: Checkpoint, path: NoisePath, way: str) -> None:
    """Raises UserError where the file holds the noise path that it was trained on, and that is another one."""
    bars = path.alphas.double() ** 2
    known = {
        "alphas_cumprod": bars,
        "betas": 1 - bars / torch.cat([bars.new_ones(1), bars[:-1]]),
        "denoiser.sigmas": ((1 - bars) / bars).sqrt(),
    }
    for name, expected in known.items():
        if name not in file.shapes or file.dtypes[name] not in ("F64", "F32", "F16", "BF16"):
            continue
        found = file.tensor(name)
        exact = max(4 * torch.finfo(found.dtype).eps, 1e-3)
        found = found.double().flatten()
        found = found.sort().values if name == "denoiser.sigmas" else found
        if found.shape != expected.shape or not torch.allclose(found, expected, rtol=exact, atol=1e-6):
            raise UserError(f"{file.path.name} was trained on another noise path than is assumed ({name}): {way}")


def remarks(file: Checkpoint) -> list[str]:
    """What a reader should know of the file."""
    found = []
    if any(name.startswith("model_ema.") for name in file.shapes):
        found.append(
            "the file also holds averaged weights (model_ema): those that were trained last are audited, as diffusers "
            "and other programs load them"
        )
    if small := sorted({kind for kind in file.dtypes.values() if kind.startswith("F8_")}):
        found.append(
            f"the file holds weights of eight bits ({', '.join(small)}): a coarser copy of the model that was trained"
        )
    return found
