"""Put adapters into a pipeline's own weights: every tensor of them, or none.

After that attacks see an ordinary model. The loaders of diffusers and peft log what they leave out, and draw what a
file lacks; so files are read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trainedon.errors import UserError
from trainedon.targets.adapters.adapter_files import OF_PEFT, Adapter
from trainedon.targets.adapters.deltas import BIASES, MAGNITUDES, DoesNotFit, Factors, changed, kind_of, rank_of
from trainedon.targets.adapters.foreign import seems
from trainedon.targets.adapters.layer_names import PEFT, LayerPlace, Names, own, split
from trainedon.targets.adapters.originals import Layers
from trainedon.targets.adapters.scales import Scales, of_diffusers, of_kohya
from trainedon.targets.networks.families import Opened


def fuse(opened: Opened, adapters: Sequence[Adapter]) -> list[str]:
    """Apply adapters one after the other; their digests, of just what was applied.

    Raises UserError when one holds a tensor that the model has no place for, or that is not understood, when something
    is missing, not finite or of another shape, and when nothing is changed.
    """
    return [_fuse(opened, one) for one in adapters]


@dataclass
class _Change:
    """Of one layer. name: as the file has it."""

    name: str
    factors: Factors = field(default_factory=dict)
    kohya: bool = False


def _fuse(opened: Opened, adapter: Adapter) -> str:
    contents = adapter.read()
    tensors, metadata = contents.tensors, contents.metadata
    _check_tensors(adapter.file, tensors)
    names = Names(opened.pipeline, opened.family.network[0])
    changes = _changes(adapter.file, tensors)
    if contents.config is not None:
        places, scales = _of_peft(adapter, contents.config, names, changes)
    else:
        places, scales = _placed(adapter.file, names, changes, tensors), of_diffusers(metadata, str(adapter.file))
        strange = sorted(set(scales) - set(names.parts))
        if strange:
            raise UserError(f"{adapter.file}: the adapter does not fit the model: that has no {strange[0]}")
    _once(adapter.file, opened.pipeline, places)
    moved = False
    for change, place in zip(changes, places):
        try:
            moved |= _apply(opened.pipeline, change, place, scales.get(place.part), metadata, adapter.weight)
        except (ValueError, ArithmeticError) as error:
            raise UserError(
                f"{adapter.file}: the adapter does not fit the model: {change.name}: {error}{_hint(tensors)}"
            ) from None
    if not moved:
        raise UserError(f"{adapter.file}: the adapter changes nothing (its weights or its scale are 0): leave it out")
    return contents.digest


def _check_tensors(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Raises UserError for tensors that are packed, or no finite numbers."""
    for key, value in tensors.items():
        if value.is_complex() or not (value.is_floating_point() or value.numel() == 1):
            raise UserError(f"{file}: {key} is of {value.dtype}: quantized adapters are not read")
        if not torch.isfinite(value.double()).all():
            raise UserError(f"{file}: the adapter holds NaN or infinity (first in {key}): it is damaged")


def _hint(tensors: dict[str, torch.Tensor]) -> str:
    what = seems(tensors)
    return "" if what is None else f"; it seems to be {what}"


def _changes(file: Path, tensors: dict[str, torch.Tensor]) -> list[_Change]:
    """The tensors of each layer together. Raises UserError for one that is no part of a change."""
    found: dict[str, _Change] = {}
    parts = {key: split(key) for key in tensors}
    alone = all(known is None or known[1] in ("weight", "bias") for known in parts.values())  # of no change at all
    for key, value in tensors.items():
        known = parts[key]
        if known is None or alone:
            raise UserError(f"{file}: the adapter does not fit the model: {key} is of a kind not read{_hint(tensors)}")
        change = found.setdefault(known[0], _Change(known[0]))
        if known[1] in change.factors:
            raise UserError(f"{file} holds two {known[1]} for {known[0]}: give one adapter a file")
        change.factors[known[1]] = value
        change.kohya |= ".lora_down." in key
    if not found:
        raise UserError(f"{file} holds no adapter: it is empty")
    return list(found.values())


def _placed(file: Path, names: Names, changes: list[_Change], tensors: dict[str, torch.Tensor]) -> list[LayerPlace]:
    """Where each belongs. Raises UserError when the model lacks a layer."""
    if file.name == OF_PEFT and any(change.name.startswith(PEFT) for change in changes):
        raise UserError(f"{file}: adapter_config.json is missing beside it, which says how strongly it counts")
    try:
        found = [names.find(change.name) for change in changes]
    except LookupError as error:
        raise UserError(f"{file}: the adapter does not fit the model: {error}") from None
    _all_found(file, [change.name for change, place in zip(changes, found) if place is None], changes, tensors)
    for change in changes:
        if {"weight", "bias"} & set(change.factors):
            raise UserError(
                f"{file}: {change.name} is given whole, not as a change: that is read of peft's adapters only"
            )
    return found  # type: ignore[return-value]


def _all_found(file: Path, lost: list[str], changes: list[_Change], tensors: dict[str, torch.Tensor]) -> None:
    if lost:
        raise UserError(
            f"{file}: the adapter does not fit the model, which lacks {len(lost)} of its {len(changes)} layers "
            f"({', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}){_hint(tensors)}"
        )


