"""A digest over what decides the answers of a network that somebody brings along."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainedon.errors import UserError
from trainedon.reading import open_regular

One = nn.Module | torch.Tensor | str | Path
Weights = One | Mapping[str, torch.Tensor] | Iterable[One]
Part = nn.Module | torch.Tensor | Path


def module_of(network: Any) -> nn.Module | None:
    """The module that is asked, where that can be seen: itself, that of a method, or of a `functools.partial`."""
    if isinstance(network, nn.Module):
        return network
    if isinstance(network, functools.partial):
        return module_of(network.func)
    owner = getattr(network, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def parts_of(network: Any, weights: Weights | None) -> list[Part]:
    """Everything whose content decides the answers, as far as is known; empty where nothing is.

    weights: modules, tensors, paths of files, or a mapping of tensors such as a state_dict. Raises UserError for
    something else, and where they hold no tensor.
    """
    module = module_of(network)
    given = [] if weights is None else _listed(weights)
    if weights is not None and not any(map(_holds, given)):
        raise UserError("weights hold no tensor: give the modules, tensors or files that decide the network's answers")
    found: list[Part] = [] if module is None else [module]
    return found + given if any(map(_holds, found + given)) else []


def _listed(weights: Weights) -> list[Part]:
    if isinstance(weights, Mapping):
        ordered = sorted(weights.items(), key=lambda pair: str(pair[0]))
        return [part for _, one in ordered for part in _listed([one])]
    if isinstance(weights, nn.Module | torch.Tensor | str | Path) or not isinstance(weights, Iterable):
        weights = [weights]
    found: list[Part] = []
    for one in weights:
        if isinstance(one, str | Path):
            found.append(Path(one))
        elif isinstance(one, nn.Module | torch.Tensor):
            found.append(one)
        else:
            raise UserError(f"weights: {type(one).__name__} cannot be hashed: give modules, tensors or paths of files")
    return found


def _holds(part: Part) -> bool:
    """Whether there is any number in it that a digest could be of."""
    if isinstance(part, Path):
        return True
    return any(
        tensor.numel() for tensor in ([part] if isinstance(part, torch.Tensor) else dict(_tensors(part)).values())
    )


@dataclass(frozen=True)
class Bound:
    """What `functools.partial` gives to a network besides. words: numbers and texts. parts: modules and tensors. known:
    whether there is nothing else, which no digest could tell of."""

    words: str = ""
    parts: tuple[Part, ...] = ()
    known: bool = True


def bound_of(network: Any) -> Bound:
    """The arguments of `functools.partial`, of one within another too."""
    if not isinstance(network, functools.partial):
        return Bound()
    inner = bound_of(network.func)
    given = [*enumerate(network.args), *sorted(network.keywords.items())]
    parts = [one for _, one in given if isinstance(one, nn.Module | torch.Tensor)]
    others = [(name, one) for name, one in given if not isinstance(one, nn.Module | torch.Tensor)]
    known = all(one is None or isinstance(one, bool | int | float | str | torch.dtype) for _, one in others)
    places = [(name, type(one).__name__) for name, one in given]
    words = f"{inner.words}; bound {places} {others if known else ''}"
    return Bound(words, (*inner.parts, *parts), inner.known and known)


def weights_digest(parts: Sequence[Part], told: str) -> str:
    """sha256 over tensors, with their names, dtypes and shapes, over files, and over how the network is asked. Raises
    UserError for tensors whose numbers cannot be read."""
    digest = hashlib.sha256(f"own network\0{told}\0".encode())
    for number, part in enumerate(parts):
        digest.update(f"{number}\0".encode())
        if isinstance(part, Path):
            digest.update(bytes.fromhex(_of_file(part)))
            continue
        for name, tensor in [("", part)] if isinstance(part, torch.Tensor) else _tensors(part):
            digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            digest.update(_bytes(name, tensor))
    return digest.hexdigest()


def _bytes(name: str, tensor: torch.Tensor) -> memoryview:
    try:
        plain = tensor.detach()
        plain = plain if plain.layout is torch.strided else plain.to_dense()
        plain = plain.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        return plain.view(torch.uint8).numpy().data
    except (RuntimeError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"weights: the numbers of {name or 'a tensor'} cannot be read ({reason}): give tensors that hold some"
        ) from None


def _tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers, those too that a checkpoint leaves out, by name."""
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    return iter(sorted(named, key=lambda pair: pair[0]))


def _of_file(path: Path) -> str:
    try:
        with open_regular(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"weights: {path} cannot be read ({error.strerror}): give the files that were loaded") from None
