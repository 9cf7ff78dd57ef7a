"""One safetensors file that holds a whole model: its tensors by name; and what a file is that is none."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from trainedon.errors import UserError
from trainedon.reading import open_regular
from trainedon.targets.reading.model_files import PICKLES, brief, shown
from trainedon.targets.reading.tensors import LONGEST, Tensors

# Tensors that an adapter has, whichever program wrote it.
ADAPTER = re.compile(r"\blora_|\.lora[._]|^lora|hada_w|lokr_w|dora_scale|\.(oft|boft)_|\.diff_b?$")
# Tensors that say how the weights beside them were packed.
QUANTISED = re.compile(
    r"quant_state|quant_map|\.absmax$|nested_absmax|(^|[._])scaled_fp8$|\.scale_weight$|\.scale_input$|"
    r"\.(weight|input)_scale(_2|_inv)?$|\.comfy_quant$|\.qweight$|\.qzeros$|\.SCB$|\.svd_(up|down)$"
)
# The first tensors of what diffusers and transformers save by themselves: one part of a model.
PARTS = re.compile(
    r"^(down_blocks|mid_block|up_blocks|conv_in|transformer_blocks|single_transformer_blocks|encoder\.(down|mid)_block|"
    r"text_model\.|shared\.weight|encoder\.block\.\d|encoder\.layers\.\d|embeddings\.)"
)
FLOATS = {"F64", "F32", "F16", "BF16"}
EIGHT_BITS = {"F8_E4M3", "F8_E5M2"}  # every one of their numbers is one of float32, too


@dataclass(frozen=True)
class Checkpoint:
    """A safetensors file, open. shapes, dtypes: of each tensor, dtypes as the file calls them. metadata: its own."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    metadata: dict[str, str]
    _tensors: Tensors

    @classmethod
    def open(cls, path: Path) -> Checkpoint:
        """Reads the header alone. Raises UserError when the file is no safetensors file, or damaged."""
        stream = open_regular(path)
        try:
            refuse_others(path, stream)
            stream.seek(0)
            tensors = Tensors(stream, path)
        except (ValueError, OSError) as error:
            stream.close()
            raise UserError(f"{path} is damaged, or was not downloaded whole: {brief(error)}; get it again") from None
        except UserError:
            stream.close()
            raise
        shapes = {name: entry.shape for name, entry in tensors.entries.items()}
        dtypes = {name: entry.kind for name, entry in tensors.entries.items()}
        if not shapes:
            raise UserError(f"{path} holds no tensors: it is no model")
        return cls(path, shapes, dtypes, tensors.metadata, tensors)

    def close(self) -> None:
        self._tensors.close()

    def kinds(self) -> Counter[str]:
        """How many numbers of each type it holds."""
        found: Counter[str] = Counter()
        for name, shape in self.shapes.items():
            found[self.dtypes[name]] += math.prod(shape)
        return found

    def side(self, name: str, dimension: int) -> int | None:
        """One side of a tensor's shape; None where there is none."""
        shape = self.shapes.get(name, ())
        return shape[dimension] if -len(shape) <= dimension < len(shape) else None

    def tensor(self, name: str) -> torch.Tensor:
        """One of the tensors, in memory of its own."""
        return self._tensors.tensor(name)

    def sha256(self) -> str:
        """Of the whole file. Raises UserError when it was written to since it was opened."""
        return self._tensors.sha256

    def check(self, names: Iterable[str]) -> None:
        """Raises UserError when one of these tensors is packed, or says how another one is."""
        for name in sorted(names):
            packed = name.endswith((".weight", ".bias")) and self.dtypes[name] not in FLOATS | EIGHT_BITS
            if packed or QUANTISED.search(name):
                raise UserError(
                    f"{self.path.name} holds quantized weights ({shown(name)}, {self.dtypes[name]}), which answer "
                    "otherwise than the model that was trained: give the file with float32, float16 or bfloat16 weights"
                )

    def foreign(self) -> str:
        """What a file seems to be that holds no checkpoint, and what to do with it."""
        names = sorted(self.shapes)
        if any(ADAPTER.search(name) for name in names):
            return "is an adapter (a LoRA or alike), not a model: give the model, and this file as --adapter"
        if any(PARTS.search(name) for name in names):
            folder = self.path.resolve().parent
            whole = folder.parent if (folder.parent / "model_index.json").is_file() else folder
            if not any((whole / name).is_file() for name in ("model_index.json", "config.json")):
                return (
                    "holds the tensors of one network, and no config.json beside it says which: give the folder of the "
                    "whole diffusers model, or build the network with its own code and give that as "
                    "my_module:make_target (docs/own-networks.md)"
                )
            return f"is one part of a diffusers model: give the folder of the whole model, such as {whole}"
        if any(name.startswith("control_model.") for name in names):
            return "is a ControlNet, which is no model of pictures by itself: give the model that it steers"
        if any(re.match(r"(first_stage_model\.|vae\.)?(encoder|decoder)\.", name) for name in names):
            return "is an autoencoder alone: give the file with the network"
        known = "Stable Diffusion 1 and 2, SDXL, Stable Diffusion 3 and Flux"
        return (
            f"holds none of the networks that are read from one file, {known} (its first tensor is {shown(names[0])}); "
            "build another one with its own code, and give that as my_module:make_target (docs/own-networks.md)"
        )


def refuse_others(path: Path, stream: IO[bytes]) -> None:
    """Raises UserError for a file that is not safetensors, by its content, with what to do about it."""
    head, size = stream.read(512), os.fstat(stream.fileno()).st_size
    length = int.from_bytes(head[:8], "little")
    if len(head) > 8 and head[8:9] == b"{" and length <= min(LONGEST, size - 8):
        return
    if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")) or (
        path.suffix.lower() in PICKLES
    ):
        command = f"trainedon convert {shlex.quote(str(path))} --out {shlex.quote(str(path.with_suffix('')))}"
        raise UserError(
            f"{path} is a pickle, which can run code when opened: convert it with `{command}`, which runs none of it, "
            "and give the new file"
        )
    if head.startswith(b"GGUF"):
        raise UserError(f"{path} is GGUF: quantized weights are not supported, give the safetensors with all bits")
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a pointer of Git LFS, and not the file itself: run git lfs pull")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UserError(f"{path} is a web page, not a model: the download failed, get the file again")
    if path.suffix.lower() == ".safetensors":
        raise UserError(f"{path} is damaged, or was not downloaded whole (no header of safetensors): get it again")
    raise UserError(
        f"{path} is a file: give the diffusers folder that holds model_index.json or config.json, or a checkpoint "
        "in safetensors"
    )
