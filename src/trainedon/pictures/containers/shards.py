"""Files of one source that hold many pictures each: parquet, `.npz` and `.tar`, read in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainedon.errors import UserError
from trainedon.pictures.containers.arrays import NoPictureArray, array_entries
from trainedon.pictures.containers.tables import Table, describe, no_pictures, table_entries
from trainedon.pictures.containers.tars import no_members, tar_entries
from trainedon.pictures.listing.cells import Bare
from trainedon.pictures.listing.columns import Column, repeated
from trainedon.pictures.listing.entries import METADATA, Listing, Passed
from trainedon.pictures.listing.metadata import Metadata
from trainedon.pictures.pixels.names import ARRAYS, PARQUET, TAR, has, raw, stem, text
from trainedon.pictures.pixels.sniffing import Seems, by_suffix
from trainedon.pictures.places.stores import File

_NO_COLUMN = Seems("table without pictures", remedy="to be read, it needs a column of picture files as bytes")


class Shards:
    """Files (name, file) in the order in which they are read; of parquet files the layout is looked at at once.

    Raises UserError for a parquet file that is damaged, or in which it is not clear what the pictures are.
    """

    def __init__(self, files: Iterable[tuple[bytes, File]], passed: Passed) -> None:
        self._tables: list[Table] = []
        self._bare: list[tuple[str, Bare]] = []
        self._arrays: list[tuple[str, File]] = []
        self._tars: list[tuple[str, File]] = []
        self._packed: list[tuple[str, File]] = []
        self._passed = passed
        self._refusals: list[UserError] = []
        for name, file in files:
            if has(shown := text(name), PARQUET):
                self._add_table(shown, describe(shown, file))
            else:
                kind = self._arrays if has(shown, ARRAYS) else self._tars if has(shown, TAR) else self._packed
                kind.append((shown, file))

    def _add_table(self, shown: str, table: Table | Bare) -> None:
        if isinstance(table, Bare):
            self._bare.append((shown, table))
        elif len(table):
            self._tables.append(table)
        else:
            self._passed.over(shown, Seems("table without rows"))

    def metadata(self, pictures: pa.ChunkedArray) -> list[Metadata]:
        """The tables without pictures that name captions of others' pictures. pictures: the names of picture files."""
        return [
            Metadata(name, table.file, table, self._apart(name, pictures)) for name, table in self._bare if table.tells
        ]

    def _apart(self, table: str, pictures: Sequence[bytes] | pa.ChunkedArray) -> bool:
        """Whether there is a tar, or a folder with pictures, of a table's name."""
        tar = table.removesuffix(PARQUET) + TAR
        return any(shown == tar for shown, _ in self._tars) or _any_below(pictures, stem(raw(table)) + b"/")

    def listed(self, limit: int | None) -> Iterator[Listing]:
        """The pictures of each kind that has any, no more than `limit` in all."""
        tars = [*self._tars, *([] if self._tables or self._arrays or self._tars else self._packed)]
        names = {name.removesuffix(PARQUET): table for name, table in self._bare if table.tells}
        told = {shown: names[key] for shown, _ in tars if (key := shown[: -len(TAR)]) in names}
        readers: tuple[tuple[Sequence[object], Callable[[int | None], Listing]], ...] = (
            (self._tables, lambda left: table_entries(self._tables, left)),
            (self._arrays, lambda left: array_entries(self._arrays, left, self._skip)),
            (tars, lambda left: tar_entries(tars, left, self._passed, told)),
        )
        for files, entries in readers:
            if files and limit != 0:
                found = entries(limit)
                limit = limit if limit is None else limit - len(found)
                if len(found):
                    yield found

    def _skip(self, shown: str, why: NoPictureArray) -> None:
        self._passed.over(shown, Seems("numpy arrays without pictures"))
        self._refusals.append(why)

    def account(self, pictures: Sequence[bytes] | pa.ChunkedArray) -> None:
        """Count the files that were not read for pictures. pictures: the names of the picture files beside them."""
        if self._tables or self._arrays or self._tars:
            for shown, _ in self._packed:
                self._passed.over(shown, by_suffix(shown) or Seems("archive"))
        for shown, table in self._bare:
            if self._apart(shown, pictures) or (table.tells and len(pictures)):
                self._passed.companions[METADATA] += 1
            else:
                self._passed.over(shown, _NO_COLUMN)

    def refusal(self) -> UserError | None:
        """Why no file has pictures, of the first that should; None where there is no file at all."""
        if self._bare:
            return no_pictures(self._bare[0][1])
        if self._refusals:
            return self._refusals[0]
        return no_members(self._tars[0][1]) if self._tars else None


def _any_below(pictures: Sequence[bytes] | pa.ChunkedArray, folder: bytes) -> bool:
    return bool(len(pictures)) and bool(pc.any(pc.starts_with(pictures, folder)).as_py())


def distinctly_named(parts: Sequence[Listing]) -> Sequence[Listing]:
    """The parts of a source with a name of its own for each picture: where two have one name, those of tables are
    numbered, and those of tars stand behind the name of the tar. Raises UserError where that is not enough."""
    if _clash(parts) is None:
        return parts
    parts = [part.apart() for part in parts]
    if (name := _clash(parts)) is not None:
        raise UserError(f"two pictures are called {name!r}: rename a file, so that each has a name of its own")
    return parts


def _clash(parts: Sequence[Listing]) -> str | None:
    names = Column(pa.string())
    for part in parts:
        for name in part.each_name():
            names.append(name)
    column = names.array()
    twice = repeated(column, np.arange(len(column)))
    return column[twice[0][0]].as_py() if twice else None
