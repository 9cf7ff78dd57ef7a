"""The weights of a part in a single file, by diffusers' names: each tensor in its place, and no place without one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import nn

from trainedon.errors import UserError
from trainedon.targets.checkpoints.checkpoint import Checkpoint
from trainedon.targets.checkpoints.designs import CLIP_L, Component, Design
from trainedon.targets.reading.bounds import Held
from trainedon.targets.reading.built import blank, refuse_packed
from trainedon.targets.reading.model_files import shown

TIED = "encoder.embed_tokens.weight"  # of T5: the same as the next, of which files hold the one, or both
SHARED = "shared.weight"
PROJECTION = "text_projection.weight"


def skeleton_of(kind: type, of: Component, config: dict[str, Any], place: str, held: Held) -> nn.Module:
    """A part without weights, as it is configured. Raises UserError for a configuration of something else, or of more
    than is held."""
    refuse_packed(place, config)
    named, needed = config.get("_class_name"), of.kind[1]
    if not of.diffusers:
        named, needed = config.get("model_type"), kind.config_class.model_type  # type: ignore[attr-defined]
    if named not in (None, needed):
        raise UserError(f"{place}: {named} is not supported here: {needed} is needed")
    return blank(kind, config, place, held)


def state_of(
    file: Checkpoint,
    design: Design,
    part: str,
    held: Mapping[str, str],
    skeleton: nn.Module,
    dtype: torch.dtype,
) -> dict[str, torch.Tensor]:
    """The weights of a part. held: its tensors in the file, by what follows their common beginning.

    Raises UserError for one that is not known, or misshapen, and where some are missing.
    """
    of = design.parts[part]
    said: Any = skeleton.config
    config: dict[str, Any] = dict(said) if of.diffusers else said.to_dict()
    wanted = {name: tuple(value.shape) for name, value in skeleton.state_dict().items()}
    inner = "text_model." if any(name.startswith("text_model.") for name in wanted) else ""
    state: dict[str, torch.Tensor] = {}
    for rest, name in held.items():
        renamed = of.rule(rest, config)
        if renamed is None:
            raise unknown(file, design, name)
        targets = [f"{inner}{one}" if f"{inner}{one}" in wanted else one for one in renamed.targets]
        if _unasked(of, targets[0], config, wanted):
            continue
        if any(target not in wanted for target in targets):
            raise unknown(file, design, name)
        if any(target in state for target in targets):
            raise UserError(f"{file.path.name} holds {part}.{targets[0]} twice (second: {shown(name)}): it is damaged")
        if prod(file.shapes[name]) != sum(prod(wanted[target]) for target in targets):
            raise _misshapen(file, design, name, [wanted[target] for target in targets])
        value = file.tensor(name)
        value = renamed.change(value) if renamed.change else value
        pieces = _pieces(value, [wanted[target] for target in targets])
        if pieces is None:
            raise _misshapen(file, design, name, [wanted[target] for target in targets])
        for target, piece in zip(targets, pieces, strict=True):
            state[target] = piece.to(dtype).contiguous()
    if of.prefixes == (CLIP_L,) and PROJECTION in wanted:  # of Stable Diffusion 3, which does not project here
        state[PROJECTION] = torch.eye(wanted[PROJECTION][0], dtype=dtype)
    if SHARED in wanted:
        _tie(file, part, state)
    if missing := [name for name in wanted if name not in state]:
        raise UserError(
            f"{file.path.name} lacks weights of its {part} ({len(missing)} of {len(wanted)}, first: {missing[0]}): it "
            f"is incomplete, or no {design.title} as it was published, and then --base DIR, its diffusers folder, is "
            "needed"
        )
    return state


def _tie(file: Checkpoint, part: str, state: dict[str, torch.Tensor]) -> None:
    """What T5 knows of tokens, under both of its names."""
    for one, other in ((SHARED, TIED), (TIED, SHARED)):
        if one in state and other not in state:
            state[other] = state[one]
    if SHARED in state and state[SHARED] is not state[TIED] and not torch.equal(state[SHARED], state[TIED]):
        raise UserError(
            f"{file.path.name}: {SHARED} and {TIED} of its {part} differ, and T5 has but one: it is damaged"
        )


def unknown(file: Checkpoint, design: Design, name: str, others: int = 0) -> UserError:
    """What is said of tensors that have no place in a model."""
    more = f" and {others} more" if others else ""
    return UserError(
        f"{file.path.name} holds tensors that {design.title} does not have: {shown(name)}{more}; what they would "
        "change cannot be known, so the file is not audited"
    )


def _misshapen(file: Checkpoint, design: Design, name: str, shapes: Sequence[tuple[int, ...]]) -> UserError:
    wanted = " and ".join(str(list(shape)) for shape in shapes)
    return UserError(
        f"{file.path.name}: {shown(name)} has the shape {list(file.shapes[name])}, where {wanted} is needed: it is no "
        f"{design.title} as it was published, or not the model of --base DIR: give its own diffusers folder there"
    )


def _pieces(value: torch.Tensor, shapes: Sequence[tuple[int, ...]]) -> list[torch.Tensor] | None:
    """The rows of a tensor that go to each of its targets; None if it does not fit them."""
    rows = [shape[0] for shape in shapes]
    if not value.ndim or value.shape[0] != sum(rows):
        return None
    pieces = torch.split(value, rows)
    if any(_flat(piece.shape) != _flat(shape) for piece, shape in zip(pieces, shapes, strict=True)):
        return None
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _flat(shape: Sequence[int]) -> list[int]:
    """A shape without the sides of a 1 x 1 kernel: such a convolution is a linear layer."""
    kept = list(shape)
    while len(kept) > 2 and kept[-1] == 1:
        kept.pop()
    return kept


def _unasked(of: Component, target: str, config: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a text encoder's tensor has no say: its projection, where none is asked, or its last layers."""
    if of.diffusers:
        return False
    if target == PROJECTION:
        return target not in wanted or of.prefixes == (CLIP_L,)
    layer = re.match(r"(text_model\.)?encoder\.layers\.(\d+)\.", target)
    kept = config.get("num_hidden_layers")
    return bool(layer and of.beyond and kept is not None and kept <= int(layer[2]) < kept + of.beyond)
