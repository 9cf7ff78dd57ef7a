"""Which diffusers pipelines are known, and how each becomes a target.

Nothing is built that `model_index.json` names unless the name is on a list here; weights are read from safetensors
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import torch

from trainedon.errors import UserError
from trainedon.targets.networks.latent import DiT, Latent, LatentUNet
from trainedon.targets.networks.text import Flux, PixArt, StableDiffusion, StableDiffusion3, StableDiffusionXL
from trainedon.targets.reading import configs
from trainedon.targets.reading.bounds import check_room_for
from trainedon.targets.reading.components import heeded, scheduler, weighted
from trainedon.targets.reading.hub import ASIDE
from trainedon.targets.reading.layouts import INDEX, LEGACY, SCHEDULER, Layout
from trainedon.targets.reading.model_files import WEIGHTS, brief, weights_of
from trainedon.targets.reading.opened import Ledger
from trainedon.targets.reading.schedulers import FLOWS, SCHEDULERS
from trainedon.targets.reading.vocabulary import check_words, tokenizer

AUTOENCODERS = ("AutoencoderKL", "VQModel")
TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast", "T5Tokenizer", "T5TokenizerFast")
ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection", "T5EncoderModel")
# What was one class with others before diffusers 0.29; models on the hub still name that one.
FORMERLY = ("DiTTransformer2DModel", "PixArtTransformer2DModel")
TEXT_PARTS = {"text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer", "tokenizer_2", "tokenizer_3"}


@dataclass(frozen=True)
class Family:
    """adapter: the target's class. network: the part that denoises, and its class. autoencoder: the part's name.
    flow: whether it is trained by flow matching. words: its text encoders, which it does not do without."""

    title: str
    adapter: type[Latent]
    network: tuple[str, str]
    autoencoder: str = "vae"
    flow: bool = False
    words: tuple[str, ...] = ()

    def classes(self, part: str) -> tuple[str, set[str]] | None:
        """The library and the classes that a part may come from; None where the family has no such part."""
        if part == self.network[0]:
            return "diffusers", {self.network[1], *([LEGACY] if self.network[1] in FORMERLY else [])}
        if part == self.autoencoder:
            return "diffusers", set(AUTOENCODERS)
        if part == "scheduler":
            return "diffusers", FLOWS if self.flow else SCHEDULERS
        if part in TEXT_PARTS:
            return "transformers", set(TOKENIZERS if part.startswith("tokenizer") else ENCODERS)
        return None


_UNET = ("unet", "UNet2DConditionModel")
_ONE, _TWO = ("text_encoder",), ("text_encoder", "text_encoder_2")
_SD = Family("Stable Diffusion", StableDiffusion, _UNET, words=_ONE)
_XL = Family("SDXL", StableDiffusionXL, _UNET, words=_TWO[1:])  # its refiner has the second alone
_SD3 = Family("Stable Diffusion 3", StableDiffusion3, ("transformer", "SD3Transformer2DModel"), flow=True, words=_TWO)
_FLUX = Family("Flux", Flux, ("transformer", "FluxTransformer2DModel"), flow=True, words=_TWO)
_PIXART = Family("PixArt", PixArt, ("transformer", "PixArtTransformer2DModel"), words=_ONE)
FAMILIES = {
    "LDMPipeline": Family("latent diffusion", LatentUNet, ("unet", "UNet2DModel"), autoencoder="vqvae"),
    "StableDiffusionPipeline": _SD,
    "StableDiffusionImg2ImgPipeline": _SD,
    "StableDiffusionInpaintPipeline": _SD,
    "LatentConsistencyModelPipeline": _SD,
    "LatentConsistencyModelImg2ImgPipeline": _SD,
    "StableDiffusionXLPipeline": _XL,
    "StableDiffusionXLImg2ImgPipeline": _XL,
    "StableDiffusionXLInpaintPipeline": _XL,
    "PixArtAlphaPipeline": _PIXART,
    "PixArtSigmaPipeline": _PIXART,
    "DiTPipeline": Family("DiT", DiT, ("transformer", "DiTTransformer2DModel")),
    "StableDiffusion3Pipeline": _SD3,
    "StableDiffusion3Img2ImgPipeline": _SD3,
    "FluxPipeline": _FLUX,
    "FluxImg2ImgPipeline": _FLUX,
}


@dataclass(frozen=True)
class Opened:
    """A pipeline of diffusers with all parts that have a say, and the configuration of its scheduler."""

    family: Family
    pipeline: Any
    scheduler: dict[str, Any]

    @property
    def network(self) -> Any:
        return getattr(self.pipeline, self.family.network[0])

    @property
    def sampler(self) -> str:
        """The scheduler's class, whose defaults hold for what its configuration does not say."""
        return type(self.pipeline.scheduler).__name__

    @property
    def autoencoder(self) -> Any:
        return getattr(self.pipeline, self.family.autoencoder)

    @property
    def factor(self) -> int:
        """Pixels a latent, in each direction."""
        halvings: int = len(self.autoencoder.config.block_out_channels) - 1
        return int(2**halvings)

    @property
    def step(self) -> int:
        """What the sides of latents must be multiples of: of squares that a transformer cuts, or of a UNet's levels."""
        if self.family.adapter is Flux:
            return Flux.PATCH
        config = self.network.config
        return int(getattr(config, "patch_size", None) or 2 ** (len(config.down_block_types) - 1))

    def shape(self, size: int | None) -> tuple[int, int, int]:
        """(c, h, w) of the latents: as the network was trained, or for pictures of `size` pixels.

        Raises UserError for a size that does not fit, and for parts that do not fit one another.
        """
        least = self.factor * self.step
        if size is not None and (size < 1 or size % least):
            raise UserError(f"pictures of {size} pixels do not fit the model: take a multiple of {least}")
        trained = (
            getattr(self.network.config, "sample_size", None) or self.autoencoder.config.sample_size // self.factor
        )
        sides = size // self.factor if size else trained
        height, width = (sides, sides) if isinstance(sides, int) else sides
        channels = self.autoencoder.config.latent_channels
        fed = Flux.PATCH**2 * channels if self.family.adapter is Flux else channels
        takes, colours = self.network.config.in_channels, self.autoencoder.config.in_channels
        if takes not in (fed, 2 * fed + 1) or colours not in (1, 3):
            raise UserError(
                f"the network takes {takes} channels, and the autoencoder makes {channels} of pictures with {colours}: "
                "the parts do not belong together"
            )
        return channels, height, width


