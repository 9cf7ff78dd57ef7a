"""Dictionary encoding: a column of texts is an array of codes, and each distinct text is held once.

Names and digests of 100 000 pictures take 7 MB so.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

MISSING = -1  # the code of no text
DIGEST = pa.binary(32)
BLOCK = 1 << 16  # values compared at once

Codes = npt.NDArray[np.int32]
Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Distinct texts in the order of their code points, so that codes order as texts do.

    values: string (n,), or DIGEST where every text is a sha256 in lower-case hex digits, which takes half the memory.
    """

    values: pa.Array

    @classmethod
    def empty(cls) -> Dictionary:
        """No texts."""
        return cls(pa.array([], DIGEST))

    @classmethod
    def encode(cls, values: pa.Array) -> tuple[Dictionary, Codes]:
        """The distinct texts of `values` (string or DIGEST, (n,)), and the code of each value; MISSING for null."""
        n = len(values) - values.null_count
        order = pc.sort_indices(values)[:n]  # nulls come last; UTF-8 sorts by bytes as by code points
        new = np.ones(n, dtype=bool)
        for start in range(0, n - 1, BLOCK):  # in blocks, since a sorted copy of all values would double the memory
            ordered = values.take(order[start : start + BLOCK + 1])
            changed = pc.not_equal(ordered[1:], ordered[:-1])
            new[start + 1 : start + BLOCK + 1] = changed.to_numpy(zero_copy_only=False)
        codes = np.full(len(values), MISSING, dtype=np.int32)
        codes[order.to_numpy()] = np.cumsum(new, dtype=np.int32) - 1
        return cls(values.take(order.filter(pa.array(new)))), codes

    def __len__(self) -> int:
        return len(self.values)

    def extended(self, values: pa.Array) -> tuple[Dictionary, Codes, Codes]:
        """A dictionary of these texts and of `values` (string or DIGEST, (n,)); the codes in it of these texts, and of
        `values`."""
        both, codes = Dictionary.encode(concatenated([self.values, values]))
        same = len(both) == len(self)  # equal dictionaries are held once in memory
        return self if same else both, codes[: len(self)], codes[len(self) :]

    def find(self, texts: Sequence[str]) -> Codes:
        """The codes of `texts`, MISSING for what is not among these."""
        found = pc.index_in(pa.array(texts, pa.string()), value_set=unpacked(self.values))
        codes: Codes = found.fill_null(MISSING).to_numpy()
        return codes

    def decode(self, codes: Codes) -> list[str | None]:
        """The texts of `codes`, None for MISSING."""
        texts = self.values.take(pa.array(codes, mask=codes < 0)).to_pylist()
        return [digest and digest.hex() for digest in texts] if self.values.type == DIGEST else texts


class DictionaryBuilder:
    """Encodes a column that comes in parts. known: texts that the dictionary is to have besides.

    Values wait until there are as many of them as distinct texts. So encoding costs little more than encoding all at
    once, and a text that comes many times does not wait as often.
    """

    FEWEST = 1 << 17  # values that wait

    def __init__(self, known: Dictionary | None = None) -> None:
        self._dictionary = known or Dictionary.empty()
        self.known = np.arange(len(self._dictionary), dtype=np.int32)  # the codes of these texts
        self._codes: list[Codes] = [np.empty(0, np.int32)]
        self._waiting: list[pa.Array] = []
        self._n_waiting = 0

    def add(self, values: pa.Array) -> None:
        """More values: string with nulls."""
        self._waiting.append(packed(values))
        self._n_waiting += len(values)
        if self._n_waiting >= max(self.FEWEST, len(self._dictionary)):
            self._encode()

    def build(self) -> tuple[Dictionary, Codes]:
        """The dictionary, and the code of each value."""
        self._encode()
        return self._dictionary, np.concatenate(self._codes)

    def _encode(self) -> None:
        values = concatenated([pa.array([], DIGEST), *self._waiting])
        self._waiting, self._n_waiting = [], 0
        self._dictionary, moved, codes = self._dictionary.extended(values)
        self.known = lookup(moved, self.known)
        self._codes = [*(lookup(moved, before) for before in self._codes), codes]


def lookup(values: npt.NDArray[T], indices: npt.NDArray[np.integer[Any]], missing: object = MISSING) -> npt.NDArray[T]:
    """The values at `indices`, and `missing` where an index is MISSING."""
    found: npt.NDArray[T] = np.append(values, np.array(missing, values.dtype))[indices]  # MISSING, -1, is the last
    return found


def packed(values: pa.Array) -> pa.Array:
    """String `values` as DIGEST where none is anything else, as they are otherwise."""
    if values.type == DIGEST or not pc.all(pc.match_substring_regex(values, "^[0-9a-f]{64}$"), min_count=0).as_py():
        return values
    return pa.array([text and bytes.fromhex(text) for text in values.to_pylist()], DIGEST)


def unpacked(values: pa.Array) -> pa.Array:
    """`values`, string or DIGEST, as string."""
    if values.type != DIGEST:
        return values
    return pa.array([digest and digest.hex() for digest in values.to_pylist()], pa.string())


def concatenated(parts: Sequence[pa.Array]) -> pa.Array:
    """Parts of one column, string or DIGEST each: DIGEST where all are."""
    if not all(part.type == DIGEST for part in parts):
        parts = [unpacked(part) for part in parts]
    return pa.concat_arrays(parts)


class Codebook(dict[Key, int]):
    """Codes of a few keys, given in the order in which they are first asked for."""

    def __missing__(self, key: Key) -> int:
        self[key] = code = len(self)
        return code

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Codebook[Key]:
        """That in which each key has its place as code."""
        return cls((key, code) for code, key in enumerate(keys))
