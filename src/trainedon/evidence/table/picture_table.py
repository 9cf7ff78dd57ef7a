"""The pictures of a run (`pictures.parquet`): what every statistic needs by columns, about 40 bytes a picture.

What is not among these columns is read again from the file where it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import UserError
from trainedon.evidence.table.clusters import thousandths
from trainedon.evidence.table.codes import MISSING, Codebook, Codes, Dictionary, DictionaryBuilder
from trainedon.evidence.table.rows import SETS, Column, Floats, Indices
from trainedon.formats.arrow_schemas import TEXT
from trainedon.formats.reasons import PASSED
from trainedon.parquet import BATCH, opened

HASH = re.compile(r"[0-9a-fA-F]{1,16}")  # 64 bits
COLOURS = ("mean_r", "mean_g", "mean_b")
KINDS = {"set": np.int8, "reason": np.int32, "whose": np.int32, "hashed": np.bool_, "phash": np.uint64}
Facts = Mapping[str, Any]
Pictures: TypeAlias = Path | pa.Table | Sequence[Facts]  # `pictures.parquet`, or its rows
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PictureTable:
    """What is known of every picture. Columns are (n,); texts are codes, MISSING for none. source: of other columns."""

    source: Pictures
    names: Dictionary
    digests: Dictionary
    reasons: tuple[str, ...]
    sources: tuple[str, ...]
    picture: Codes  # of names
    set: npt.NDArray[np.int8]  # of SETS; MISSING for any other
    sha256: Codes  # of digests
    reason: Codes  # of reasons
    whose: Codes  # of sources
    hashed: Mask  # has a perceptual hash
    phash: npt.NDArray[np.uint64]
    colour: npt.NDArray[np.int32]  # (n, 3), thousandths of the range

    @classmethod
    def read(
        cls, pictures: Pictures, names: DictionaryBuilder | None = None, digests: DictionaryBuilder | None = None
    ) -> PictureTable:
        """Those columns of `pictures`. names, digests: what encodes the texts.

        Raises UserError when it is a path of no list of pictures.
        """
        names, digests = names or DictionaryBuilder(), digests or DictionaryBuilder()
        reasons, sources = Codebook[str](), Codebook[str]()
        numbers: dict[str, list[Column]] = {name: [np.empty(0, kind)] for name, kind in KINDS.items()}
        colour = [np.empty((0, 3), np.int32)]
        for batch in batches(pictures, ("picture", "sha256", "set", "reason", "phash", "source", *COLOURS)):
            names.add(batch["picture"])
            digests.add(batch["sha256"])
            hashes = batch["phash"].to_pylist()
            found = {
                "set": [SETS.index(name) if name in SETS else MISSING for name in batch["set"].to_pylist()],
                "reason": [reasons[why] if why else MISSING for why in batch["reason"].to_pylist()],
                "whose": [sources[name] if name else MISSING for name in batch["source"].to_pylist()],
                "hashed": [bool(text) for text in hashes],
                "phash": [_hash(text, pictures) if text else 0 for text in hashes],
            }
            for name, values in found.items():
                numbers[name].append(np.array(values, KINDS[name]))
            colour.append(thousandths(np.stack([_floats(batch[name]) for name in COLOURS], axis=1)))
        columns: dict[str, Any] = {name: np.concatenate(parts) for name, parts in numbers.items()}
        columns |= dict(zip(("names", "picture"), names.build(), strict=True))
        columns |= dict(zip(("digests", "sha256"), digests.build(), strict=True))
        return cls(
            source=pictures, reasons=tuple(reasons), sources=tuple(sources), colour=np.concatenate(colour), **columns
        )

    def __len__(self) -> int:
        return len(self.picture)

    def in_sets(self, sets: Sequence[str]) -> Mask:
        """Which pictures lie in one of the sets: (n,)."""
        among: Mask = np.isin(self.set, [SETS.index(name) for name in sets])
        return among

    @property
    def usable(self) -> Mask:
        """Which pictures nothing speaks against: (n,)."""
        usable: Mask = self.reason == MISSING
        return usable

    def rows_of(self, set_code: npt.NDArray[np.int8], picture: Codes) -> npt.NDArray[np.int64]:
        """The row of each picture, told by set and name, (k,): the last where it has several; MISSING where none."""
        asked = self._key(set_code, picture)
        if not len(self):
            return np.full(len(asked), MISSING)
        known, order = self._by_key
        at = np.searchsorted(known, asked, side="right") - 1
        found = (at >= 0) & (known[at] == asked) & (picture != MISSING)
        return np.where(found, order[at], MISSING)

    @cached_property
    def _by_key(self) -> tuple[npt.NDArray[np.int64], Codes]:
        key = self._key(self.set, self.picture)
        order = np.argsort(key, kind="stable").astype(np.int32)
        return key[order], order

    def _key(self, set_code: npt.NDArray[np.int8], picture: Codes) -> npt.NDArray[np.int64]:
        return set_code.astype(np.int64) * len(self.names) + picture

    def find(self, pictures: Iterable[tuple[str, str]]) -> npt.NDArray[np.int64]:
        """The row of each picture, told by (set, name), as `rows_of` gives it."""
        pairs = list(pictures)
        sets = np.array([SETS.index(name) if name in SETS else MISSING for name, _ in pairs], np.int8)
        return self.rows_of(sets, self.names.find([picture for _, picture in pairs]))

    def finite(self, columns: Iterable[str]) -> Mask:
        """Which pictures have a finite number in each column: (n,)."""
        found = np.ones(len(self), dtype=bool)
        for name in columns:  # one at a time: reading a column takes memory
            found &= np.isfinite(self.numbers(name))
        return found

    def numbers(self, column: str) -> Floats:
        """A column of numbers or of yes and no, (n,), NaN where nothing is known."""
        return np.concatenate([np.empty(0), *(_floats(batch[column]) for batch in batches(self.source, (column,)))])

    def has_text(self, column: str) -> Mask:
        """Which pictures have a text in a column: (n,)."""
        parts = [batch[column].is_valid().to_numpy(zero_copy_only=False) for batch in batches(self.source, (column,))]
        return np.concatenate([np.empty(0, bool), *parts])

    def facts(self, rows: Indices, columns: Sequence[str]) -> TableRows:
        """Those columns of distinct `rows`, in their order."""
        order = np.argsort(rows)
        wanted, found, start = rows[order], [], 0
        for batch in batches(self.source, columns):
            n = len(batch[columns[0]])
            here = wanted[slice(*np.searchsorted(wanted, [start, start + n]))] - start
            found.append(pa.table({name: values.take(pa.array(here)) for name, values in batch.items()}))
            start += n
        return TableRows(pa.concat_tables(found).take(pa.array(np.argsort(order))) if found else pa.table({}))


class TableRows(Sequence[Facts]):
    """Rows of an Arrow table as mappings, each made when it is asked for."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, at: int) -> Facts: ...
    @overload
    def __getitem__(self, at: slice) -> TableRows: ...
    def __getitem__(self, at: int | slice) -> Facts | TableRows:
        if isinstance(at, slice):
            return TableRows(self.table[at])
        row: Facts = self.table.slice(at, 1).to_pylist()[0]
        return row

    def __iter__(self) -> Iterator[Facts]:
        for batch in self.table.to_batches(max_chunksize=1024):
            yield from batch.to_pylist()


