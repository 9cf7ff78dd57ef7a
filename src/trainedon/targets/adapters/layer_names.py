"""Which weights of a pipeline a tensor of an adapter is for: every name that people's files give them, written out.

Names are looked up in a table made from the model's own layers, never guessed: in a name whose points became
underscores nobody can tell which underscore was a point.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trainedon.targets.adapters.originals import Layers, originals

PEFT = "base_model.model."
NETWORK = ("", "unet.", "transformer.", "diffusion_model.", "model.diffusion_model.", PEFT)
FLAT = ("lora_unet_", "lora_transformer_", "lycoris_")
_ATTENTION = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out", "to_out.0": "to_out"}

_OF_ADAPTER = r"(?:\.[A-Za-z]\w*)?"  # peft's name of the adapter, `default` where nobody gave another
_FACTORS = [
    (rf"\.lora_A{_OF_ADAPTER}\.weight|(?:\.|_)lora\.down\.weight|\.lora_down\.weight", "down"),
    (rf"\.lora_B{_OF_ADAPTER}\.weight|(?:\.|_)lora\.up\.weight|\.lora_up\.weight", "up"),
    (r"\.lora_linear_layer\.down\.weight|(?<=_lora[12])\.down\.weight", "down"),
    (r"\.lora_linear_layer\.up\.weight|(?<=_lora[12])\.up\.weight", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (rf"\.lora_B{_OF_ADAPTER}\.bias|\.lora_up\.bias", "up_bias"),
    (rf"\.lora_embedding_A{_OF_ADAPTER}", "embedding_down"),
    (rf"\.lora_embedding_B{_OF_ADAPTER}", "embedding_up"),
    (rf"\.lora_magnitude_vector{_OF_ADAPTER}(?:\.weight)?", "magnitude"),
    (r"\.dora_scale", "dora_scale"),
    (r"(?:[._]lora|\.lora_linear_layer|)\.alpha", "alpha"),
    (rf"\.(hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2){_OF_ADAPTER}", None),
    (r"\.(diff|diff_b|w_norm|b_norm)", None),
    (r"\.(weight|bias)", None),
]
_COMPILED = [(re.compile(rf"(?:{pattern})$"), factor) for pattern, factor in _FACTORS]


def split(key: str) -> tuple[str, str] | None:
    """A tensor's name as that of its layer and what it is of the change: `down`, `up`, `alpha`, `hada_w1_a` and so on.
    None where it ends as no part of a change does."""
    key = key.replace(".processor.", ".")  # of diffusers before 0.20, and of XLabs
    for pattern, factor in _COMPILED:
        found = pattern.search(key)
        if found is not None and found.start():
            return key[: found.start()], factor or next(group for group in found.groups() if group)
    return None


@dataclass(frozen=True)
class LayerPlace:
    """A weight that an adapter may change. part: of the pipeline. layers: of that part."""

    part: str
    layers: Layers

    def parameters(self, pipeline: Any, kind: str = "weight") -> list[nn.Parameter]:
        """Of its layers, `weight` or `bias`; empty where one has none."""
        part = getattr(pipeline, self.part)
        found = [getattr(part.get_submodule(name), kind, None) for name in self.layers.modules]
        return [] if any(parameter is None for parameter in found) else found  # type: ignore[return-value]

    def read(self, pipeline: Any, kind: str = "weight") -> torch.Tensor:
        """In double precision, as one: (out, in, ...) for weights, (out,) for biases."""
        rows = torch.cat([parameter.detach().double() for parameter in self.parameters(pipeline, kind)])
        return _swap(rows) if self.layers.swapped else rows

    def write(self, pipeline: Any, value: torch.Tensor, kind: str = "weight") -> bool:
        """Put it back, rounded once to the layers' own precision. True when that moved anything."""
        rows = _swap(value) if self.layers.swapped else value
        moved = False
        for parameter in self.parameters(pipeline, kind):
            taken, rows = rows[: len(parameter)].to(parameter.dtype), rows[len(parameter) :]
            moved |= not torch.equal(taken, parameter.detach())
            with torch.no_grad():
                parameter.copy_(taken)
        return moved


def _swap(rows: torch.Tensor) -> torch.Tensor:
    first, second = rows.chunk(2)
    return torch.cat([second, first])


def own(part: nn.Module) -> dict[str, str]:
    """The names that layers have in a part, and in older versions of its library, to the name here and now."""
    layers = [
        name for name, module in part.named_modules() if isinstance(getattr(module, "weight", None), nn.Parameter)
    ]
    named = {name: name for name in layers}
    if type(part).__name__.startswith("CLIP"):  # with transformers 5 CLIP lost a level in one class, not in the other
        named |= {f"text_model.{name}": name for name in layers if not name.startswith("text_model.")}
        named |= {name.removeprefix("text_model."): name for name in layers}
    return named


class Names:
    """Every name under which a layer of the pipeline is known. `network` is the part that denoises."""

    def __init__(self, pipeline: Any, network: str) -> None:
        self.parts = {
            name: part
            for name in (network, "text_encoder", "text_encoder_2", "text_encoder_3")
            if (part := getattr(pipeline, name, None)) is not None
        }
        self.network = network
        self._places: dict[str, LayerPlace | None] = {}
        for name, part in self.parts.items():
            inner = {alias: Layers((layer,)) for alias, layer in own(part).items()}
            inner |= {alias: Layers((layer,)) for alias, layer in _attention(own(part)) if alias not in inner}
            if name == network:
                inner = originals(part) | inner
            for alias, layers in inner.items():
                for prefix in self._dotted(name):
                    self._add(prefix + alias, LayerPlace(name, layers))
                for prefix in self._flat(name):
                    self._add(prefix + alias.replace(".", "_"), LayerPlace(name, layers))

    def find(self, layer: str) -> LayerPlace | None:
        """None where the model has no such layer. Raises LookupError where two could be meant."""
        place = self._places.get(layer)
        if place is None and layer in self._places:
            raise LookupError(f"two layers of the model could be meant by {layer}")
        return place

    def _add(self, name: str, place: LayerPlace) -> None:
        known = self._places.setdefault(name, place)
        if known != place:
            self._places[name] = None

    def _dotted(self, part: str) -> tuple[str, ...]:
        if part == self.network:
            return NETWORK
        tower = self._tower(part)
        return (f"{part}.", f"text_encoders.{tower}.transformer.", f"text_encoders.{tower}.", f"{tower}.transformer.")

    def _flat(self, part: str) -> tuple[str, ...]:
        if part == self.network:
            return FLAT
        number = part.removeprefix("text_encoder").removeprefix("_")
        numbers = {"", "1"} if not number else {number}
        if self._tower(part) == "t5xxl":
            numbers.add("3")  # kohya counts T5 third, also where it is the second of two
        return tuple(f"lora_te{n}_" for n in sorted(numbers))

    def _tower(self, part: str) -> str:
        if type(self.parts[part]).__name__.startswith("T5"):
            return "t5xxl"
        return "clip_g" if part == "text_encoder_2" else "clip_l"


def _attention(names: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What diffusers' old attention processors called the layers of attention."""
    for alias, layer in names.items():
        for ours, theirs in _ATTENTION.items():
            if alias == ours or alias.endswith(f".{ours}"):
                yield alias.removesuffix(ours) + theirs, layer
