"""A network from its configuration, without weights at first, then with just those that were read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainedon.errors import UserError
from trainedon.targets.reading.bounds import Held, no_larger
from trainedon.targets.reading.model_files import brief, present_name, shown
from trainedon.targets.reading.tensors import Tensors

Found = Mapping[str, str]  # a tensor's name in the network -> its name in the files


def blank(kind: Any, config: Mapping[str, Any], place: Path | str, held: Held) -> nn.Module:
    """A network of diffusers, or a text encoder of transformers, that holds shapes alone and takes no memory.

    held: the weights that it will be given. Raises UserError, which begins with `place`, for a configuration of
    something else, or of more than these.
    """
    try:
        with torch.device("meta"), no_larger(held, place):
            if hasattr(kind, "from_config"):
                network: nn.Module = kind.from_config(dict(config))  # of diffusers
                return network
            network = kind(kind.config_class.from_dict(dict(config)))
            return network
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 (the libraries raise what comes up when numbers make no network)
        raise UserError(f"{place} does not describe a {kind.__name__} ({brief(error)})") from None


def held_by(shards: list[Tensors]) -> Held:
    return Held.of(entry.shape for shard in shards for entry in shard.entries.values())


def names_of(shards: list[Tensors], network: nn.Module) -> Found:
    """Which tensor of the files each of a network of diffusers is; also under the names of 2022.

    Raises ValueError, in one line, unless they are the same tensors, of the same shapes.
    """
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: entry.shape for shard in shards for name, entry in shard.entries.items()}
    names = {name if name in wanted else present_name(name): name for name in found}
    if wrong := sorted({*names} ^ {*wanted}):
        what = "there is no" if wrong[0] in wanted else "it has no"
        raise ValueError(f"{what} {shown(wrong[0])}")
    for name, shape in wanted.items():
        if found[names[name]] != shape:
            raise ValueError(f"{shown(name)} is {list(found[names[name]])}, where {list(shape)} is needed")
    return names


def filled(
    network: nn.Module, kind: Any, config: Mapping[str, Any], shards: list[Tensors], dtype: torch.dtype
) -> nn.Module:
    """A network of diffusers with the weights of the files, each read once, all numbers with a point of one type.

    network: as `blank` makes it. Raises ValueError where they do not fit it.
    """
    places = {theirs: ours for ours, theirs in names_of(shards, network).items()}
    if {name for name, _ in network.named_buffers()} - network.state_dict().keys():
        network = _with_tables(kind, config, dtype)
    read = ((places[name], value) for shard in shards for name, value in shard.read())
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in read}
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval()


def _with_tables(kind: Any, config: Mapping[str, Any], dtype: torch.dtype) -> nn.Module:
    """A network without weights, but with the tables that it makes itself, such as the places of a transformer's
    squares: they are no part of the files, and are made in the type in which diffusers makes them."""
    from accelerate import init_empty_weights

    with init_empty_weights(), _numbers_of(dtype):
        network: nn.Module = kind.from_config(dict(config))
    return network


@contextmanager
def _numbers_of(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def worded(kind: Any, config: Any, state: dict[str, torch.Tensor], dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """A text encoder of transformers with the weights in `state`, by transformers' own renaming; and what it says of
    those that are missing or left over. config: transformers' own. Nothing is opened for it."""
    found: tuple[Any, dict[str, Any]] = kind.from_pretrained(
        None, config=config, state_dict=state, dtype=dtype, output_loading_info=True
    )
    return found


def check_room(network: nn.Module, shards: list[Tensors]) -> None:
    """Raises ValueError when a network has more numbers than the files: transformers would make the rest up, in memory
    of any size."""
    wanted = sum(parameter.numel() for parameter in network.parameters())
    there = held_by(shards).numbers
    if wanted > there:
        raise ValueError(f"it has {wanted:,} numbers, and the files hold {there:,}")


def read_all(shards: list[Tensors], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The tensors of the files, each read once; in float32 where that is asked for, as no finer one is kept.

    In half precision transformers decides of each whether it is kept in float32.
    """
    exact = dtype == torch.float32
    read = (one for shard in shards for one in shard.read())
    return {name: value.float() if exact and value.is_floating_point() else value for name, value in read}


def refuse_packed(place: object, config: Mapping[str, Any]) -> None:
    """Raises UserError, which begins with `place`, where a configuration says that the weights are quantized."""
    if config.get("quantization_config"):
        raise UserError(f"{place}: quantized weights are not supported: give the model as it was trained")
