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
        """The numbers of `values`, string or DIGEST: int32 (n,), NONE for null and for what is not among the texts."""
        if self.packed:
            coded = (values if values.type == DIGEST else packed(values)).dictionary_encode()
        else:
            coded = unpacked(values).dictionary_encode()
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
        """These texts and `values`, string or DIGEST."""
        return Texts.numbered(pa.concat_arrays(alike([self.values, compact(values)])))[0]

    def numbers_in(self, more: Texts) -> np.ndarray:
        """The number of each of these texts in `more`, which has them all: int32 (len(self),)."""
        if more is self:
            return np.arange(len(self), dtype=np.int32)
        return more.find(self.values)


def no_texts(kind: pa.DataType = DIGEST) -> Texts:
    """Not one text."""
    return Texts(pa.array([], kind))


def moved(numbers: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Numbers int32 (n,) after texts were numbered anew: `new` has the new number of each old one."""
    return np.append(new, np.int32(NONE))[numbers]  # NONE is the last place


def compact(values: pa.Array) -> pa.Array:
    """String `values` as DIGEST where all are digests, as they are where one is not."""
    if values.type == DIGEST:
        return values
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
    return [unpacked(part) for part in parts]


def unpacked(values: pa.Array) -> pa.Array:
    """`values`, string or DIGEST, as string."""
    if values.type != DIGEST:
        return values
    return pa.array([value and value.hex() for value in values.to_pylist()], pa.string())


class Growing:
    """A column of texts that grows: each text is held once, however often it comes, and numbered now and then.

    That is when as many values wait as there are texts, so that no text is put in order more than a few times.
    """

    FEWEST = 1 << 17  # values that wait

    def __init__(self, kind: pa.DataType) -> None:
        self._texts, self._numbers = no_texts(kind), [np.empty(0, np.int32)]
        self._waiting: list[pa.Array] = []

    def add(self, values: pa.Array) -> None:
        """More values, string or DIGEST, with nulls."""
        self._waiting.append(values)
        if sum(map(len, self._waiting)) >= max(self.FEWEST, len(self._texts)):
            self._number()

    def numbered(self) -> tuple[Texts, np.ndarray]:
        """The texts, and the number of each value: int32 (n,), NONE for null."""
        if self._waiting:
            self._number()
        return self._texts, np.concatenate(self._numbers)

    def _number(self) -> None:
        values = pa.concat_arrays(alike(self._waiting))
        self._waiting.clear()
        if not len(self._texts):
            self._texts, found = Texts.numbered(values)
            self._numbers.append(found)  # what was before is null
            return
        strange = values.filter(pc.and_(pa.array(self._texts.find(values) == NONE), values.is_valid()))
        if len(strange):
            before, self._texts = self._texts, self._texts.with_more(strange)
            new = before.numbers_in(self._texts)
            self._numbers = [moved(numbers, new) for numbers in self._numbers]
        self._numbers.append(self._texts.find(values))


class Words(dict):
    """A few texts, or other keys, numbered as they are first asked for."""

    def __init__(self, known: Iterable[object] = ()) -> None:
        super().__init__((word, number) for number, word in enumerate(known))

    def __missing__(self, word: object) -> int:
        self[word] = number = len(self)
        return number
