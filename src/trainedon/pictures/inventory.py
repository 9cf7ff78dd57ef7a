"""The list of all pictures of a run: what each one is, and why some cannot be used (`pictures.parquet`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainedon.formats.arrow_schemas import LATER, PICTURES, opened_pictures, written
from trainedon.formats.reasons import PASSED
from trainedon.pictures.listing.columns import AT_ONCE, Column, each

_GROUP = 4 * AT_ONCE  # rows of the file that are written at once


@dataclass(frozen=True)
class Item:
    """One row of `pictures.parquet`: a picture that was given, or a file that is none and was passed over.

    picture, sha256, set (`suspect` | `unseen` | `member`), label: as in Picture; sha256 is None when nothing was read.
    reason: why the picture is not used, None when it is; of what was passed over it begins with `PASSED`.
    format, mode, width, height (pixels), bytes: facts, None when it could not be decoded; so are the statistics:
    mean_*, std_*: colour statistics of each channel over all pixels, in [0, 1].
    sharpness: variance of the 3 x 3 Laplacian (4 neighbours) of the grey picture in [0, 255], its longer side reduced
    to 256 pixels if it has more.
    phash, jpeg_trace, detail: as in `looks`; phash is None for a picture without structure too.
    caption: as in Picture.
    label_from: where the label comes from: `given` (a table, an array, a tar), `folders` (the number of the file's
    folder), `inferred` (by the model); None without one.
    alpha: whether a pixel is not fully opaque. orientation: what EXIF says, 1..8; None where it says nothing.
    source: whose work it is, or what else it has in common with others of that name; None where that was not asked.
    """

    picture: str
    sha256: str | None
    set: str
    label: int | None
    reason: str | None = None
    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    mean_r: float | None = None
    mean_g: float | None = None
    mean_b: float | None = None
    std_r: float | None = None
    std_g: float | None = None
    std_b: float | None = None
    sharpness: float | None = None
    phash: str | None = None
    jpeg_trace: float | None = None
    detail: float | None = None
    caption: str | None = None
    label_from: str | None = None
    alpha: bool | None = None
    orientation: int | None = None
    source: str | None = None


# How the columns are held: smaller, where that is enough for all that there can be.
_SMALL = dict.fromkeys(("set", "format", "mode", "label_from"), pa.dictionary(pa.int8(), pa.string()))
_SMALL["source"] = pa.dictionary(pa.int32(), pa.string())
_SMALL |= dict.fromkeys(("width", "height", "bytes"), pa.int32()) | {"orientation": pa.int8()}
_HELD = pa.schema([field.with_type(_SMALL.get(field.name, field.type)) for field in PICTURES])


class Inventory(Sequence[Item]):
    """Items held as columns, some 200 bytes each and their captions; they become objects one by one, when asked for.

    It cannot be changed: `replaced`, `take`, slices and `+` give another, which shares what it can.
    """

    def __init__(self, table: pa.Table) -> None:
        """table: as `pictures.parquet`. Raises ArrowException for another one."""
        self._table = table if table.schema == _HELD else table.cast(_HELD)  # a cast to the same copies
        self._columns = self._table.columns

    @classmethod
    def of(cls, items: Iterable[Item]) -> Inventory:
        """These items. Raises TypeError or ArrowException for a value that its column cannot hold."""
        if isinstance(items, Inventory):
            return items
        columns = [Column(kind) for kind in _HELD.types]
        for item in items:
            for column, name in zip(columns, _HELD.names):
                column.append(getattr(item, name))
        return cls(pa.table([column.array() for column in columns], schema=_HELD))

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, key: int) -> Item: ...
    @overload
    def __getitem__(self, key: slice) -> Inventory: ...
    def __getitem__(self, key: int | slice) -> Item | Inventory:
        places = range(len(self))[key]
        if isinstance(places, range):
            return self.take(places)
        return Item(*(column[places].as_py() for column in self._columns))

    def __iter__(self) -> Iterator[Item]:
        for batch in self._table.to_batches(AT_ONCE):
            yield from (Item(**row) for row in batch.to_pylist())

    def __eq__(self, other: object) -> bool:
        """Equal to any sequence of the same items."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other))

    def __add__(self, other: Iterable[Item]) -> Inventory:
        return Inventory(pa.concat_tables([self._table, Inventory.of(other)._table]))

    @property
    def table(self) -> pa.Table:
        """All columns, as in `pictures.parquet`."""
        return self._table.cast(PICTURES)

    @property
    def pictures(self) -> Inventory:
        """The pictures among them: what was passed over is none."""
        passed = pc.fill_null(pc.starts_with(self._table.column("reason"), PASSED), False)
        return Inventory(self._table.filter(pc.invert(passed))) if pc.any(passed).as_py() else self

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, as in `pictures.parquet`."""
        column, kind = self._table.column(name), PICTURES.field(name).type
        return column if column.type == kind else column.cast(kind)

    def values(self, name: str) -> Iterator[Any]:
        """The values of one column, one after the other."""
        return each(self._table.column(name))

    @property
    def usable(self) -> np.ndarray:
        """Places of the items without a reason, int64, ascending."""
        return np.flatnonzero(self.column("reason").is_null())

    def of_set(self, name: str) -> Inventory:
        """The items of one set."""
        return self.take(np.flatnonzero(pc.equal(self.column("set"), name)))

    def take(self, places: Sequence[int] | np.ndarray) -> Inventory:
        """The items at some places; neighbours are shared, not copied."""
        places = np.asarray(places, dtype=np.int64)
        if (np.diff(places) == 1).all():
            return Inventory(self._table.slice(places[0] if len(places) else 0, len(places)))
        return Inventory(self._table.take(places))

    def replaced(self, column: str, values: Mapping[int, object]) -> Inventory:
        """The same but for the values of one column at some places (place -> value)."""
        chunks, start = [], 0
        for chunk in self._table.column(column).chunks:
            changed = {place - start for place in range(start, start + len(chunk)) if place in values}
            if changed:
                listed = [values[start + i] if i in changed else value for i, value in enumerate(chunk.to_pylist())]
                chunks.append(pa.array(listed, chunk.type))
            else:
                chunks.append(chunk)
            start += len(chunk)
        return self.with_column(column, pa.chunked_array(chunks, _HELD.field(column).type))

    def with_column(self, column: str, values: pa.Array | pa.ChunkedArray) -> Inventory:
        """The same but for the values of one column, one an item."""
        place = PICTURES.get_field_index(column)
        return Inventory(self._table.set_column(place, _HELD.field(place), values.cast(_HELD.types[place])))


def inventory_digest(items: Iterable[Item]) -> str:
    """sha256, hex, over the (set, picture, sha256, label) rows, with caption and source where there are any, in any
    order.

    It is that of the rows as JSON lines, sorted, without those of what was passed over.
    """
    items = Inventory.of(items).pictures
    # `["set", "picture"`: none of them is the beginning of another, so that what follows matters between equals alone.
    heads = Column(pa.string())
    for pair in zip(items.values("set"), items.values("picture")):
        heads.append(json.dumps(pair)[:-1])
    order = pc.sort_indices(heads.array()).to_numpy()  # ASCII, so that bytes are ordered as characters are
    sha256, between = hashlib.sha256(), b""
    for _, same in groupby(_lines(items, order), key=itemgetter(0)):
        for _, line in sorted(same):
            sha256.update(between + line.encode())
            between = b"\n"
    return sha256.hexdigest()


def _lines(items: Inventory, order: np.ndarray) -> Iterator[tuple[str, str]]:
    """(set and picture, the row as JSON), in this order."""
    columns = [items.column(name) for name in ("set", "picture", "sha256", "label", "caption", "source")]
    for place in map(int, order):
        row = [column[place].as_py() for column in columns]
        while len(row) > 4 and row[-1] is None:  # so that lists from before captions and sources are known again
            row.pop()
        yield json.dumps(row[:2]), json.dumps(row)


def passed_items(passed: Iterable[tuple[str, str]], set_name: str) -> Inventory:
    """Rows of what was passed over in the source of a set: (name, reason)."""
    return Inventory.of(Item(name, None, set_name, None, reason) for name, reason in passed)


def write_inventory(items: Iterable[Item], path: Path) -> None:
    """Write `pictures.parquet`, whole or not at all."""
    items = Inventory.of(items)
    repeating = ["set", "reason", "format", "mode", "label_from", "source"]
    with written(path, PICTURES, repeating) as writer:
        for start in range(0, len(items), _GROUP):
            writer.write_table(items[start : start + _GROUP].table)


def read_inventory(path: Path) -> Inventory:
    """Read `pictures.parquet`; columns that it was written before are None.

    Raises UserError when it is missing, damaged or another kind of file.
    """
    with opened_pictures(path) as file:
        empty = file.file.schema_arrow.empty_table()
        known = [name for name in file.names if name in PICTURES.names]
        parts = [_completed(pa.Table.from_batches([batch])) for batch in file.batches(known, _GROUP)]
        return Inventory(pa.concat_tables(parts or [_completed(empty)]))


def _completed(table: pa.Table) -> pa.Table:
    for name in LATER:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table)))
    return table.select(PICTURES.names).cast(_HELD)
