"""The table of scores: one row a picture and attack, read from parquet, CSV or plain rows.

Only finite scores enter a statistic. Every other row is *not scored*: it is kept with its reason, and counted.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainedon.errors import UserError

SETS = ("suspect", "unseen", "member")
REQUIRED = ("picture", "set", "score")
OPTIONAL = ("sha256", "attack", "attack_repr", "reason", "nfe", "seconds", "cluster")
REASONS_LISTED = 20
NO_ROW = "the table of scores has no row for it"
DUPLICATE = ("exact duplicate of ", "also among the ")


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


@dataclass(frozen=True)
class Sample:
    """One set of pictures under one attack, sorted by picture.

    `rows` are scored and count, `score` is their float64 (n,), all finite. `copies` are scored and do not count, being
    near-duplicates of one that does. `unscored` rows have no score but a reason.
    """

    rows: tuple[Row, ...]
    unscored: tuple[Row, ...]
    copies: tuple[Row, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def score(self) -> np.ndarray:
        return np.array([row.score for row in self.rows], dtype=np.float64)


@dataclass(frozen=True)
class Scores:
    """All rows of a run, in the order of the table; the first row's attack is the first attack named."""

    rows: tuple[Row, ...]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, object]]) -> Scores:
        """Rows as mappings with the keys of `scores.parquet`; `picture`, `set` and `score` are required.

        Raises UserError for an unknown set, a score that is no number, or a picture that appears twice.
        """
        parsed = tuple(_row(row, number) for number, row in enumerate(rows, start=1))
        if not parsed:
            raise UserError("the table of scores has no rows; score some pictures first")
        (key, count) = Counter((row.set, row.attack, row.attack_repr, row.picture) for row in parsed).most_common(1)[0]
        if count > 1:
            raise UserError(f"picture {key[3]!r} has {count} rows in set {key[0]!r} for attack {key[2]!r}; keep one")
        return cls(parsed)

    @cached_property
    def attacks(self) -> tuple[AttackKey, ...]:
        """The attacks, in the order in which they first appear."""
        return tuple(dict.fromkeys(AttackKey(row.attack, row.attack_repr) for row in self.rows))

    @cached_property
    def _samples(self) -> dict[tuple[AttackKey, str], Sample]:
        groups: dict[tuple[AttackKey, str], list[Row]] = defaultdict(list)
        for row in sorted(self.rows, key=lambda row: row.picture):
            groups[AttackKey(row.attack, row.attack_repr), row.set].append(row)
        return {
            key: Sample(
                rows=tuple(row for row in group if row.score is not None and row.near is None),
                unscored=tuple(row for row in group if row.score is None),
                copies=tuple(row for row in group if row.score is not None and row.near is not None),
            )
            for key, group in groups.items()
        }

    def sample(self, attack: AttackKey, set_name: str) -> Sample:
        """The pictures of one set under one attack; empty when there are none."""
        return self._samples.get((attack, set_name), Sample((), ()))

    def of_sets(self, *sets: str) -> Scores:
        """The rows of the given sets alone."""
        return Scores(tuple(row for row in self.rows if row.set in sets))

    def require(self, *sets: str) -> None:
        """Raise UserError when one of the sets has no row at all."""
        present = {row.set for row in self.rows}
        for name in sets:
            if name not in present:
                raise UserError(f"the table of scores has no picture in set {name!r}; add rows of that set")


def count_reasons(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """How many unscored rows there are for each reason, the commonest first.

    Copies count as one reason, and what goes beyond the twenty commonest is summed up.
    """
    counts = Counter("duplicate" if is_duplicate(row.reason) else str(row.reason) for row in rows)
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(n for _, n in listed[REASONS_LISTED:])
    return listed[:REASONS_LISTED] + ([("other reasons", rest)] if rest else [])


def is_duplicate(reason: str | None) -> bool:
    """Whether a reason says that a picture was left out because its bytes were already counted."""
    return (reason or "").startswith(DUPLICATE)


def read_scores(path: str | Path) -> Scores:
    """Read `scores.parquet` (or the run folder that holds it) or a CSV.

    Columns: `picture, set, score`, and any of `sha256, attack, attack_repr, reason, nfe, seconds`; others are ignored.

    Raises UserError when the file cannot be read, a column is missing, a set is unknown, or a score is no number.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "scores.parquet"
    try:
        rows = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"there is no table of scores at {path}; give a run folder, scores.parquet or a CSV") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table of scores: {str(error).splitlines()[0]}") from None
    return Scores.from_rows(rows)


def _read_parquet(path: Path) -> list[dict[str, object]]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        _require(names, path)
        return file.read(columns=[name for name in (*REQUIRED, *OPTIONAL) if name in names]).to_pylist()


def _read_csv(path: Path) -> list[dict[str, object]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        _require(reader.fieldnames or [], path)
        return [{key: value for key, value in row.items() if key in (*REQUIRED, *OPTIONAL)} for row in reader]


def _require(names: Iterable[str], path: Path) -> None:
    missing = [name for name in REQUIRED if name not in set(names)]
    if missing:
        raise UserError(f"{path} lacks the column {', '.join(missing)}; a table of scores needs {', '.join(REQUIRED)}")


def _row(row: Mapping[str, object], number: int) -> Row:
    set_name, picture = as_text(row.get("set")), "" if row.get("picture") is None else str(row["picture"])
    if not picture.strip():
        raise UserError(f"row {number} of the scores names no picture; every row needs one")
    if set_name not in SETS:
        raise UserError(f"row {number} of the scores has the set {set_name!r}; use one of {', '.join(SETS)}")
    score, reason = _number(row.get("score"), "score", number), as_text(row.get("reason"))
    if score is None:
        reason = reason or "no score was given"
    elif not math.isfinite(score):
        reason = reason or ("the score is not a number" if math.isnan(score) else "the score is infinite")
        score = None
    else:
        reason = None
    attack = as_text(row.get("attack")) or "unnamed"
    costs = [_number(row.get(name), name, number) for name in ("nfe", "seconds")]
    nfe, seconds = (cost if cost is not None and math.isfinite(cost) else None for cost in costs)
    sha256 = as_text(row.get("sha256"))
    name = as_text(row.get("attack_repr")) or attack
    sha256 = sha256.lower() if sha256 else None
    return Row(picture, set_name, attack, name, sha256, score, reason, nfe, seconds, as_text(row.get("cluster")))


def as_text(value: object) -> str | None:
    return None if value is None else str(value).strip() or None


def _number(value: object, column: str, number: int) -> float | None:
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "null", "none", "na", "n/a")):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(f"row {number} of the scores has the {column} {value!r}, which is not a number") from None
