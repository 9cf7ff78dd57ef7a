"""Lists of entries that take little memory, however long: each entry is made when it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import overload

from trainedon.pictures.picture import Entry


class Listing(Sequence[Entry]):
    """Several sequences of entries, one behind the other; a slice is a listing too. `Listing(a, b)` joins two."""

    def __init__(self, *parts: Sequence[Entry], places: range | None = None) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))
        self._places = range(self._ends[-1] if parts else 0) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, key: int) -> Entry: ...
    @overload
    def __getitem__(self, key: slice) -> Listing: ...
    def __getitem__(self, key: int | slice) -> Entry | Listing:
        if isinstance(key, slice):
            return Listing(*self._parts, places=self._places[key])
        place = self._places[key]
        part = bisect_right(self._ends, place)
        return self._parts[part][place - (self._ends[part - 1] if part else 0)]
