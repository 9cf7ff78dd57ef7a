"""Where a network looks: the attention that it computes on the way, whichever its kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Attended:
    """One attention layer's answer: how much each query looked at each key, mean over heads, float32 (n, q, k).

    crossed: whether the keys are those of another sequence than the queries (cross-attention).
    """

    weights: torch.Tensor
    crossed: bool


@dataclass
class Watch(TorchFunctionMode):
    """While entered, remembers the weights of every attention that is computed.

    All of diffusers' networks leave it to PyTorch's `scaled_dot_product_attention`, after whatever they do to queries
    and keys; so one place sees them all, rotary embeddings and normalised queries included.
    """

    seen: list[Attended] = field(default_factory=list)
    crossed: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is F.scaled_dot_product_attention:
            self._remember(*args[:2], **kwargs)
        return function(*args, **kwargs)

    def _remember(self, query: torch.Tensor, key: torch.Tensor, attn_mask=None, scale=None, **_others) -> None:
        """query: (n, heads, q, d), key: (n, heads, k, d)."""
        scores = query.float() @ key.float().transpose(-1, -2) * (scale or query.shape[-1] ** -0.5)
        if attn_mask is not None:
            if attn_mask.dtype == torch.bool:
                scores = scores.masked_fill(~attn_mask, -torch.inf)
            else:
                scores = scores + attn_mask
        self.seen.append(Attended(scores.softmax(-1).mean(1), self.crossed))

    @contextmanager
    def over(self, network: nn.Module) -> Iterator[None]:
        """Inside the block the attention of `network` is remembered."""

        def entering(module: nn.Module, _args: tuple, given: dict) -> None:
            # joint attention (SD3, Flux) has projections for the words too, and mixes both into one sequence
            self.crossed = given.get("encoder_hidden_states") is not None and not _joins(module)

        hooks = [module.register_forward_pre_hook(entering, with_kwargs=True) for module in attentions(network)]
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()


def attentions(network: nn.Module) -> list[nn.Module]:
    """The attention layers of a diffusers network."""
    return [module for module in network.modules() if hasattr(module, "to_q") and hasattr(module, "heads")]


def _joins(module: nn.Module) -> bool:
    return getattr(module, "add_k_proj", None) is not None


def received(seen: list[Attended], state: tuple[int, int], tokens: int, first: bool) -> list[torch.Tensor]:
    """For each layer in which places look at places: how much each is looked at, (n, 1, h, w) at the layer's size.

    state: the state's height and width. tokens: of the picture, where it is one sequence with the words; first: and
    whether the sequence begins with the picture.
    """
    maps = []
    for layer in seen:
        queries, keys = layer.weights.shape[1:]
        if layer.crossed or queries != keys:
            continue
        places = slice(None) if queries <= tokens else _places(tokens, first)
        maps.append(as_map(layer.weights[:, places, places].mean(1), state))
    return maps


def paid(
    seen: list[Attended], state: tuple[int, int], tokens: int, words: torch.Tensor, first: bool
) -> list[torch.Tensor]:
    """For each layer in which places look at words: how much each place does, (n, 1, h, w) at the layer's size.

    words: bool (n, k), which of the text's tokens are words of the caption. first: whether a joint sequence begins with
    the picture.
    """
    maps = []
    for layer in seen:
        queries, keys = layer.weights.shape[1:]
        if layer.crossed:
            looked = layer.weights
        elif queries > tokens and keys == tokens + words.shape[1]:
            text = slice(tokens, None) if first else slice(0, -tokens)
            looked = layer.weights[:, _places(tokens, first), text]
        else:
            continue
        maps.append(as_map((looked * words[:, None]).sum(2), state))
    return maps


def _places(tokens: int, first: bool) -> slice:
    return slice(0, tokens) if first else slice(-tokens, None)


def as_map(values: torch.Tensor, state: tuple[int, int]) -> torch.Tensor:
    """One number a token, (n, h * w) -> (n, 1, h, w), with the shape of the state."""
    tall = round((values.shape[1] * state[0] / state[1]) ** 0.5)
    return values.unflatten(1, (1, tall, -1))
