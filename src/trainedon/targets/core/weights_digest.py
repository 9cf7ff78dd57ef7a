"""A digest over what decides the answers of a network that somebody brings along."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainedon.errors import UserError
from trainedon.reading import open_regular

Weights = nn.Module | torch.Tensor | str | Path | Sequence["nn.Module | torch.Tensor | str | Path"]


def module_of(network: Any) -> nn.Module | None:
    """The module that is asked, where that can be seen: itself, that of a method, or of a `functools.partial`."""
    if isinstance(network, nn.Module):
        return network
    if isinstance(network, functools.partial):
        return module_of(network.func)
    owner = getattr(network, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def parts_of(network: Any, weights: Weights | None) -> list[nn.Module | torch.Tensor | Path]:
    """Everything whose content decides the answers, as far as is known; empty where nothing is. Raises UserError."""
    module = module_of(network)
    given: Sequence[object]
    if weights is None or isinstance(weights, nn.Module | torch.Tensor | str | Path):
        given = [] if weights is None else [weights]
    else:
        given = weights
    found: list[nn.Module | torch.Tensor | Path] = [] if module is None else [module]
    for one in given:
        if isinstance(one, str | Path):
            found.append(Path(one))
        elif isinstance(one, nn.Module | torch.Tensor):
            found.append(one)
        else:
            raise UserError(f"weights: {type(one).__name__} cannot be hashed: give modules, tensors or paths of files")
    return found


def weights_digest(parts: Sequence[nn.Module | torch.Tensor | Path], told: str) -> str:
    """sha256 over tensors, with their names, dtypes and shapes, over files, and over how the network is asked."""
    digest = hashlib.sha256(f"own network\0{told}\0".encode())
    for number, part in enumerate(parts):
        digest.update(f"{number}\0".encode())
        if isinstance(part, Path):
            digest.update(bytes.fromhex(_of_file(part)))
            continue
        for name, tensor in [("", part)] if isinstance(part, torch.Tensor) else _tensors(part):
            digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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
