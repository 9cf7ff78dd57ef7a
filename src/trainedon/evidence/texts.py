"""Texts of many pictures, each held once and told by its number: names and digests of 100 000 pictures in 7 MB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NONE = -1  # the number of no text
DIGEST = pa.binary(32)
_HEX = b"0123456789abcdef"
_DIGIT = np.full(256, 16, np.uint8)
_DIGIT[list(_HEX)] = np.arange(16)


@dataclass(frozen=True, eq=False)
class Texts:
    """Distinct texts in the order of their code points, so that numbers order as texts do.

    values: string, or DIGEST where every text is a sha256 in small hex digits, which takes half the room.
    """

    values: pa.Array

    @classmethod
    def numbered(cls, values: pa.Array) -> tuple[Texts, np.ndarray]:
        """The texts among `values` (string or DIGEST), and the number of each value: int32 (n,), NONE for null."""
        known = len(values) - values.null_count
        order = pc.sort_indices(values).to_numpy()[:known]  # by bytes, as code points go in UTF-8; nulls come last
        ordered = values.take(pa.array(order))
        new = np.ones(known, dtype=bool)
        if known > 1:
            new[1:] = pc.not_equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False)
        number = np.full(len(values), NONE, dtype=np.int32)
        number[order] = np.cumsum(new, dtype=np.int32) - 1
        return cls(ordered if new.all() else ordered.filter(pa.array(new))), number

    def __len__(self) -> int:
        return len(self.values)

    @property
    def packed(self) -> bool:
        return self.values.type == DIGEST

    def find(self, values: pa.Array) -> np.ndarray:
        """The numbers of string `values`: int32 (n,), NONE for null and for what is not among the texts."""
        coded = (packed(values) if self.packed else values).dictionary_encode()
        # Which of the few is each of the many, not the other way round: a table of the many takes as much room as they.
        place = pc.index_in(self.values, value_set=coded.dictionary).fill_null(NONE).to_numpy()
        known = np.flatnonzero(place != NONE)
        number = np.full(len(coded.dictionary) + 1, NONE, np.int32)  # the last is for null
        number[place[known]] = known
        return number[coded.indices.fill_null(len(coded.dictionary)).to_numpy()]

    def of(self, numbers: np.ndarray) -> list[str | None]:
        """The texts of int (n,) `numbers`."""
        values = self.values.take(pa.array(numbers, mask=numbers < 0)).to_pylist()
        return [value and value.hex() for value in values] if self.packed else values

    def with_more(self, values: pa.Array) -> Texts:
        """These texts and string `values`."""
        return Texts.numbered(pa.concat_arrays(alike([self.values, compact(values)])))[0]

    def numbers_in(self, more: Texts) -> np.ndarray:
        """The number of each of these texts in `more`, which has them all: int32 (len(self),)."""
        if more is self:
            return np.arange(len(self), dtype=np.int32)
        mine = self.values if self.packed == more.packed else _unpacked(self.values)
        return pc.index_in(mine, value_set=more.values).to_numpy()


def no_texts(kind: pa.DataType = DIGEST) -> Texts:
    """Not one text."""
    return Texts(pa.array([], kind))


def moved(numbers: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Numbers int32 (n,) after texts were numbered anew: `new` has the new number of each old one."""
    return np.append(new, np.int32(NONE))[numbers]  # NONE is the last place


def compact(values: pa.Array) -> pa.Array:
    """String `values` as DIGEST where all are digests, as they are where one is not."""
    digests = packed(values)
    return digests if digests.null_count == values.null_count else values


def packed(values: pa.Array) -> pa.Array:
    """The digests among string `values`, as DIGEST; null where a value is null or no sha256 in small hex digits."""
    long = pc.fill_null(pc.equal(pc.binary_length(values), 64), False)
    digits = np.frombuffer(b"".join(values.filter(long).cast(pa.binary()).to_pylist()), np.uint8)
    whole = long.to_numpy(zero_copy_only=False).copy()
    digits = _DIGIT[digits].reshape(-1, 64)
    fits = (digits < 16).all(axis=1)
    data = np.zeros((len(values), 32), np.uint8)
    data[np.flatnonzero(whole)[fits]] = (digits[:, 0::2] << 4 | digits[:, 1::2])[fits]
    whole[whole] = fits
    validity = pa.py_buffer(np.packbits(whole, bitorder="little"))
    return pa.Array.from_buffers(DIGEST, len(values), [validity, pa.py_buffer(data)])


def alike(parts: Iterable[pa.Array]) -> list[pa.Array]:
    """Parts of one column, string or DIGEST each, all as string unless all are DIGEST."""
    parts = list(parts)
    if all(part.type == DIGEST for part in parts):
        return parts
    return [_unpacked(part) if part.type == DIGEST else part for part in parts]


def _unpacked(digests: pa.Array) -> pa.Array:
    return pa.array([value and value.hex() for value in digests.to_pylist()], pa.string())


class Words(dict):
    """A few texts, or other keys, numbered as they are first asked for."""

    def __init__(self, known: Iterable[object] = ()) -> None:
        super().__init__((word, number) for number, word in enumerate(known))

    def __missing__(self, word: object) -> int:
        self[word] = number = len(self)
        return number
