"""The table of scores: one row a picture and attack, read from parquet, CSV or plain rows.

Only finite scores enter a statistic. Every other row is *not scored*: it is kept with its reason, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.evidence.table.builder import NUMBERS, ColumnsBuilder
from trainedon.evidence.table.codes import MISSING, Codes
from trainedon.evidence.table.memory import release_unused
from trainedon.evidence.table.rows import SETS, AttackKey, Column, Columns, Floats, Indices, Rows
from trainedon.evidence.table.sheet import known_columns, read_sheet
from trainedon.parquet import opened
from trainedon.reading import open_regular

REQUIRED = ("picture", "set", "score")
OPTIONAL = ("sha256", "attack", "attack_repr", "reason", "nfe", "seconds", "cluster", "source")
REASONS_LISTED = 20
PART = 512  # rows that are objects at once
NO_ROW = "the table of scores has no row for it"
DUPLICATE = ("exact duplicate of ", "also among the ")


@dataclass(frozen=True)
class Sample:
    """One set of pictures under one attack, sorted by picture.

    `rows` are scored and count, `score` is their float64 (n,), all finite. `copies` are scored and do not count, being
    near-duplicates of one that does. `unscored` rows have no score but a reason.
    """

    rows: Rows
    unscored: Rows
    copies: Rows

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def score(self) -> Floats:
        return self.rows.column("score")

    @property
    def picture(self) -> Codes:
        """Which pictures, int32 (n,), ascending: the codes of their names, alike in all samples of one table."""
        return self.rows.column("picture")


@dataclass(frozen=True, eq=False)
class Scores:
    """All rows of a run, in the order of the table; the first row's attack is the first attack named."""

    columns: Columns

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, object]]) -> Scores:
        """Rows as mappings with the keys of `scores.parquet`; `picture`, `set` and `score` are required.

        Raises UserError for an unknown set, a score that is no number, or a picture that appears twice.
        """
        builder, left = ColumnsBuilder(), iter(rows)
        while part := [*islice(left, PART)]:
            builder.add(part)
        if not builder.n:
            raise UserError("the table of scores has no rows; score some pictures first")
        columns = builder.build()
        _check_once(columns)
        return cls(columns)

    @classmethod
    def from_arrays(
        cls,
        *,
        suspect: ArrayLike | None = None,
        member: ArrayLike | None = None,
        unseen: ArrayLike | None = None,
        attack: str = "score",
    ) -> Scores:
        """The scores of one attack by set, float (n,) each, higher = member; one that is not finite counts as missing.

        A picture is called by its set and its place. Raises UserError for an array of another shape, or of no numbers.
        """
        sets = {"suspect": suspect, "member": member, "unseen": unseen}
        return cls.from_rows(
            {"picture": f"{name} {place}", "set": name, "attack": attack, "score": score}
            for name, scores in sets.items()
            if scores is not None
            for place, score in enumerate(_numbers(name, scores))
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scores) and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def rows(self) -> Rows:
        """Every row, made when it is asked for."""
        return Rows(self.columns, np.arange(len(self)))

    @cached_property
    def attacks(self) -> tuple[AttackKey, ...]:
        """The attacks, in the order in which they first appear."""
        return tuple(self.columns.attacks[code] for code in self._attack_codes)

    @cached_property
    def _attack_codes(self) -> list[int]:
        codes, first = np.unique(self.columns.attack, return_index=True)
        return [int(code) for code in codes[np.argsort(first)]]

    def of_attack(self, attack: AttackKey) -> Rows:
        """The rows of one attack, in the order of the table."""
        code = self._attack_codes[self.attacks.index(attack)]
        return Rows(self.columns, np.flatnonzero(self.columns.attack == code))

    @cached_property
    def _in_order(self) -> tuple[Indices, Column]:
        """Indices of all rows by attack, set and picture, and the group (attack and set) of each of them."""
        columns = self.columns
        order = np.lexsort((columns.picture, columns.set, columns.attack)).astype(np.int32)
        return order, _group(columns)[order]

    def sample(self, attack: AttackKey, set_name: str) -> Sample:
        """The pictures of one set under one attack; empty when there are none."""
        columns = self.columns
        indices: Indices = np.empty(0, np.int32)
        if attack in self.attacks:
            order, group = self._in_order
            asked = self._attack_codes[self.attacks.index(attack)] * len(SETS) + SETS.index(set_name)
            indices = order[slice(*np.searchsorted(group, [asked, asked + 1]))]
        scored, near = np.isfinite(columns.score[indices]), columns.near[indices] != MISSING
        parts = (indices[which] for which in (scored & ~near, ~scored, scored & near))
        return Sample(*(Rows(columns, part) for part in parts))

    def of_sets(self, *sets: str) -> Scores:
        """The rows of the given sets alone."""
        among = np.isin(self.columns.set, [SETS.index(name) for name in sets])
        return self if among.all() else Scores(self.columns.take(among))

    def without(self, reprs: Container[str]) -> Scores:
        """All rows but those of attacks with one of these reprs."""
        left = [code for code, key in enumerate(self.columns.attacks) if key.repr not in reprs]
        kept = np.isin(self.columns.attack, left)
        return self if kept.all() else Scores(self.columns.take(kept))

    def has(self, set_name: str) -> bool:
        """Whether there is any row of a set."""
        return bool((self.columns.set == SETS.index(set_name)).any())

    def require(self, *sets: str) -> None:
        """Raise UserError when one of the sets has no row at all."""
        for name in sets:
            if not self.has(name):
                raise UserError(f"the table of scores has no picture in set {name!r}; add rows of that set")


