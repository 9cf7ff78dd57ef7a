"""A network is built only as large as the weights that it is to be given.

What a configuration makes is counted while it is made, so that layers without end are never built: a network that takes
more tensors, or more numbers, than its files hold is refused at the first one too many.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules import module as registry

from trainedon.errors import UserError
from trainedon.free_memory import free_of_system

# Numbers that networks make for themselves besides their weights: the table of places of pictures of 4 096 pixels.
OWN_NUMBERS = 2**26
# Files may hold three weights of attention as one, and T5 knows its tokens twice; others have fewer than they are built
# with, as heads that are not asked are left away.
TIMES, BESIDE = 4, 64
MODULES = 8  # to a tensor: those that have no weights, and those that hold others


@dataclass(frozen=True)
class Held:
    """What files hold. numbers: in all tensors together."""

    tensors: int
    numbers: int

    @classmethod
    def of(cls, shapes: Iterable[Sequence[int]]) -> Held:
        """shapes: of all tensors, as the files' headers give them."""
        sizes = [math.prod(shape) for shape in shapes]
        return cls(len(sizes), sum(sizes))


@contextmanager
def no_larger(held: Held, where: Path | str) -> Iterator[None]:
    """Inside the block no module is built that is larger than the weights that are held for it.

    Build on the device `meta`, where nothing is allocated. Raises UserError, which begins with `where`, that a network
    is larger.
    """
    most = TIMES * held.tensors + BESIDE
    left = {"tensors": most, "modules": MODULES * most, "numbers": 2 * held.numbers + BESIDE, "own": OWN_NUMBERS}
    left["own"] += held.numbers  # those of Stable Diffusion 3 are in its files

    def take(what: str, number: int) -> None:
        left[what] -= number
        if left[what] < 0:
            raise UserError(
                f"{where} describes a network that is larger than its weights, which are {held.tensors:,} tensors of "
                f"{held.numbers:,} numbers: the two do not belong together"
            )

    def parameter(_module: nn.Module, _name: str, value: torch.Tensor | None) -> None:
        if value is not None:
            take("tensors", 1)
            take("numbers", value.numel())

    def buffer(_module: nn.Module, _name: str, value: torch.Tensor | None) -> None:
        if value is not None:
            take("own", value.numel())

    def module(_module: nn.Module, _name: str, _value: nn.Module | None) -> None:
        take("modules", 1)

    with ExitStack() as stack:
        for watch, hook in (
            (registry.register_module_parameter_registration_hook, parameter),
            (registry.register_module_buffer_registration_hook, buffer),
            (registry.register_module_module_registration_hook, module),
        ):
            stack.enter_context(watch(hook))
        yield


def check_memory(network: nn.Module, dtype: torch.dtype, where: Path | str) -> None:
    """Raises UserError, which begins with `where`, when a network's weights do not fit into the memory that is free:
    systems do not refuse it to who asks for too much, they end the process later."""
    check_room_for(sum(one.numel() for one in network.parameters()) * dtype.itemsize, where)


def check_room_for(needed: int, where: Path | str) -> None:
    """The same, for weights of so many bytes."""
    free = free_of_system()
    if free is not None and needed > free:
        raise UserError(
            f"{where}: its weights take {needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free: close "
            "other programs, or take a larger machine"
        )
