"""Texts in a tar that do not stand beside a picture: captions all the same, where a picture has their name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainedon.pictures.listing.columns import Column, each
from trainedon.pictures.listing.entries import READ, Passed
from trainedon.pictures.pixels.names import picture_stem, stem
from trainedon.pictures.pixels.sniffing import Seems

SECOND = Seems("caption beside another one that is read")


class Strays:
    """Such texts, held as columns until all members are known."""

    def __init__(self) -> None:
        self._names, self._numbers = Column(pa.string()), (Column(pa.int64()), Column(pa.int64()))
        self._kinds: list[Seems] = []

    def add(self, name: str, offset: int, size: int, what: Seems) -> None:
        """what: it is passed over as this if no picture has its name."""
        self._names.append(name)
        for column, value in zip(self._numbers, (offset, size), strict=True):
            column.append(value)
        self._kinds.append(what)

    def given(
        self, names: pa.ChunkedArray, words: pa.ChunkedArray, lengths: pa.ChunkedArray, passed: Passed, prefix: str
    ) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Offsets and sizes of the captions of pictures (n,), completed by texts that have a picture's path but for the
        suffixes. Those that are none are passed over, behind `prefix`."""
        if not self._kinds:
            return words, lengths
        texts, pictures = _stems(self._names.array(), stem), _stems(names, picture_stem)
        found = pc.if_else(words.is_null(), pc.index_in(pictures, value_set=texts), pa.scalar(None, pa.int32()))
        read = np.zeros(len(texts), bool)
        read[np.asarray(found.drop_null())] = True
        owned = each(pc.is_in(texts, value_set=pictures))
        for name, what, taken, named in zip(each(self._names.array()), self._kinds, read, owned, strict=True):
            if taken:
                passed.companions[READ] += 1
            else:
                passed.over(prefix + name, SECOND if named else what)
        offsets, sizes = (column.array().take(found) for column in self._numbers)
        return pc.coalesce(words, offsets), pc.coalesce(lengths, sizes)


def _stems(names: pa.ChunkedArray, cut: Callable[[bytes], bytes]) -> pa.ChunkedArray:
    column = Column(pa.binary())
    for name in each(names):
        column.append(cut(name.encode()))
    return column.array()