def _floats(values: pa.Array) -> Floats:
    floats: Floats = values.to_numpy(zero_copy_only=False)
    return floats


def _hash(text: str, pictures: Pictures) -> int:
    """The number of a perceptual hash. Raises UserError for what is none."""
    if not HASH.fullmatch(text):
        where = pictures if isinstance(pictures, Path) else "the list of pictures"
        raise UserError(f"{where} has a perceptual hash that is none: it is damaged")
    return int(text, 16)


def batches(pictures: Pictures, columns: Sequence[str], *, passed: bool = False) -> Iterator[dict[str, pa.Array]]:
    """Some columns of the pictures, a few rows at a time: those of TEXT as string, others as float64, null where
    nothing is known. passed: of what was passed over instead."""
    for batch in _every(pictures, list(dict.fromkeys((*columns, "reason")))):
        over = pc.fill_null(pc.starts_with(batch["reason"], PASSED), False)
        some = over.true_count
        if passed:
            yield {name: batch[name].filter(over) for name in columns}
        elif some:
            yield {name: batch[name].filter(pc.invert(over)) for name in columns}
        else:
            yield {name: batch[name] for name in columns}


def _every(pictures: Pictures, columns: Sequence[str]) -> Iterator[dict[str, pa.Array]]:
    if isinstance(pictures, Path):
        yield from _read(pictures, columns)
    elif isinstance(pictures, pa.Table):
        present = [name for name in columns if name in pictures.column_names]
        for batch in pictures.select(present).to_batches(max_chunksize=BATCH):
            yield _columns(batch, columns)
    else:
        for start in range(0, len(pictures), BATCH):
            part = pictures[start : start + BATCH]
            yield {name: _array(name, [facts.get(name) for facts in part]) for name in columns}


def _read(path: Path, columns: Sequence[str]) -> Iterator[dict[str, pa.Array]]:
    try:
        with opened(path) as file:
            known = file.names
            if not {"picture", "set", "sha256", "reason"} <= {*known} or len({*known}) < len(known):
                raise pa.ArrowInvalid("it lacks a column, or has one twice")
            present = [name for name in columns if name in known] or ["picture"]
            yield from (_columns(batch, columns) for batch in file.batches(present))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run the audit again") from None
    except (pa.ArrowException, OSError, ValueError):
        raise UserError(f"{path} is not a list of pictures of this program; run the audit again") from None


def _columns(batch: pa.RecordBatch, columns: Sequence[str]) -> dict[str, pa.Array]:
    def column(name: str) -> pa.Array:
        kind = pa.string() if name in TEXT else pa.float64()
        return batch.column(name).cast(kind, safe=False) if name in batch.schema.names else pa.nulls(len(batch), kind)

    return {name: column(name) for name in columns}


def _array(name: str, values: list[Any]) -> pa.Array:
    if name in TEXT:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.array([float(value) if isinstance(value, int | float) else None for value in values], pa.float64())
