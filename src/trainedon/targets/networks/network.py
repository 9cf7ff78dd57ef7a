"""What all adapters have in common: a diffusers network, its features, attention and gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from trainedon.condition import UNCONDITIONAL, Captions, Classes, Condition
from trainedon.errors import UserError
from trainedon.targets.core.target import Target
from trainedon.targets.networks.attending import Watch, attentions

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BLOCKS = ("down_blocks", "mid_block", "up_blocks", "transformer_blocks", "single_transformer_blocks")


class Answer(Protocol):
    """What a diffusers network gives back."""

    sample: torch.Tensor


Module = Callable[..., Answer]  # a diffusers network, as it is called


@dataclass(eq=False, repr=False)
class Network(Target):
    """A model whose network is a diffusers module. Its adapter says how the network is called."""

    network: nn.Module = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.network = self.placed(self.network.requires_grad_(False).eval())
        self._compiled = torch.compile(self.network, dynamic=False) if self.batching.compiled else self.network

    def placed(self, network: Any) -> Any:
        """The network where it works."""
        # channels-last halves the time of a forward pass on CPU, and makes it independent of the batch size
        return network.to(self.device, memory_format=torch.channels_last)

    def ready(self) -> None:
        """What has to be there before the network can be asked without a condition of its own."""

    @abstractmethod
    def ask(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        """The answer of `network`, called as its class is: (n, at least c, h, w). What an adapter must write.

        x: float32 (n, c or more, h, w); t: int64 (n,).
        """

    def predict(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        return self.answered(self._compiled, x_t, t, condition)

    def answered(self, network: Module, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        """`ask` in the model's precision: float32 (n, c, h, w)."""
        with self._cast():
            answer = self.ask(network, x.to(memory_format=torch.channels_last), t, condition)
        return answer[:, : self.shape[0]].float().contiguous()  # models that learn the variance answer 2c channels

    def _uncompiled(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        """`predict` by the network as it is: hooks are not seen in a compiled one, and none is compiled for gradients
        of weights."""
        return self.answered(self.network, x_t, t, condition)

    def _cast(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=PRECISIONS[self.precision])

    @property
    def config(self) -> Any:
        """The network's configuration."""
        return self.network.config

    def layers(self) -> list[str]:
        """Names that `features` takes, in the order of the network."""
        names = []
        for block in BLOCKS:
            module = getattr(self.network, block, None)
            if isinstance(module, nn.ModuleList):
                names += [f"{block}.{i}" for i in range(len(module))]
            elif module is not None:
                names.append(block)
        return names

    def _usual_layer(self) -> str:
        """In the middle of the way up; of a network without one, in the middle."""
        layers = self.layers()
        way = [name for name in layers if name.startswith("up_blocks")] or layers
        return way[len(way) // 2]

    def features(
        self, states: torch.Tensor, t: int, layer: str | None = None, condition: Condition = UNCONDITIONAL
    ) -> torch.Tensor:
        layer = layer or self._usual_layer()
        if layer not in self.layers():
            raise UserError(f"the model has no layer {layer!r}: it has {', '.join(self.layers())}")
        seen: list[torch.Tensor] = []

        def keep(_module: nn.Module, _inputs: object, output: Any) -> None:
            seen.append(self._places(output))

        hook = self.network.get_submodule(layer).register_forward_hook(keep)
        try:
            return self._observe(states, t, condition, seen.pop).contiguous()
        finally:
            hook.remove()

    def _places(self, output: Any) -> torch.Tensor:
        """What a block says of each place, (n, channels, h, w): of several outputs the one that has the places."""
        # down blocks also return skip connections; joint blocks return text tokens, then those of the picture
        if isinstance(output, tuple):
            output = output[0] if isinstance(output[-1], tuple) else output[-1]
        seen: torch.Tensor = output
        if seen.ndim == 4:
            return seen
        n, _, d = seen.shape
        tokens = seen[:, -self.tokens :].transpose(1, 2)  # (n, d, places), after words where those come along
        return tokens.reshape(n, d, *self.grid)

    @property
    def tokens(self) -> int:
        """Into how many parts a transformer cuts a state; a UNet, at its highest level, into each of its places."""
        return self.grid[0] * self.grid[1]

    @property
    def grid(self) -> tuple[int, int]:
        """The tokens' rows and columns."""
        side = getattr(self.config, "patch_size", 1)
        return self.shape[1] // side, self.shape[2] // side

    @property
    def attends(self) -> bool:
        return bool(attentions(self.network))

    picture_first = True  # where words and places are one sequence

    def words(self, condition: Condition, n: int) -> torch.Tensor:
        """Which tokens of the text are words of the captions of n rows: bool (n, tokens)."""
        raise UserError(f"{self.identity.name} takes no captions, and so attends to no words: choose another region")

    def attention(
        self, states: torch.Tensor, t: int, condition: Condition = UNCONDITIONAL, words: bool = False
    ) -> torch.Tensor | None:
        if not self.attends:
            return None
        size = self.picture[1:]
        watch = Watch(self.shape[1:], self.tokens, self.picture_first)

        def prepare(condition: Condition, n: int) -> None:
            watch.words = self.words(condition, n) if words else None

        def collect() -> torch.Tensor:
            if not watch.maps:
                raise UserError("the model's attention cannot be seen: leave out --slicing, or choose another region")
            grown = [F.interpolate(one, size, mode="bilinear", align_corners=False)[:, 0] for one in watch.maps]
            watch.maps.clear()
            return torch.stack(grown).mean(0)

        with watch.over(self.network):
            seen = self._observe(states, t, condition, collect, prepare)
        if words:
            seen[~self.words(condition, len(seen)).any(1)] = torch.nan
        return seen

    def gradient_norms(
        self, x_t: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, condition: Condition = UNCONDITIONAL
    ) -> torch.Tensor:
        weights = list(self.network.requires_grad_(True).parameters())
        rows = len(x_t) + -len(x_t) % self.batching.unit  # all at once, so that sums round alike with any batch size
        times = torch.as_tensor(t, device=self.device)
        try:
            with torch.enable_grad():
                answer = self.batched(self._uncompiled, x_t, times, condition, rows)
                error = (self.explained(x_t, t, answer).noise - noise).square().mean()
                gradients = torch.autograd.grad(error, weights, allow_unused=True)
        finally:
            self.network.requires_grad_(False)
        self.evaluations.backward += len(x_t)
        norms = [torch.zeros((), device=self.device) if g is None else g.float().norm() for g in gradients]
        return torch.stack(norms).cpu().double()

    @torch.no_grad()
    def _observe(
        self,
        states: torch.Tensor,
        t: int,
        condition: Condition,
        collect: Callable[[], torch.Tensor],
        prepare: Callable[[Condition, int], None] | None = None,
    ) -> torch.Tensor:
        """One pass over the noise-free `alpha_t x`, batch by batch: `prepare` is called with the condition of a batch
        before it, `collect` after it for what hooks recorded."""

        def network(x: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
            if prepare is not None:
                prepare(condition, len(x))
            self._uncompiled(x, t, condition)
            return collect()

        alpha, _ = self.path.at(t, states)
        times = torch.full((len(states),), t, device=self.device)
        seen = self.batched(network, alpha * states, times, condition)
        self.evaluations.forward += len(states)
        return seen.float()


def labels_of(condition: Condition) -> torch.Tensor | None:
    """What diffusers' networks take as class_labels, int64 (n,). Raises TypeError for captions."""
    if isinstance(condition, Captions):
        raise TypeError("it is conditioned on classes, not on captions")
    return condition.labels if isinstance(condition, Classes) else None
