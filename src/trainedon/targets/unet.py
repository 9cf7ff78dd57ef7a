"""Pixel-space UNets of diffusers, unconditional and class-conditional."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from torch.nn import functional as F

from trainedon.errors import UserError
from trainedon.targets.target import PAD, PRECISIONS, Target


@dataclass(eq=False)
class PixelUNet(Target):
    """`UNet2DModel`: DDPM, DDIM and their kin."""

    unet: UNet2DModel = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        # channels-last halves the time of a forward pass on CPU, and makes it independent of the batch size
        self.unet = self.unet.requires_grad_(False).eval().to(self.device, memory_format=torch.channels_last)
        self._network = torch.compile(self.unet, dynamic=False) if self.compiled else self.unet
        self._attentions = [module for module in self.unet.modules() if isinstance(module, Attention)]

    def _predict(self, x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return self._ask(self._network, x_t, t, labels)

    def _ask(self, network: Callable, x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        x_t = x_t.to(memory_format=torch.channels_last)
        with self._cast():
            answer = network(x_t, t, class_labels=labels).sample
        return answer[:, : self.shape[0]].float().contiguous()  # models that learn the variance answer 2c channels

    def _cast(self) -> AbstractContextManager:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=PRECISIONS[self.precision])

    def layers(self) -> list[str]:
        """Names that `features` takes, in the order of the network."""
        down = [f"down_blocks.{i}" for i in range(len(self.unet.down_blocks))]
        return [*down, "mid_block", *(f"up_blocks.{i}" for i in range(len(self.unet.up_blocks)))]

    def features(
        self, pictures: torch.Tensor, t: int, layer: str | None = None, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        layer = layer or f"up_blocks.{len(self.unet.up_blocks) // 2}"
        if layer not in self.layers():
            raise UserError(f"the model has no layer {layer!r}: it has {', '.join(self.layers())}")
        seen: list[torch.Tensor] = []

        def keep(_module, _inputs, output):
            seen.append(output[0] if isinstance(output, tuple) else output)

        hook = self.unet.get_submodule(layer).register_forward_hook(keep)
        try:
            return self._look(pictures, t, labels, seen.pop).contiguous()
        finally:
            hook.remove()

    @property
    def attends(self) -> bool:
        return bool(self._attentions)

    def attention(self, pictures: torch.Tensor, t: int, labels: torch.Tensor | None = None) -> torch.Tensor | None:
        if not self._attentions:
            return None
        received: list[torch.Tensor] = []  # one (n, h, w) a layer

        def keep(module, inputs, _output):
            received.append(_attention_received(module, inputs[0], self.shape[1:]))

        def collect():
            mean = torch.stack(received).mean(0)
            received.clear()
            return mean

        hooks = [module.register_forward_hook(keep) for module in self._attentions]
        try:
            return self._look(pictures, t, labels, collect)
        finally:
            for hook in hooks:
                hook.remove()

    def gradient_norms(
        self, x_t: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        weights = list(self.unet.requires_grad_(True).parameters())
        # all at once whatever the batch size, so that sums round alike; as it is, for nothing is compiled for weights
        (rows, network), self.rows, self._network = (self.rows, self._network), len(x_t) + -len(x_t) % PAD, self.unet
        try:
            with torch.enable_grad():
                error = (self.denoise(x_t, t, labels).noise - noise).square().mean()
                gradients = torch.autograd.grad(error, weights, allow_unused=True)
        finally:
            self.unet.requires_grad_(False)
            self.rows, self._network = rows, network
        self.evaluations.backward += len(x_t)
        norms = [torch.zeros((), device=self.device) if g is None else g.float().norm() for g in gradients]
        return torch.stack(norms).cpu().double()

    @torch.no_grad()
    def _look(self, pictures, t, labels, collect: Callable[[], torch.Tensor]) -> torch.Tensor:
        """One pass over `alpha_t x`; `collect` gives what the hooks saw of the rows that just went through."""

        def network(x, t, labels):
            self._ask(self.unet, x, t, labels)  # hooks are not seen in a compiled network
            return collect()

        alpha, _ = self.path.at(t, pictures)
        times = torch.full((len(pictures),), t, device=self.device)
        seen = self._in_chunks(network, alpha * pictures, times, labels)
        self.evaluations.forward += len(pictures)
        return seen.float()


def _attention_received(module: Attention, hidden: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Attention that each place receives from all places, mean over heads: (n, c, h, w) -> (n, *size)."""
    n, c, h, w = hidden.shape
    tokens = hidden.reshape(n, c, h * w)
    if module.group_norm is not None:
        tokens = module.group_norm(tokens)
    tokens = tokens.transpose(1, 2)  # (n, hw, c)
    query = module.head_to_batch_dim(module.to_q(tokens))
    key = module.head_to_batch_dim(module.to_k(tokens))
    received = module.get_attention_scores(query, key).mean(1)  # (n * heads, hw)
    received = received.reshape(n, -1, h, w).mean(1, keepdim=True)
    return F.interpolate(received, size=size, mode="bilinear", align_corners=False)[:, 0]
