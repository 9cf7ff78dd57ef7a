"""Rows of the table of scores, held by columns: about 110 bytes a row. A row becomes an object when it is looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from trainedon.evidence.table.codes import MISSING, Codes, Dictionary, lookup

SETS = ("suspect", "unseen", "member", "kept")
BY_NAME = np.array([sorted(SETS).index(name) for name in SETS], np.int8)  # the place of each set by its name
BLOCK = 4096  # rows made at once

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer[Any]]
Column = npt.NDArray[Any]


class Row(NamedTuple):
    """One picture under one attack. `score` is finite, or None with a `reason`.

    cluster: pictures of one name are near-duplicates of each other. near: the picture that counts in this one's place.
    source: whose work the picture is.
    """

    picture: str
    set: str
    attack: str
    attack_repr: str
    sha256: str | None
    score: float | None
    reason: str | None
    nfe: float | None
    seconds: float | None
    cluster: str | None = None
    near: str | None = None
    source: str | None = None


class AttackKey(NamedTuple):
    """What tells one attack from another: its name and every parameter."""

    name: str
    repr: str


@dataclass(frozen=True, eq=False)
class Columns:
    """All rows. Texts are codes, MISSING for none; numbers that are not known are NaN. Columns are (n,).

    names: of pictures. digests: of pictures, and names of clusters, most of which are digests.
    """

    names: Dictionary
    digests: Dictionary
    attacks: tuple[AttackKey, ...]
    reasons: tuple[str, ...]
    sources: tuple[str, ...]
    picture: Codes  # of names
    set: npt.NDArray[np.int8]  # of SETS
    attack: Codes  # of attacks
    sha256: Codes  # of digests
    score: Floats
    reason: Codes  # of reasons
    nfe: Floats
    seconds: Floats
    cluster: Codes  # of digests
    near: Codes  # of names
    source: Codes  # of sources

    def __len__(self) -> int:
        return len(self.picture)

    def take(self, indices: Column) -> Columns:
        """The rows at `indices`, int or bool (n,)."""
        return replace(self, **{name: getattr(self, name)[indices] for name in COLUMNS})

    def followed_by(self, other: Columns) -> Columns:
        """These rows and then those of `other`, which has the same dictionaries."""
        both: dict[str, Any] = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in COLUMNS}
        return replace(self, **both)

    def with_dictionaries(self, names: Dictionary, name: Codes, digests: Dictionary, digest: Codes) -> Columns:
        """The same rows in codes of other dictionaries. name, digest: the code there of each text here."""
        return replace(
            self,
            names=names,
            digests=digests,
            picture=lookup(name, self.picture),
            near=lookup(name, self.near),
            sha256=lookup(digest, self.sha256),
            cluster=lookup(digest, self.cluster),
        )


COLUMNS = tuple(field.name for field in fields(Columns))[5:]


class Rows(Sequence[Row]):
    """Some rows of `columns`: those at `indices`, int (n,). Equal to any sequence of the same rows."""

    def __init__(self, columns: Columns, indices: Indices) -> None:
        self.columns, self.indices = columns, indices

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Rows: ...
    def __getitem__(self, at: int | slice) -> Row | Rows:
        if isinstance(at, slice):
            return Rows(self.columns, self.indices[at])
        return _decoded(self.columns, self.indices[[at]])[0]

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), BLOCK):
            yield from _decoded(self.columns, self.indices[start : start + BLOCK])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(tuple.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def column(self, name: str) -> Column:
        """One column of these rows, (n,), as `Columns` says."""
        column: Column = getattr(self.columns, name)[self.indices]
        return column


def _decoded(columns: Columns, indices: Indices) -> list[Row]:
    values = {name: getattr(columns, name)[indices] for name in COLUMNS}
    attacks = [columns.attacks[code] for code in values["attack"].tolist()]
    return [
        Row(str(picture), SETS[code], *attack, *rest)
        for picture, code, attack, *rest in zip(
            columns.names.decode(values["picture"]),
            values["set"].tolist(),
            attacks,
            columns.digests.decode(values["sha256"]),
            none_for_nan(values["score"]),
            [None if code == MISSING else columns.reasons[code] for code in values["reason"].tolist()],
            none_for_nan(values["nfe"]),
            none_for_nan(values["seconds"]),
            columns.digests.decode(values["cluster"]),
            columns.names.decode(values["near"]),
            [None if code == MISSING else columns.sources[code] for code in values["source"].tolist()],
            strict=True,
        )
    ]


def none_for_nan(values: Floats) -> list[float | None]:
    """Numbers, None for NaN."""
    return [None if value != value else value for value in values.tolist()]


def picture_ids(rows: Sequence[Row]) -> Iterator[str]:
    """What tells each row's picture from others: its digest or, where none is known, the digest of its name."""
    if not isinstance(rows, Rows):
        yield from (row.sha256 or _digest(row.picture) for row in rows)
        return
    columns = rows.columns
    for start in range(0, len(rows), BLOCK):
        indices = rows.indices[start : start + BLOCK]
        for sha256, index in zip(columns.digests.decode(columns.sha256[indices]), indices, strict=True):
            yield sha256 or _digest(str(columns.names.decode(columns.picture[[index]])[0]))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
