"""What a run holds in memory at its peak: reckoned before it begins, and what was held while a batch was timed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainedon.targets import Target
from trainedon.targets.core.own_network import OwnNetwork
from trainedon.targets.core.row_memory import Memory, peak_of_process
from trainedon.targets.networks.footprint import decoder_need, footprint, own_footprint
from trainedon.targets.networks.latent import Latent
from trainedon.targets.networks.network import Network


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on the device that was measured. weights: of each part; empty where they are not known, and are in nothing
    else. rows, pictures: how many go through the network and the autoencoder at once; None without one. network,
    autoencoder: what these take besides their weights, the way back included where scores or painting need gradients;
    they do not work at the same time. peak: of weights and work; None where a row cannot be reckoned. measured: the
    most that was held until a batch was timed, on a processor by the whole process, its libraries and the loading
    included. free: what can still be had beside the weights; None where the system does not say. elsewhere: bytes of
    weights that main memory holds, of a model whose parts are on the device only while they work: `network`,
    `autoencoder` and `peak` then have in them what is there meanwhile; None where all weights stay on the device."""

    weights: dict[str, int]
    rows: int
    network: int | None
    pictures: int | None
    autoencoder: int | None
    peak: int | None
    measured: int | None
    free: int | None
    elsewhere: int | None = None

    @property
    def warning(self) -> str | None:
        """A sentence where more is needed than there is."""
        work = max(self.network or 0, self.autoencoder or 0)
        if self.elsewhere is not None and self.peak is not None:
            work = self.peak
        if self.free is None or work <= self.free:
            return None
        beside = " beside the weights" if self.elsewhere is None else ""
        return (
            f"memory does not suffice: {_gib(work)} are needed{beside}, and {_gib(self.free)} are free: "
            "give a smaller --batch-size, or take a larger device"
        )


def memory_of(
    target: Target,
    measured: int | None = None,
    memory: Memory | None = None,
    gradients: bool = False,
    decoded: bool = False,
) -> MemoryEstimate | None:
    """Of a model that is loaded; None for one whose memory is not known here, such as a service.

    measured: as in `MemoryEstimate`. memory: what is free; None: it is asked. gradients: whether scores or painting
    take some. decoded: whether attacks go back through the decoder.
    """
    memory = memory or Memory.of(target.device)
    if isinstance(target, OwnNetwork):
        found = own_footprint(target, gradients)
    elif isinstance(target, Network):
        found = footprint(target, gradients)
    else:
        return None
    batching = target.batching
    coder = None if found.coder is None else batching.coder
    rows, pictures = batching.most, None if coder is None else coder.most
    need = found.back if gradients else found.network
    network = None if need is None else need.bytes(rows)
    coding = (decoder_need(target) if decoded and isinstance(target, Latent) else None) or found.coder
    autoencoder = None if coding is None or pictures is None else coding.bytes(pictures)
    stay, elsewhere = sum(found.weights.values()), None
    if found.words is not None:
        stay, elsewhere = 0, stay
    return MemoryEstimate(
        weights=found.weights,
        rows=rows,
        network=network,
        pictures=pictures,
        autoencoder=autoencoder,
        peak=None if network is None else stay + max(network, autoencoder or 0, found.words or 0),
        measured=measured,
        free=None if memory is None else memory.free,
        elsewhere=elsewhere,
    )


def held_so_far(device: torch.device) -> int | None:
    """The most bytes that were held on a device by this process; None where that is not known."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return peak_of_process() if device.type == "cpu" else None


def _gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
