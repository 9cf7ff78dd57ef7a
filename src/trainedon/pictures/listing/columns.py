"""Values of many pictures, held column by column in little memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

AT_ONCE = 1024  # values that are there as objects of Python, while all are gone through
_POOL = pa.system_memory_pool()  # Arrow's own keeps what short-lived buffers took


class Column:
    """Collects values of one kind."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._chunks: list[pa.Array] = []
        self._open: list[Any] = []

    def append(self, value: object) -> None:
        self._open.append(value)
        if len(self._open) == AT_ONCE:
            self._close()

    def array(self) -> pa.ChunkedArray:
        """All values so far. Raises TypeError or ArrowException, as `append` does, for one that is not of the kind."""
        self._close()
        return pa.chunked_array(self._chunks, self._kind)

    def _close(self) -> None:
        if self._open:
            self._chunks.append(pa.array(self._open, self._kind, memory_pool=_POOL))
            self._open = []


def each(column: pa.ChunkedArray) -> Iterator[Any]:
    """The values, one after the other."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), AT_ONCE):
            yield from chunk.slice(start, AT_ONCE).to_pylist()


def repeated(texts: pa.ChunkedArray, places: np.ndarray) -> list[list[int]]:
    """Of some places, ascending, those with the same text; a list for each text that is there more than once."""
    # a number for each text first: to hold all texts as objects would take more than the column
    numbers = np.fromiter(map(hash, each(texts)), np.int64, len(texts))[places]
    ordered = np.sort(numbers)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return []
    found: dict[str, list[int]] = {}
    for place in places[np.isin(numbers, twice)].tolist():
        found.setdefault(texts[place].as_py(), []).append(place)
    return [same for same in found.values() if len(same) > 1]
