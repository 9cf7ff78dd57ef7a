"""The list of all pictures of a run, beside its scores: 40 bytes a picture, and facts where they are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import UserError
from trainedon.evidence.table.clusters import UNKNOWN, thousandths
from trainedon.evidence.table.rows import SETS
from trainedon.evidence.table.texts import NONE, Texts, Words, no_texts
from trainedon.formats.arrow_schemas import PASSED, TEXT
from trainedon.parquet import BATCH, opened

HASH = re.compile(r"[0-9a-fA-F]{1,16}")  # 64 bits
COLOURS = ("mean_r", "mean_g", "mean_b")
Facts = Mapping[str, object]
Pictures = Path | pa.Table | Sequence[Facts]  # `pictures.parquet`, or its rows


@dataclass(frozen=True, eq=False)
class Inventory:
    """What is known of every picture. Columns are (n,); texts are told by their numbers, NONE for none.

    names, marks: those of the scores that it belongs to. `source`: where the other facts are.
    """

    source: Pictures
    names: Texts
    marks: Texts
    reasons: tuple[str, ...]
    picture: np.ndarray  # int32, of names
    set: np.ndarray  # int8, of SETS; NONE for any other
    sha256: np.ndarray  # int32, of marks
    reason: np.ndarray  # int32, of reasons
    hashed: np.ndarray  # bool: has a perceptual hash
    phash: np.ndarray  # uint64
    colour: np.ndarray  # int32 (n, 3), thousandths of the range

    def __len__(self) -> int:
        return len(self.picture)

    def of_sets(self, sets: Sequence[str]) -> np.ndarray:
        """Which pictures lie in one of the sets: bool (n,)."""
        return np.isin(self.set, [SETS.index(name) for name in sets])

    def place(self, set_number: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """Where pictures, told by set and name, are listed: int64 (k,), NONE where they are not."""
        asked = self._key(set_number, picture)
        if not len(self):
            return np.full(len(asked), NONE)
        known, order = self._by_key
        at = np.searchsorted(known, asked, side="right") - 1
        found = (at >= 0) & (known[at] == asked) & (picture != NONE)
        return np.where(found, order[at], NONE)

    @cached_property
    def _by_key(self) -> tuple[np.ndarray, np.ndarray]:
        key = self._key(self.set, self.picture)
        order = np.argsort(key, kind="stable").astype(np.int32)
        return key[order], order

    def _key(self, set_number: np.ndarray, picture: np.ndarray) -> np.ndarray:
        return set_number.astype(np.int64) * len(self.names) + picture

    def places(self, names: Iterable[tuple[str, str]]) -> np.ndarray:
        """Where pictures (set, name) are listed: int64 (k,), NONE where they are not."""
        pairs = list(names)
        sets = np.array([SETS.index(name) if name in SETS else NONE for name, _ in pairs], np.int8)
        return self.place(sets, self.names.find(pa.array([picture for _, picture in pairs], pa.string())))

    def known(self, columns: Iterable[str]) -> np.ndarray:
        """Which pictures have a finite number in each column: bool (n,)."""
        found = np.ones(len(self), dtype=bool)
        for name in columns:  # one at a time: a column of a file takes room while it is read
            found &= np.isfinite(self.numbers(name))
        return found

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers or of yes and no, float64 (n,), NaN where nothing is known."""
        parts = [batch[column].to_numpy(zero_copy_only=False) for batch in batches(self.source, (column,))]
        return np.concatenate([np.empty(0), *parts])

    def told(self, column: str) -> np.ndarray:
        """Which pictures have a text in a column: bool (n,)."""
        parts = [batch[column].is_valid().to_numpy(zero_copy_only=False) for batch in batches(self.source, (column,))]
        return np.concatenate([np.empty(0, bool), *parts])

    def facts(self, places: np.ndarray, columns: Sequence[str]) -> Records:
        """Those columns of the pictures at distinct `places`, in their order."""
        order = np.argsort(places)
        wanted, found, start = places[order], [], 0
        for batch in batches(self.source, columns):
            n = len(batch[columns[0]])
            here = wanted[slice(*np.searchsorted(wanted, [start, start + n]))] - start
            found.append(pa.table({name: values.take(pa.array(here)) for name, values in batch.items()}))
            start += n
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return Records(pa.concat_tables(found).take(pa.array(back)) if found else pa.table({}))


class Records(Sequence[Facts]):
    """Rows of a table as mappings, each made when it is asked for."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, at):
        return Records(self.table[at]) if isinstance(at, slice) else self.table.slice(at, 1).to_pylist()[0]

    def __iter__(self) -> Iterator[Facts]:
        for batch in self.table.to_batches(max_chunksize=1024):
            yield from batch.to_pylist()


def inventory(pictures: Pictures, names: Texts | None = None, marks: Texts | None = None) -> Inventory:
    """The inventory, its texts those given and what it has besides.

    Raises UserError when `pictures` is a path of no list of pictures.
    """
    names, marks = names or no_texts(pa.string()), marks or no_texts()
    names, picture = _numbered(pictures, "picture", names)
    marks, sha256 = _numbered(pictures, "sha256", marks)
    n, reasons = len(picture), Words()
    sets, reason = np.empty(n, np.int8), np.empty(n, np.int32)
    hashed, phash, colour = np.zeros(n, bool), np.zeros(n, np.uint64), np.full((n, 3), UNKNOWN, np.int32)
    start = 0
    for batch in batches(pictures, ("set", "reason", "phash", *COLOURS)):
        part = slice(start, start := start + len(batch["set"]))
        sets[part] = [SETS.index(name) if name in SETS else NONE for name in batch["set"].to_pylist()]
        reason[part] = [reasons[why] if why else NONE for why in batch["reason"].to_pylist()]
        texts = batch["phash"].to_pylist()
        hashed[part] = [bool(text) for text in texts]
        phash[part] = [_hash(text, pictures) if text else 0 for text in texts]
        for channel, name in enumerate(COLOURS):
            colour[part, channel] = thousandths(batch[name].to_numpy(zero_copy_only=False))
    return Inventory(pictures, names, marks, tuple(reasons), picture, sets, sha256, reason, hashed, phash, colour)


def _hash(text: str, pictures: Pictures) -> int:
    """The number of a perceptual hash. Raises UserError for what is none."""
    if not HASH.fullmatch(text):
        where = pictures if isinstance(pictures, Path) else "the list of pictures"
        raise UserError(f"{where} has a perceptual hash that is none: it is damaged")
    return int(text, 16)


def _numbered(pictures: Pictures, column: str, texts: Texts) -> tuple[Texts, np.ndarray]:
    """A column by the numbers of its texts, int32 (n,), and all texts."""
    numbers, strange = [np.empty(0, np.int32)], []
    for batch in batches(pictures, (column,)):
        found = texts.find(batch[column])
        missing = batch[column].filter(pa.array(found == NONE)).drop_null()
        numbers.append(found)
        strange += [missing] if len(missing) else []
    if not strange:
        return texts, np.concatenate(numbers)
    more = texts.with_more(pa.concat_arrays(strange))
    del strange, numbers
    return _numbered(pictures, column, more)


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


def _array(name: str, values: list[object]) -> pa.Array:
    if name in TEXT:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.array([float(value) if isinstance(value, int | float) else None for value in values], pa.float64())
