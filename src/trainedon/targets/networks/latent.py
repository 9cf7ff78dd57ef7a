"""Latent diffusion: the network works on what an autoencoder makes of pictures."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch

from trainedon.condition import UNCONDITIONAL, Condition
from trainedon.targets.core.batching import PAD, Batching, Rows
from trainedon.targets.core.row_memory import Footprint
from trainedon.targets.networks.network import PRECISIONS, Answer, Module, Network, labels_of

# Latents of pictures, scaled to a standard deviation of about 1, stay well within this; what guides a restoration could
# otherwise push them without end.
LARGEST = 10.0
KEPT = 256 * 2**20  # bytes of latents that are kept: of 64 pictures in four views where one takes 1 MiB, as Flux's do
# Numbers of one picture at its full size in the autoencoder (height x width x channels) from which on pictures go
# through it one by one: 256 x 256 pixels in that of Stable Diffusion have twice as many.
ALONE = 2**22


@dataclass(eq=False, repr=False)
class Latent(Network):
    """A network between the two halves of an autoencoder.

    pixels: (c, h, w) of a picture. autoencoder: diffusers' AutoencoderKL or VQModel, always in float32, where half
    precision would overflow. pipeline: the diffusers pipeline that all parts belong to. offload: `model` or
    `sequential` where parts lie in main memory, and are on the device, whole or layer by layer, only while they work;
    None: they stay on the device. apart: what such a model takes there, reckoned before its parts can be moved.
    """

    pixels: tuple[int, int, int] = (3, 0, 0)
    autoencoder: Any = None
    pipeline: Any = None
    offload: str | None = None
    apart: Footprint | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._encoded: OrderedDict[bytes, torch.Tensor] = OrderedDict()  # by a hash of the picture
        self._encoded_bytes = 0
        self.autoencoder.requires_grad_(False).eval()
        config = self.autoencoder.config
        self._scale = getattr(config, "scaling_factor", None) or 1.0
        self._shift = torch.tensor(getattr(config, "shift_factor", None) or 0.0, device=self.device)
        mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
        if mean is not None and std is not None:  # one number a channel, of some autoencoders
            self._shift = torch.tensor(mean, device=self.device).view(1, -1, 1, 1)
            self._scale = self._scale / torch.tensor(std, device=self.device).view(1, -1, 1, 1)
        if self.batching.coder is None:
            alone = self.pixels[1] * self.pixels[2] * config.block_out_channels[0] >= ALONE
            self.batching.coder = Batching(1, unit=1) if alone else Batching(PAD)
        if self.offload is None:
            self.autoencoder.to(self.device, memory_format=torch.channels_last)

    @property
    def _dtype(self) -> torch.dtype:
        """That of the weights, which are in the precision themselves: models of this size leave no room for others."""
        return PRECISIONS[self.precision]

    def placed(self, network: Any) -> Any:
        return super().placed(network) if self.offload is None else network

    @property
    def parts(self) -> dict[str, Any]:
        """What has weights, by its name here."""
        return {"network": self.network, "autoencoder": self.autoencoder}

    def make_room(self, working: Collection[str]) -> None:
        """Of an offloaded model: parts that do not work leave the device. Pipelines move the one before along, in the
        order of making a picture; here autoencoder and network are asked in turn, and both would stay."""
        if self.offload != "model":
            return
        for name, part in self.parts.items():
            if name not in working and next(part.parameters()).device.type != "cpu":
                part.to("cpu")

    def answered(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        x = x.to(self._dtype, memory_format=torch.channels_last)

        def alone(*given: Any, **named: Any) -> Answer:
            self.make_room(["network"])  # only now: a caption may have been embedded on the way
            return network(*given, **named)

        return self.ask(alone, x, t, condition)[:, : self.shape[0]].float().contiguous()

    def network_time(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The numbers that stand for timesteps in the network, (n,), where they are not the timesteps themselves."""
        return self.path.times[t.cpu()].to(x)

    @property
    def latent(self) -> bool:
        return True

    @property
    def picture(self) -> tuple[int, int, int]:
        return self.pixels

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """The mode of the autoencoder's distribution, shifted and scaled as the network was trained on it.

        What [-1, 1] is to pixels is done by the scale; latents are not rescaled otherwise. Attacks ask for the same
        pictures again and again, in other company each: the latest answers are kept, picture by picture.
        """
        keys = [hashlib.blake2b(row.tobytes()).digest() for row in pixels.detach().cpu().contiguous().numpy()]
        places = {key: place for place, key in enumerate(keys) if key not in self._encoded}
        found = {key: self._encoded[key] for key in keys if key not in places}
        if places:
            found |= zip(places, self._encode(pixels[[*places.values()]]), strict=True)
        for key in dict.fromkeys(keys):
            self._keep(key, found[key])
        return torch.stack([found[key] for key in keys])

    def _keep(self, key: bytes, states: torch.Tensor) -> None:
        """Latents of one picture; those that were asked for least recently go first."""
        if key not in self._encoded:
            self._encoded[key] = states.clone()
            self._encoded_bytes += states.nbytes
        self._encoded.move_to_end(key)
        while len(self._encoded) > 1 and self._encoded_bytes > KEPT:
            self._encoded_bytes -= self._encoded.popitem(last=False)[1].nbytes

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return (self._through(self.encoded, pixels) - self._shift) * self._scale

    def decode(self, states: torch.Tensor) -> torch.Tensor:
        return self._through(self.decoded, states / self._scale + self._shift)

    def decoder_influence(self, states: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
        """As in `Target`; until the way back is done, all that pictures went through in the decoder is held. Of a
        VQModel the gradient passes by the rounding to its codes."""

        def influence(z: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
            with torch.enable_grad():
                z = z.detach().requires_grad_()
                pictures = self.decoded(z, t, condition)
                squares = torch.zeros_like(z, requires_grad=False)
                for pattern in patterns:
                    (gradient,) = torch.autograd.grad((pictures * pattern).sum(), z, retain_graph=True)
                    squares += gradient.square()
            return squares / len(patterns)

        found = self._through(influence, states / self._scale + self._shift)
        return found / self._scale**2  # by latents as the network knows them, not as the decoder does

    def encoded(self, x: torch.Tensor, _t: torch.Tensor, _condition: Condition) -> torch.Tensor:
        """What the autoencoder makes of a batch of pictures, as it is."""
        found = self.autoencoder.encode(x.to(memory_format=torch.channels_last))
        latents: torch.Tensor = found.latents if hasattr(found, "latents") else found.latent_dist.mode()
        return latents

    def decoded(self, z: torch.Tensor, _t: torch.Tensor, _condition: Condition) -> torch.Tensor:
        pictures: torch.Tensor = self.autoencoder.decode(z.to(memory_format=torch.channels_last)).sample
        return pictures

    def bounded(self, states: torch.Tensor) -> torch.Tensor:
        return states.clamp(-LARGEST, LARGEST)

    @torch.no_grad()
    def _through(self, network: Rows, x: torch.Tensor) -> torch.Tensor:
        """The autoencoder's passes, in batches of their own: they work at the picture's size, and take memory
        accordingly."""
        times = torch.zeros(len(x), dtype=torch.int64, device=self.device)
        coder = self.batching.coder or Batching(PAD)
        self.make_room(["autoencoder"])
        return coder.through(self.checked(network), x.to(self.device), times, UNCONDITIONAL).contiguous()


class LatentUNet(Latent):
    """`UNet2DModel` on latents: latent diffusion (LDM, arXiv 2112.10752), unconditional or conditioned on classes."""

    def ask(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        return network(x, t, class_labels=labels_of(condition)).sample


class DiT(Latent):
    """`DiTTransformer2DModel` (arXiv 2212.09748), conditioned on classes."""

    def ask(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        return network(x, timestep=t, class_labels=labels_of(condition)).sample
