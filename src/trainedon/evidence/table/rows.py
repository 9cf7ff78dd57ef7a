"""Rows of the table of scores, held by columns: about 110 bytes a row, and made when they are looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, overload

import numpy as np

from trainedon.evidence.table.texts import NONE, Texts, moved

SETS = ("suspect", "unseen", "member")
BY_NAME = np.array([sorted(SETS).index(name) for name in SETS], np.int8)  # the place of each set by its name
BLOCK = 4096  # rows made at once


class Row(NamedTuple):
    """One picture under one attack. `score` is finite, or None with a `reason`.

    cluster: pictures of one name are near-duplicates of each other. near: the picture that counts in this one's place.
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


class AttackKey(NamedTuple):
    """What tells one attack from another: its name and every parameter."""

    name: str
    repr: str


@dataclass(frozen=True, eq=False)
class Columns:
    """All rows. Texts are told by their numbers, NONE for none; numbers that are not known are NaN.

    names: of pictures. marks: digests, and names of clusters. Columns are (n,).
    """

    names: Texts
    marks: Texts
    attacks: tuple[AttackKey, ...]
    reasons: tuple[str, ...]
    picture: np.ndarray  # int32, of names
    set: np.ndarray  # int8, of SETS
    attack: np.ndarray  # int32, of attacks
    sha256: np.ndarray  # int32, of marks
    score: np.ndarray  # float64
    reason: np.ndarray  # int32, of reasons
    nfe: np.ndarray  # float64
    seconds: np.ndarray  # float64
    cluster: np.ndarray  # int32, of marks
    near: np.ndarray  # int32, of names

    def __len__(self) -> int:
        return len(self.picture)

    def take(self, places: np.ndarray) -> Columns:
        """The rows at the places, int or bool (n,)."""
        return replace(self, **{name: getattr(self, name)[places] for name in COLUMNS})

    def joined(self, other: Columns) -> Columns:
        """These rows and those of `other`, which has the same texts."""
        return replace(self, **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in COLUMNS})

    def renumbered(self, names: Texts, marks: Texts) -> Columns:
        """The same rows under texts that have those of these rows and more."""
        name, mark = self.names.numbers_in(names), self.marks.numbers_in(marks)
        return replace(
            self,
            names=names,
            marks=marks,
            picture=moved(self.picture, name),
            near=moved(self.near, name),
            sha256=moved(self.sha256, mark),
            cluster=moved(self.cluster, mark),
        )


COLUMNS = tuple(field.name for field in fields(Columns))[4:]


class Rows(Sequence[Row]):
    """Some rows of `columns`: those at `places`, int (n,). Equal to any sequence of the same rows."""

    def __init__(self, columns: Columns, places: np.ndarray) -> None:
        self.columns, self.places = columns, places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Rows: ...
    def __getitem__(self, at):
        if isinstance(at, slice):
            return Rows(self.columns, self.places[at])
        return _made(self.columns, self.places[[at]])[0]

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), BLOCK):
            yield from _made(self.columns, self.places[start : start + BLOCK])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(tuple.__eq__, self, other))

    __hash__ = None

    def column(self, name: str) -> np.ndarray:
        """One column of these rows, (n,), as `Columns` says."""
        return getattr(self.columns, name)[self.places]


def _made(columns: Columns, places: np.ndarray) -> list[Row]:
    values = {name: getattr(columns, name)[places] for name in COLUMNS}
    attacks = [columns.attacks[number] for number in values["attack"].tolist()]
    return [
        Row(picture, SETS[name], *attack, *rest)
        for picture, name, attack, *rest in zip(
            columns.names.of(values["picture"]),
            values["set"].tolist(),
            attacks,
            columns.marks.of(values["sha256"]),
            known(values["score"]),
            [None if number == NONE else columns.reasons[number] for number in values["reason"].tolist()],
            known(values["nfe"]),
            known(values["seconds"]),
            columns.marks.of(values["cluster"]),
            columns.names.of(values["near"]),
            strict=True,
        )
    ]


def known(values: np.ndarray) -> list[float | None]:
    """Numbers, None for NaN."""
    return [None if value != value else value for value in values.tolist()]


def stand_ins(rows: Sequence[Row]) -> Iterator[str]:
    """The digest of each row's picture; where it is not known, that of the picture's name stands in."""
    if not isinstance(rows, Rows):
        yield from (row.sha256 or _of_name(row.picture) for row in rows)
        return
    columns = rows.columns
    for start in range(0, len(rows), BLOCK):
        places = rows.places[start : start + BLOCK]
        for digest, place in zip(columns.marks.of(columns.sha256[places]), places, strict=True):
            yield digest or _of_name(columns.names.of(columns.picture[[place]])[0])


def _of_name(picture: str) -> str:
    return hashlib.sha256(picture.encode()).hexdigest()
