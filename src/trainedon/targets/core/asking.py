"""Errors while a network is evaluated: memory ran out, or the parts of the model do not fit each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainedon.errors import UserError

OUT_OF_MEMORY = ("DefaultCPUAllocator", "MPS backend out of memory")  # in errors without a class of their own
# What libraries raise of a configuration and weights that fit each other, but make no network that answers.
_MISFITS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)


def ran_out(error: Exception) -> bool:
    """Whether an error says that there is no memory left, on the CPU or an accelerator."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or any(text in str(error) for text in OUT_OF_MEMORY)


@contextmanager
def answering(name: str) -> Iterator[None]:
    """Inside the block the model `name` is evaluated. Raises UserError where it fails by itself; that memory ran out is
    passed on, since fewer rows may do."""
    try:
        yield
    except _MISFITS as error:
        if ran_out(error):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{name} cannot be asked ({reason}): its configuration describes something else than its weights, or the "
            "folder is damaged"
        ) from error
