"""How much memory a model takes while it works, reckoned by one row of it, and how many rows there is room for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trainedon.condition import UNCONDITIONAL, Classes, Condition
from trainedon.errors import UserError
from trainedon.targets.core.row_memory import Memory, RowsNeed, peak_of
from trainedon.targets.networks.latent import Latent
from trainedon.targets.networks.network import Network

log = logging.getLogger("trainedon")

# Tensors of a picture's full size and the network's first width that a network of few weights surely holds fewer of.
SURELY = 64


@dataclass(frozen=True)
class Footprint:
    """weights: bytes of each part's weights. network, coder: what a row takes of the network, and a picture of the
    autoencoder; None where there is none, or it cannot be reckoned."""

    weights: dict[str, int]
    network: RowsNeed | None
    coder: RowsNeed | None


def footprint(target: Network) -> Footprint:
    """Of a model that is loaded; nothing is computed but the embedding of an empty caption."""
    coder = None
    if isinstance(target, Latent) and not target.offloaded:
        coder = _coder_need(target)
    network = None if getattr(target, "offloaded", False) else _network_need(target)
    return Footprint({name: _bytes(part) for name, part in _parts(target).items()}, network, coder)


def fit(target: Network, memory: Memory | None) -> None:
    """Fewer rows at once, down to 1, where there is no room for as many as `target.batching` says.

    memory: of the target's device, with the weights in it; None where it is not known, and nothing is changed. Where
    too much is fatal, a model without room for one row is refused by a UserError; elsewhere it is tried, as what is
    reckoned is no measurement.
    """
    if memory is None or getattr(target, "offloaded", False) or _is_small(target, memory):
        return
    found, batching = footprint(target), target.batching
    for what, need, of in (("row", found.network, batching), ("picture", found.coder, batching.coder)):
        if need is None or of is None:
            continue
        most = need.most(memory)
        if most < 1 and memory.fatal:
            raise UserError(
                f"{target.identity.name}: a single {what} takes {_gib(need.bytes(1))} beside the weights, and "
                f"{_gib(memory.free)} are free, of which {memory.share:.0%} may be taken: close other programs, take a "
                "larger machine, or a smaller --size"
            )
        if most < of.most:
            log.info("memory: %s of %s free, %d %ss at once", _gib(memory.free), target.device, max(1, most), what)
            of.at_most(max(1, most))


def _is_small(target: Network, memory: Memory) -> bool:
    """Whether a network is so small beside what is free that reckoning, which takes longer than to ask it, would change
    nothing."""
    config = target.config
    widths = getattr(config, "block_out_channels", None)
    heads, each = (getattr(config, name, None) for name in ("num_attention_heads", "attention_head_dim"))
    width = widths[0] if widths else (heads or 0) * (each or 0)
    pixels, coded = target.picture[1] * target.picture[2], 0
    if isinstance(target, Latent):
        coded = pixels * target.autoencoder.config.block_out_channels[0]
    row = target.shape[1] * target.shape[2] * width
    rows = target.batching.most
    return bool(width) and SURELY * 4 * max(rows * row, 16 * coded) < memory.room // 2


def _network_need(target: Network) -> RowsNeed | None:
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
    return _need(target.network, lambda: target.answered(target.network, x, t, condition))


def _coder_need(target: Latent) -> RowsNeed | None:
    pixels = torch.zeros(1, *target.picture, device=target.device)
    states = torch.zeros(1, *target.shape, device=target.device)
    t = torch.zeros(1, dtype=torch.int64)

    def both() -> None:
        target.encoded(pixels, t, UNCONDITIONAL)
        target.decoded(states, t, UNCONDITIONAL)

    return _need(target.autoencoder, both)


def _need(network: nn.Module, work: Any) -> RowsNeed | None:
    """Of one row. Kernels lay out anew the weights of the layer that they work on: at most the largest of them."""
    row = peak_of(work)
    if row is None:
        return None
    return RowsNeed(row, max((_size(one) for one in network.parameters()), default=0))


def _parts(target: Network) -> dict[str, Any]:
    if not isinstance(target, Latent):
        return {"network": target.network}
    words = {name: part for name, part in target.pipeline.components.items() if name.startswith("text_encoder")}
    known = {"network": target.network, "autoencoder": target.autoencoder, **words}
    return {name: part for name, part in known.items() if part is not None}


def _bytes(part: nn.Module) -> int:
    return sum(_size(one) for one in (*part.parameters(), *part.buffers()))


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
