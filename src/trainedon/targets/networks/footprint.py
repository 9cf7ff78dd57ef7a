"""How much memory a model takes while it works, reckoned by one row of it, and how many rows there is room for."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from trainedon.condition import UNCONDITIONAL, Classes, Condition
from trainedon.errors import UserError
from trainedon.targets.core.batching import Batching
from trainedon.targets.core.own_network import OwnNetwork
from trainedon.targets.core.own_rows import fit_rows, row_need
from trainedon.targets.core.row_memory import Footprint, Memory, RowsNeed, peak_of
from trainedon.targets.core.target import Target
from trainedon.targets.networks.latent import Latent
from trainedon.targets.networks.network import Network

log = logging.getLogger("trainedon")

# Tensors of a picture's full size and the network's first width that a network of few weights surely holds fewer of.
SURELY = 64
BACK = 16  # times as many it surely holds fewer of until its gradient is known


def footprint(target: Network, gradients: bool = False) -> Footprint:
    """Of a model that is loaded; nothing is computed but the embedding of an empty caption. gradients: whether some are
    to be taken, too."""
    if (apart := _apart(target)) is not None:
        return apart
    coder = _coder_need(target) if isinstance(target, Latent) else None
    back = _network_need(target, gradients=True) if gradients else None
    weights = {name: _bytes(part) for name, part in _parts(target).items()}
    return Footprint(weights, _network_need(target), coder, back)


def own_footprint(target: OwnNetwork, gradients: bool = False) -> Footprint:
    """Of a network of somebody's own, whose rows are measured. weights: of the modules and tensors that are known;
    empty where none are."""
    parts = {id(part): part for part in target.parts if isinstance(part, nn.Module | torch.Tensor)}.values()
    known = [_bytes(part) if isinstance(part, nn.Module) else _size(part) for part in parts]
    back = row_need(target, gradients=True) if gradients else None
    return Footprint({"network": sum(known)} if known else {}, row_need(target), None, back)


def reckon_apart(target: Latent) -> None:
    """What `footprint` says of a model that is to be offloaded, from now on: called while its parts still lie in main
    memory, since what moves them has no shapes alone.

    With `model` a part is on the device whole, of text encoders perhaps all; with `sequential` one layer at a time, and
    all those of the network until a gradient is known.
    """
    found = footprint(replace(target, device=torch.device("cpu")), gradients=True)
    whole, network = found.weights, found.weights["network"]
    encoders = [part for name, part in target.parts.items() if name not in ("network", "autoencoder")]
    words = sum(map(_bytes, encoders))
    if target.offload == "model":
        there, coder = network, whole["autoencoder"]
    else:
        there, coder = _largest_layer(target.network), _largest_layer(target.autoencoder)
        words = max(map(_largest_layer, encoders), default=0)
    target.apart = Footprint(
        whole, _with(found.network, there), _with(found.coder, coder), _with(found.back, network), words
    )


def _with(need: RowsNeed | None, weights: int) -> RowsNeed | None:
    return None if need is None else RowsNeed(need.row, need.fixed + weights)


def _largest_layer(part: nn.Module) -> int:
    """Bytes of the largest module by itself, and of all buffers, which stay on the device."""
    layers = (sum(_size(one) for one in layer.parameters(recurse=False)) for layer in part.modules())
    return max(layers) + sum(_size(one) for one in part.buffers())


def _apart(target: Network) -> Footprint | None:
    return target.apart if isinstance(target, Latent) else None


def fit(target: Network, memory: Memory | None) -> None:
    """Fewer rows at once, down to 1, where there is no room for as many as `target.batching` says.

    memory: of the target's device, with the weights in it; None where it is not known, and nothing is changed. Where
    too much is fatal, a model without room for one row is refused by a UserError; elsewhere it is tried, as what is
    reckoned is no measurement.
    """
    if memory is None or (_apart(target) is None and _is_small(target, memory)):
        return
    found, batching = footprint(target), target.batching
    for what, need, of in (("row", found.network, batching), ("picture", found.coder, batching.coder)):
        if need is not None and of is not None:
            _fit(target, of, need, memory, what)


def fit_gradients(target: Target, memory: Memory | None = None) -> None:
    """As `fit`, for attacks that go back through the network, which hold all that a row went through until then.

    Called before each of them, and done once. memory: as it is now, where not given.
    """
    if target.batching.there_and_back:
        return
    if isinstance(target, OwnNetwork):
        fit_rows(target, memory, gradients=True)
        target.batching.there_and_back = True
    if not isinstance(target, Network):
        return
    memory = memory or Memory.of(target.device)
    need = None
    if (apart := _apart(target)) is not None:
        need = apart.back
    elif memory is not None and not _is_small(target, memory, BACK):
        need = _network_need(target, gradients=True)
    if need is None or memory is None:
        target.batching.there_and_back = True
        return
    way = "the way back of a single row"
    _fit(target, target.batching, need, memory, "row", way, "leave out attacks that need gradients")
    target.batching.there_and_back = True


def fit_decoder_gradients(target: Target, memory: Memory | None = None) -> None:
    """As `fit_gradients`, for attacks that go back through the decoder of a model in latents."""
    memory = memory or Memory.of(target.device)
    coder = target.batching.coder if isinstance(target, Latent) else None
    if not isinstance(target, Latent) or coder is None or memory is None:
        return
    picture = target.picture[1] * target.picture[2] * target.autoencoder.config.block_out_channels[0]
    if SURELY * BACK * 4 * picture * coder.most < memory.room // 2:
        return
    need = decoder_need(target)
    if need is None:
        return
    way = "the way back of a single picture through its decoder"
    _fit(target, coder, need, memory, "picture", way, "leave out pullback")


def check_weight_gradients(target: Target, rows: int, memory: Memory | None = None) -> None:
    """Raises UserError where memory, of which too much would end the process, has no room for the gradients of all
    weights over so many rows, which are asked together. memory: as it is now, where not given."""
    memory = memory or Memory.of(target.device)
    if not isinstance(target, Network) or memory is None or not memory.fatal or _is_small(target, memory, BACK):
        return
    need = _network_need(target, gradients=True, of_weights=True)
    rows += -rows % target.batching.unit
    if need is not None and need.bytes(rows) > memory.room:
        raise UserError(
            f"{target.identity.name}: the gradients of its weights over {rows} rows take {_gib(need.bytes(rows))} "
            f"beside the weights, and {_gib(memory.free)} are free, of which {memory.share:.0%} may be taken: leave "
            "out attacks that need them, close other programs, or take a larger machine"
        )


def _fit(
    target: Network, batching: Batching, need: RowsNeed, memory: Memory, what: str, single: str = "", remedy: str = ""
) -> None:
    """As many of `what` at once as there is room for. Raises UserError where too much is fatal and there is no room for
    `single`, one of them, with what to do first."""
    most = need.most(memory)
    if most < 1 and memory.fatal:
        raise UserError(
            f"{target.identity.name}: {single or f'a single {what}'} takes {_gib(need.bytes(1))} beside the weights, "
            f"and {_gib(memory.free)} are free, of which {memory.share:.0%} may be taken: {remedy and f'{remedy}, '}"
            "close other programs, take a larger machine, or a smaller --size"
        )
    if most < batching.most:
        log.info("memory: %s of %s free, %d %ss at once", _gib(memory.free), target.device, max(1, most), what)
        batching.at_most(max(1, most))


def _is_small(target: Network, memory: Memory, times: int = 1) -> bool:
    """Whether a network is so small beside what is free that reckoning, which takes longer than to ask it, would change
    nothing. times: what a row takes, in multiples of what it takes without gradients."""
    config = target.config
    widths = getattr(config, "block_out_channels", None)
    heads, each = (getattr(config, name, None) for name in ("num_attention_heads", "attention_head_dim"))
    width = widths[0] if widths else (heads or 0) * (each or 0)
    pixels, coded = target.picture[1] * target.picture[2], 0
    if isinstance(target, Latent):
        coded = pixels * target.autoencoder.config.block_out_channels[0]
    row = target.shape[1] * target.shape[2] * width
    rows = target.batching.most
    return bool(width) and SURELY * 4 * max(times * rows * row, 16 * coded) < memory.room // 2


def _network_need(target: Network, gradients: bool = False, of_weights: bool = False) -> RowsNeed | None:
    """gradients: with the way back to the input; of_weights: to the weights instead, a gradient of each besides."""
    channels = int(target.config.in_channels)
    height, width = target.shape[1:]
    if isinstance(target, Latent) and channels not in (target.shape[0], 2 * target.shape[0] + 1):
        channels = target.shape[0]  # of a network that is fed with squares of latents
    condition: Condition = UNCONDITIONAL
    if target.classes is not None:
        condition = Classes(torch.zeros(1, dtype=torch.int64, device=target.device))
    x = torch.zeros(1, channels, height, width, device=target.device)
    t = torch.zeros(1, dtype=torch.int64, device=target.device)
    target.ready()

    def there() -> torch.Tensor:
        return target.answered(target.network, x, t, condition)

    def and_back() -> object:
        given = x.clone().requires_grad_(True)
        return torch.autograd.grad(target.answered(target.network, given, t, condition).square().sum(), given)

    def to_weights() -> object:
        weights = [*target.network.requires_grad_(True).parameters()]
        try:
            error = target.answered(target.network, x, t, condition).square().sum()
            return torch.autograd.grad(error, weights, allow_unused=True)
        finally:
            target.network.requires_grad_(False)

    if of_weights:
        need = _need(target.network, to_weights, gradients)
        return need and RowsNeed(need.row, need.fixed + _bytes(target.network))
    return _need(target.network, and_back if gradients else there, gradients)


def _coder_need(target: Latent) -> RowsNeed | None:
    pixels = torch.zeros(1, *target.picture, device=target.device)
    states = torch.zeros(1, *target.shape, device=target.device)
    t = torch.zeros(1, dtype=torch.int64)

    def both() -> None:
        target.encoded(pixels, t, UNCONDITIONAL)
        target.decoded(states, t, UNCONDITIONAL)

    return _need(target.autoencoder, both)


def decoder_need(target: Latent) -> RowsNeed | None:
    """Of the way from latents to the picture and back; None where it cannot be reckoned."""
    states, t = torch.zeros(1, *target.shape, device=target.device), torch.zeros(1, dtype=torch.int64)

    def and_back() -> object:
        z = states.clone().requires_grad_(True)
        return torch.autograd.grad(target.decoded(z, t, UNCONDITIONAL).sum(), z)

    return _need(target.autoencoder, and_back, gradients=True)


def _need(network: nn.Module, work: Any, gradients: bool = False) -> RowsNeed | None:
    """Of one row. Kernels lay out anew the weights of the layer that they work on: at most the largest of them."""
    row = peak_of(work, gradients)
    if row is None:
        return None
    return RowsNeed(row, max((_size(one) for one in network.parameters()), default=0))


def _parts(target: Network) -> dict[str, Any]:
    return target.parts if isinstance(target, Latent) else {"network": target.network}


def _bytes(part: nn.Module) -> int:
    return sum(_size(one) for one in (*part.parameters(), *part.buffers()))


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