def parts_of(index: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The parts that a `model_index.json` names, as (library, class); those that are absent or aside left out.

    Raises UserError for a part that is not named by these two.
    """
    named = {key: value for key, value in index.items() if not key.startswith("_") and isinstance(value, list)}
    named = {key: value for key, value in named.items() if key not in ASIDE and any(value)}
    for key, value in named.items():
        if len(value) != 2:
            raise UserError(f"model_index.json: {key} is no library and class: the model folder is damaged")
    return {key: (str(value[0]), str(value[1])) for key, value in named.items()}


def check(index: dict[str, Any], family: Family) -> None:
    """Raises UserError when a part is none that the family has, or comes from elsewhere."""
    name, parts = index.get("_class_name"), parts_of(index)
    for part, (library, kind) in parts.items():
        known = family.classes(part)
        if known is None or (library, kind) not in [(known[0], one) for one in known[1]]:
            choices = "" if known is None else f": one of {', '.join(sorted(known[1]))} is"
            raise UserError(
                f"{name}: {part} {library}.{kind} is not supported{choices or ': the family has no such part'}"
            )
    for part in (family.network[0], family.autoencoder, "scheduler"):
        if part not in parts:
            raise UserError(f"{name}: model_index.json names no {part}: the model folder is incomplete")


def open_pipeline(
    folder: Path,
    index: dict[str, Any],
    family: Family,
    dtype: torch.dtype,
    layout: Layout | None = None,
    files: Ledger | None = None,
) -> Opened:
    """Build the parts, each strictly from its own safetensors, and join them.

    layout: where they lie, when not in the folders of their names. files: what is opened for it. Raises UserError when
    one is missing, does not fit its configuration, or is not finite, and when a configuration says what is not known.
    """
    layout = layout or Layout(folder, index)
    if files is None:
        with Ledger(folder) as files:
            return open_pipeline(folder, index, family, dtype, layout, files)
    _check_spoken(index, family)
    with heeded(folder):
        pipeline_kind = getattr(import_module("diffusers"), index["_class_name"])
        configs.check_index(index, pipeline_kind, folder / INDEX)
        check_room_for(_bytes_of(files, layout, index, family, dtype), folder)
        built = {
            part: _part(files, layout.folder(part), part, library, name, family, dtype)
            for part, (library, name) in parts_of(index).items()
        }
        for part in filter(_spoken, built):
            encoder = built.get(part.replace("tokenizer", "text_encoder"))
            check_words(built[part], None if encoder is None else encoder.config, layout.folder(part))
        pipeline = _joined(folder, index, pipeline_kind, built)
    opened = Opened(family, pipeline, files.json(layout.folder("scheduler") / SCHEDULER))
    configs.check_asked(dict(opened.network.config), family.network[1], family.title)
    return opened


def _bytes_of(files: Ledger, layout: Layout, index: dict[str, Any], family: Family, dtype: torch.dtype) -> int:
    """What the weights of all parts take together once they are loaded, by the headers of their files. Parts whose
    files cannot be read count nothing: they are refused by name when their turn comes."""
    total = 0
    for part, (library, _) in parts_of(index).items():
        if part == "scheduler" or _spoken(part):
            continue
        with suppress(UserError, OSError):
            for path in weights_of(files, layout.folder(part), WEIGHTS if library == "diffusers" else "model").files:
                numbers = sum(prod(entry.shape) for entry in files.tensors(path).entries.values())
                total += numbers * _precise(part, family, dtype).itemsize
    return total


def _precise(part: str, family: Family, dtype: torch.dtype) -> torch.dtype:
    """In what a part's weights are kept: half precision overflows in autoencoders."""
    return torch.float32 if part == family.autoencoder else dtype


def _check_spoken(index: dict[str, Any], family: Family) -> None:
    """Raises UserError when a text encoder that captions go through is missing, or the tokenizer of one."""
    parts = parts_of(index)
    encoders = [part for part in TEXT_PARTS if part.startswith("text") and (part in parts or part in family.words)]
    for part in sorted([*encoders, *(part.replace("text_encoder", "tokenizer") for part in encoders)]):
        if part not in parts:
            kind = index["_class_name"]
            raise UserError(f"{kind}: model_index.json names no {part}: the model folder is incomplete")


def _part(files: Ledger, folder: Path, part: str, library: str, name: str, family: Family, dtype: torch.dtype) -> Any:
    kind = getattr(import_module(library), family.network[1] if part == family.network[0] else name)
    if part == "scheduler":
        return scheduler(files, folder, kind)
    if _spoken(part):
        return tokenizer(files, folder, kind)
    return weighted(files, folder, kind, _precise(part, family, dtype))


def _spoken(part: str) -> bool:
    return part.startswith("tokenizer")


def _joined(folder: Path, index: dict[str, Any], kind: type, built: dict[str, Any]) -> Any:
    settings = {key: value for key, value in index.items() if not key.startswith("_") and not isinstance(value, list)}
    absent = {key: None for key in index if isinstance(index[key], list) and key not in built}
    if "safety_checker" in absent:
        settings["requires_safety_checker"] = False
    try:
        pipeline = kind(**built | absent | settings)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise UserError(f"{folder}: the parts do not make a {kind.__name__} ({brief(error)})") from None


def check_offload(offload: str | None, device: torch.device) -> None:
    """Raises UserError for a way of offloading that there is not, and where there is no device to move parts to."""
    if offload not in (None, "model", "sequential"):
        raise UserError(f"offload {offload!r} is not known: choose model or sequential")
    if offload is not None and device.type == "cpu":
        raise UserError("offloading moves parts to an accelerator while they work: give --device cuda, or leave it out")


def keep_elsewhere(pipeline: Any, device: torch.device, offload: str) -> None:
    """diffusers' switches for models that do not fit: from now on parts are on the device only while they work.

    offload: as `check_offload` lets it pass. Raises UserError where it cannot be done.
    """
    moves: dict[str, Callable[..., Any]] = {
        "model": pipeline.enable_model_cpu_offload,
        "sequential": pipeline.enable_sequential_cpu_offload,
    }
    try:
        moves[offload](device=device)
    except (RuntimeError, ImportError, ValueError) as error:
        raise UserError(f"offload {offload} cannot be done here ({brief(error)})") from None
