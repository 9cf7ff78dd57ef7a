"""Lists of entries that take little memory, however long: each entry is made when it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from typing import Protocol, overload

import pyarrow as pa

from trainedon.pictures.listing.columns import Column, each
from trainedon.pictures.pixels.picture import Entry
from trainedon.pictures.pixels.sniffing import Seems

EXAMPLES = 3  # names that are told of each kind
# companions, as they are counted
READ, METADATA, DATA = "captions, read", "files of metadata", "data files beside pictures, not read"
BLANK = "captions, blank"  # of those that are read; known once the pictures are


class Passed:
    """What a source holds besides the pictures that are listed, held as columns.

    companions: what belongs to pictures or tables, such as captions -> how many; these are not among the passed over.
    notes: what was assumed.
    """

    def __init__(self) -> None:
        self._names, self._reasons = Column(pa.string()), Column(pa.dictionary(pa.int16(), pa.string()))
        self.kinds: Counter[str] = Counter()
        self.remedies: dict[str, str] = {}
        self.companions: Counter[str] = Counter()
        self.notes: list[str] = []
        self._examples: dict[str, list[str]] = {}

    def over(self, name: str, what: Seems) -> None:
        """A file, or a folder, is passed over for what it is."""
        self._names.append(name)
        self._reasons.append(what.reason)
        self.kinds[what.kind] += 1
        if what.remedy:
            self.remedies.setdefault(what.kind, what.remedy)
        examples = self._examples.setdefault(what.kind, [])
        if len(examples) < EXAMPLES:
            examples.append(name)

    def __len__(self) -> int:
        return self.kinds.total()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """(name, reason) of all."""
        return zip(each(self._names.array()), each(self._reasons.array()), strict=True)

    def groups(self) -> list[tuple[str, int, list[str]]]:
        """(kind, how many, first names), first those that may hold pictures, then the most frequent."""
        ordered = sorted(self.kinds, key=lambda kind: (kind not in self.remedies, -self.kinds[kind], kind))
        return [(kind, self.kinds[kind], self._examples[kind]) for kind in ordered]


class Entries(Protocol):
    """Entries of one kind of source, made when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Entry: ...

    def each_name(self) -> Iterator[str]:
        """The names of all entries."""

    def apart(self) -> Entries:
        """The same, each picture named by the file that it is in."""


@dataclass(frozen=True)
class Single:
    """One entry as a part of its own."""

    entry: Entry

    def __len__(self) -> int:
        return 1

    def __getitem__(self, place: int, /) -> Entry:
        return (self.entry,)[place]

    def each_name(self) -> Iterator[str]:
        """The name of the entry."""
        return iter((self.entry.name,))

    def apart(self) -> Single:
        """The same: its name is that of its file."""
        return self


class Listing(Sequence[Entry]):
    """Several parts, one behind the other; a slice is a listing too. `Listing(a, b)` joins two.

    passed: what their source holds besides.
    """

    def __init__(self, *parts: Entries, places: range | None = None, passed: Passed | None = None) -> None:
        self._parts = parts
        self.passed = Passed() if passed is None else passed
        self._ends = list(accumulate(map(len, parts)))
        self._places = range(self._ends[-1] if parts else 0) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    def each_name(self) -> Iterator[str]:
        """The names of all entries; for a listing that is whole, or cut at its end."""
        return islice(chain.from_iterable(part.each_name() for part in self._parts), len(self))

    def apart(self) -> Listing:
        """The same, each picture named by the file that it is in."""
        return Listing(*(part.apart() for part in self._parts), places=self._places, passed=self.passed)

    @overload
    def __getitem__(self, key: int) -> Entry: ...
    @overload
    def __getitem__(self, key: slice) -> Listing: ...
    def __getitem__(self, key: int | slice) -> Entry | Listing:
        if isinstance(key, slice):
            return Listing(*self._parts, places=self._places[key], passed=self.passed)
        place = self._places[key]
        part = bisect_right(self._ends, place)
        return self._parts[part][place - (self._ends[part - 1] if part else 0)]