def _of_peft(
    adapter: Adapter, config: dict[str, Any], names: Names, changes: list[_Change]
) -> tuple[list[LayerPlace], dict[str, Scales]]:
    """Where each change belongs by peft's rules: behind one prefix the names of the part, and nothing else."""
    file = adapter.file
    scales = Scales.read(config, str(adapter.config))
    if not all(change.name.startswith(PEFT) for change in changes):
        raise UserError(
            f"{file}: adapter_config.json lies beside it, but its names are not peft's, which begin with {PEFT}: "
            "move it to a folder of its own if the two do not belong together"
        )
    mapping = config.get("auto_mapping")
    kind = mapping.get("base_model_class") if isinstance(mapping, dict) else None
    parts = {name: own(part) for name, part in names.parts.items()}
    named = {name: part for name, part in parts.items() if type(names.parts[name]).__name__ == kind} or parts
    inner = [change.name.removeprefix(PEFT) for change in changes]
    fitting = [name for name, layers in named.items() if all(layer in layers for layer in inner)]
    if len(fitting) > 1:
        raise UserError(
            f"{file}: the adapter fits {' and '.join(fitting)}: save it as diffusers does, with the part's name"
        )
    if not fitting:
        lost = {name: [layer for layer in inner if layer not in layers] for name, layers in named.items()}
        _all_found(file, min(lost.values(), key=len), changes, {})
    layers = named[fitting[0]]
    _whole(adapter, config, names.parts[fitting[0]], {layers[layer] for layer in inner})
    if not scales.saves and any({"weight", "bias"} & set(change.factors) for change in changes):
        raise UserError(f"{file} holds whole weights that its configuration does not name")
    return [LayerPlace(fitting[0], Layers((layers[layer],))) for layer in inner], {fitting[0]: scales}


def _whole(adapter: Adapter, config: dict[str, Any], part: torch.nn.Module, given: set[str]) -> None:
    """Raises UserError when the configuration names layers that the file has nothing for: it was cut short."""
    targets = config.get("target_modules")
    if not isinstance(targets, list) or config.get("layers_to_transform") or config.get("exclude_modules"):
        return
    for name, module in part.named_modules():
        named = any(name == target or name.endswith(f".{target}") for target in targets)
        if named and isinstance(module, torch.nn.Linear | torch.nn.Conv2d | torch.nn.Embedding) and name not in given:
            raise UserError(
                f"{adapter.file} lacks {name}, which its configuration names: it is cut short, or for another model"
            )


def _once(file: Path, pipeline: Any, places: list[LayerPlace]) -> None:
    """Raises UserError when two changes are for one weight, such as the same layer under two of its names."""
    seen: set[int] = set()
    for place in places:
        parameters = place.parameters(pipeline)
        if seen & set(map(id, parameters)):
            raise UserError(f"{file} changes {place.part} {place.layers.modules[0]} twice, under two names")
        seen |= set(map(id, parameters))


def _apply(
    pipeline: Any, change: _Change, place: LayerPlace, scales: Scales | None, metadata: dict[str, str], times: float
) -> bool:
    """W + times * (W' - W), and the bias alike. True when a weight moved. Raises ValueError when it does not fit."""
    factors = dict(change.factors)
    kind = kind_of(factors)
    if scales is not None and kind in ("lora", "embedding") and scales.dora != bool(MAGNITUDES & set(factors)):
        raise DoesNotFit("the configuration and the tensors do not agree whether it is a DoRA")
    weight = place.read(pipeline)
    scale = _scale(change, kind, place, scales, metadata, wide=weight.dim() > 2 and weight[0, 0].numel() > 1)
    factors.pop("alpha", None)
    bias = {name: factors.pop(name) for name in BIASES & set(factors)}
    moved = False
    if kind != "bias":
        value = changed(weight, factors, kind, scale)
        moved = _write(place, pipeline, weight + times * (value - weight) if times != 1 else value, "weight")
    for name, added in bias.items():
        if not place.parameters(pipeline, "bias"):
            raise DoesNotFit("a change of the bias, which the layer has not")
        before = place.read(pipeline, "bias")
        if added.shape != before.shape:
            raise DoesNotFit(f"a change of {len(added.flatten())} biases for {len(before)}")
        by = added.double() - before if name == "bias" else added.double() * (scale if name == "up_bias" else 1.0)
        moved |= _write(place, pipeline, before + times * by, "bias")
    return moved


def _write(place: LayerPlace, pipeline: Any, value: torch.Tensor, kind: str) -> bool:
    moved = place.write(pipeline, value, kind)
    if not all(torch.isfinite(parameter).all() for parameter in place.parameters(pipeline, kind)):
        raise DoesNotFit("the changed weight is no finite number in the model's precision")
    return moved


def _scale(
    change: _Change, kind: str, place: LayerPlace, scales: Scales | None, metadata: dict[str, str], wide: bool
) -> float:
    """alpha / r of a change. Raises ValueError when that is not clear."""
    if kind in ("difference", "weight", "bias"):
        return 1.0
    rank, alpha = rank_of(change.factors), change.factors.get("alpha")
    if alpha is not None and alpha.numel() != 1:
        raise DoesNotFit("an alpha that is not one number")
    if scales is not None:
        scale = scales.scale(change.name.removeprefix(PEFT).removeprefix(f"{place.part}."), rank)
        if alpha is not None and rank and float(alpha) / rank != scale:
            raise DoesNotFit(f"an alpha of {float(alpha):g}, where the configuration makes the scale {scale:g}")
        return scale
    if rank is None:
        return 1.0  # LyCORIS does not scale a product of two whole matrices
    if alpha is not None:
        return float(alpha) / rank
    told = of_kohya(metadata, wide, rank)
    if told is not None and told != 1 and not change.kohya:
        raise DoesNotFit(
            "no alpha, and its header does not say whether that is in the weights: save it with its alphas"
        )
    return 1.0 if told is None else told
