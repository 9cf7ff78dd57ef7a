"""Attention maps of a network, self-attention or attention to the caption, whatever its architecture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@dataclass
class Watch(TorchFunctionMode):
    """While entered, sees every attention that is computed, and keeps of each layer a map (n, 1, h, w) at its own size.

    All of diffusers' networks leave attention to PyTorch's `scaled_dot_product_attention`, after whatever they do to
    queries and keys; so one place sees them all, rotary embeddings and normalised queries included.

    state: height and width of the state. tokens: of the picture, where it is one sequence with the words. first:
    whether such a sequence begins with the picture. words: bool (n, k), which of the text's tokens are words of the
    caption: then the maps give the attention that each place pays to them; None: that each place receives from all.
    """

    state: tuple[int, int]
    tokens: int
    first: bool = True
    words: torch.Tensor | None = None
    maps: list[torch.Tensor] = field(default_factory=list)
    inside: bool = False  # while an attention layer of the network runs; attention of text encoders is not recorded
    crossed: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.inside and function is F.scaled_dot_product_attention:
            self._see(*args[:2], **kwargs)
        return function(*args, **kwargs)

    def _see(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        scale: float | None = None,
        **_others: object,
    ) -> None:
        """query: (n, heads, q, d), key: (n, heads, k, d). Row by row, as all weights together may fill any memory."""
        masks = [attn_mask] * len(query)
        if attn_mask is not None and attn_mask.ndim == 4:  # a mask for each row
            masks = [attn_mask[i % len(attn_mask)] for i in range(len(query))]
        seen = [self._wanted(weighed(q, k, mask, scale), i) for i, (q, k, mask) in enumerate(zip(query, key, masks))]
        maps = [as_map(one, self.state) for one in seen if one is not None]
        if maps:
            self.maps.append(torch.stack(maps))

    def _wanted(self, weights: torch.Tensor, row: int) -> torch.Tensor | None:
        """What of one row's weights (q, k) is wanted: one number a place; None of a layer that has none."""
        queries, keys = weights.shape
        places = slice(0, self.tokens) if self.first else slice(-self.tokens, None)
        if self.words is None:
            if self.crossed or queries != keys:
                return None
            return (weights if queries <= self.tokens else weights[places, places]).mean(0)
        if self.crossed:
            looked = weights
        elif queries > self.tokens and keys == self.tokens + self.words.shape[1]:
            looked = weights[places, self.tokens :] if self.first else weights[places, : -self.tokens]
        else:
            return None
        return (looked * self.words[row]).sum(1)

    @contextmanager
    def over(self, network: nn.Module) -> Iterator[None]:
        """Inside the block the attention of `network` is seen."""

        def entering(module: nn.Module, _args: tuple[Any, ...], given: dict[str, Any]) -> None:
            # joint attention (SD3, Flux) has projections for the words too, and mixes both into one sequence
            joint = getattr(module, "add_k_proj", None) is not None
            self.inside, self.crossed = True, given.get("encoder_hidden_states") is not None and not joint

        def leaving(_module: nn.Module, _args: tuple[Any, ...], _answer: object) -> None:
            self.inside = False

        layers = attentions(network)
        hooks = [module.register_forward_pre_hook(entering, with_kwargs=True) for module in layers]
        hooks += [module.register_forward_hook(leaving) for module in layers]
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()


def attentions(network: nn.Module) -> list[nn.Module]:
    """The attention layers of a diffusers network."""
    return [module for module in network.modules() if hasattr(module, "to_q") and hasattr(module, "heads")]


def weighed(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None = None, scale: float | None = None
) -> torch.Tensor:
    """How much each query looks at each key, mean over heads: float32 (q, k), of (heads, q, d) and (heads, k, d).

    mask: as PyTorch takes it, for one row.
    """
    scores = query.float() @ key.float().transpose(-1, -2) * (scale or query.shape[-1] ** -0.5)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(-1).mean(0)


def as_map(values: torch.Tensor, state: tuple[int, int]) -> torch.Tensor:
    """One number a token, (h * w,) -> (1, h, w), with the shape of the state."""
    tall = round((values.shape[0] * state[0] / state[1]) ** 0.5)
    return values.view(1, tall, -1)