def _numbers(name: str, scores: ArrayLike) -> list[float]:
    try:
        array = np.asarray(scores, np.float64)
    except (TypeError, ValueError):
        raise UserError(f"the scores of set {name!r} are not all numbers: give an array of floats") from None
    if array.ndim != 1:
        raise UserError(f"the scores of set {name!r} have shape {array.shape}: give one number a picture, (n,)")
    return [float(score) for score in array]


def _group(columns: Columns) -> Codes:
    """int32 (n,): one number for each attack and set."""
    return columns.attack * len(SETS) + columns.set


def _check_once(columns: Columns) -> None:
    """Raise UserError where a picture has more than one row in one set for one attack: it names that with the most."""
    key = _group(columns).astype(np.int64) * len(columns.names) + columns.picture
    ordered = np.sort(key)
    if not (ordered[1:] == ordered[:-1]).any():
        return
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    index, most = int(first[count == count.max()].min()), int(count.max())
    row = Rows(columns, np.arange(len(columns)))[index]
    raise UserError(
        f"picture {row.picture!r} has {most} rows in set {row.set!r} for attack {row.attack_repr!r} "
        f"(the first is row {index + 1}); keep one"
    )


def count_reasons(rows: Rows) -> list[tuple[str, int]]:
    """How many unscored rows there are for each reason, the commonest first.

    Copies count as one reason, and what goes beyond the twenty commonest is summed up.
    """
    counts: Counter[str] = Counter()
    for code, n in zip(*(part.tolist() for part in np.unique(rows.column("reason"), return_counts=True)), strict=True):
        reason = str(None) if code == MISSING else rows.columns.reasons[code]
        counts["duplicate" if is_duplicate(reason) else reason] += n
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(n for _, n in listed[REASONS_LISTED:])
    return listed[:REASONS_LISTED] + ([("other reasons", rest)] if rest else [])


def is_duplicate(reason: str | None) -> bool:
    """Whether a reason says that a picture was left out because its bytes were already counted."""
    return (reason or "").startswith(DUPLICATE)


def read_scores(path: str | Path) -> Scores:
    """Read `scores.parquet` (or the run folder that holds it), another parquet file, or a text table (CSV and its kin).

    Columns: `picture, set, score`, and any of OPTIONAL, in capitals or not; others are ignored.

    Raises UserError when the file cannot be read, a column is missing, a set is unknown, a score is no number, or rows
    or numbers could be read in two ways.
    """
    path = Path(path)
    if path.is_dir():
        path = path / run_files.SCORES
    try:
        if _is_parquet(path):
            scores = Scores.from_rows(_parquet_rows(path))
        else:
            scores = Scores.from_rows(read_sheet(path, (*REQUIRED, *OPTIONAL), REQUIRED, NUMBERS))
    except FileNotFoundError:
        raise UserError(f"there is no table of scores at {path}; give a run folder, scores.parquet or a CSV") from None
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:  # as of a text, or a day, that is none
        raise UserError(f"{path} cannot be read as a table of scores: {str(error).splitlines()[0]}") from None
    release_unused()
    return scores


def _is_parquet(path: Path) -> bool:
    with open_regular(path) as file:
        return file.read(4) == b"PAR1" or path.suffix.lower() == ".parquet"


def _parquet_rows(path: Path) -> Iterator[Mapping[str, object]]:
    with opened(path) as file:
        names = file.names
        columns = {names[at]: name for name, at in known_columns(names, (*REQUIRED, *OPTIONAL), REQUIRED, path).items()}
        for batch in file.batches(list(columns)):
            batch = batch.rename_columns([columns[name] for name in batch.schema.names])
            for start in range(0, len(batch), PART):
                yield from batch.slice(start, PART).to_pylist()
