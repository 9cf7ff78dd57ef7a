"""What a pickled checkpoint's objects are replaced by: nothing that a pickle names is called, not even NumPy.

An array is put together here from the bytes, the shape and the type of its numbers that the file gives, each checked:
what NumPy itself does with the state of an array or of a type that a stranger made up may read foreign memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

_NUMBERS = re.compile(r"b1|i[1248]|u[1248]|f[248]")  # as pickles write the types that tensors can have
_ORDERS = {"<": "<", ">": ">", "=": "=", "|": "="}


class Left(dict):  # type: ignore[type-arg]  # whatever a stranger puts in
    """Stands for an object of a class that is not opened. It keeps what it was given."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__()

    def __new__(cls, *arguments: Any, **named: Any) -> Left:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, Mapping):
                self.update(part)

    __hash__ = object.__hash__  # type: ignore[assignment]


class NumberType(Left):
    """Stands for a `numpy.dtype`: a code such as `f4`, and the order of bytes, which its state tells."""

    def __init__(self, code: Any = None, *others: Any) -> None:
        super().__init__()
        self.code: Any = code
        self.order: Any = "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if isinstance(state, tuple) and len(state) > 1 else None

    def known(self) -> np.dtype[Any] | None:
        """The type; None where it is none of numbers."""
        told = isinstance(self.code, str) and isinstance(self.order, str)
        if not told or not _NUMBERS.fullmatch(self.code) or self.order not in _ORDERS:
            return None
        found: np.dtype[Any] = np.dtype(_ORDERS[self.order] + self.code)
        return found


class Array(Left):
    """Stands for a NumPy array: a state (version, shape, type, whether columns come first, bytes)."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def numbers(self) -> np.ndarray | None:
        """A copy, in this machine's order of bytes; None where it holds anything but numbers. Raises ValueError where
        its bytes are not as many as its shape says."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            return None
        _, shape, kind, columns_first, data = self.state
        return _built(kind, shape, data, "F" if columns_first else "C")


class Scalar(Left):
    """Stands for a number of NumPy: a type, and bytes."""

    def __init__(self, kind: Any = None, data: Any = None, *others: Any) -> None:
        super().__init__()
        self.given = kind, data

    def number(self) -> bool | int | float | None:
        """The number; None where it is none. Raises ValueError as `Array.numbers`."""
        found = _built(self.given[0], (), self.given[1], "C")
        return None if found is None else found.item()


class NoBytes(Left):
    """Stands for what an array without elements has for bytes."""


# By the names that both generations of NumPy write.
STAND_INS: dict[str, type[Left]] = {
    "builtins.bytes": NoBytes,
    "numpy.dtype": NumberType,
    **{f"numpy.{core}.multiarray._reconstruct": Array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": Scalar for core in ("core", "_core")},
}
STOOD_FOR = frozenset({*STAND_INS, "numpy.ndarray"})


def _built(kind: Any, shape: Any, data: Any, order: Any) -> np.ndarray | None:
    known = kind.known() if isinstance(kind, NumberType) else None
    data = b"" if isinstance(data, NoBytes) else data
    if known is None or not isinstance(data, bytes) or not isinstance(shape, tuple):
        return None
    whole = all(type(side) is int and side >= 0 for side in shape) and len(shape) <= 32
    if not whole or math.prod(shape) * known.itemsize != len(data):
        raise ValueError("an array of NumPy in it has not as many bytes as its shape says")
    return np.ndarray(shape, known, buffer=data, order=order).astype(known.newbyteorder("="), order="C")
