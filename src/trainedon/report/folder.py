"""What a run folder holds, read into memory once for the page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainedon.errors import UserError

DOCUMENTS = {"audit": "audit.json", "evaluate": "evaluation.json"}
COLUMNS = ("picture", "sha256", "set", "attack", "attack_repr", "score", "reason", "nfe", "seconds")
HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Restored:
    """The evidence pictures of one picture, as paths that exist: `restored/<sha256[:16]>/`."""

    original: Path
    region: Path | None
    degraded: Path | None
    restorations: tuple[Path, ...]
    difference: Path | None
    shown: int | None  # which restoration `difference` belongs to, counted from 1, where the run says so


@dataclass(frozen=True)
class Attack:
    """The scores of one attack, one entry a picture in every column.

    scores: float64 (n,), higher = member, NaN where the picture was not scored (then `reasons` says why).
    """

    name: str
    repr: str
    pictures: tuple[str, ...]
    sha256: tuple[str | None, ...]
    sets: np.ndarray  # (n,) of str
    scores: np.ndarray
    reasons: tuple[str | None, ...]
    nfe: float | None  # mean a picture
    seconds: float | None  # mean a picture

    def rows(self, set_name: str) -> np.ndarray:
        """int64 row numbers of the scored pictures of one set."""
        return np.flatnonzero((self.sets == set_name) & np.isfinite(self.scores))

    def of(self, set_name: str) -> np.ndarray:
        """float64 (n,): the finite scores of one set, sorted upwards."""
        return np.sort(self.scores[self.rows(set_name)])

    @cached_property
    def unseen(self) -> np.ndarray:
        """float64 (n,): the scores that every other score is measured against, sorted upwards."""
        return self.of("unseen")


@dataclass(frozen=True)
class RunFolder:
    """One audit or evaluation as it lies on disk."""

    path: Path
    run: dict[str, Any]
    document: dict[str, Any]
    attacks: tuple[Attack, ...]  # in the order of the document; the first one leads the page
    inventory: tuple[dict[str, Any], ...]
    truth: dict[str, bool] | None

    @property
    def kind(self) -> str:
        """`audit` or `evaluate`."""
        return self.run["kind"]

    @property
    def asked(self) -> str:
        """The set that the question is about: `suspect` in an audit, `member` in an evaluation."""
        return "suspect" if self.kind == "audit" else "member"

    def restored(self, sha256: str | None) -> Restored | None:
        """The evidence pictures of one picture, or None where the run kept none."""
        if sha256 is None or not HEX.fullmatch(sha256):
            return None
        folder = self.path / "restored" / sha256[:16]
        original = _file(folder, "original.png")
        if original is None:
            return None
        numbered = (_file(folder, f"restored-{i}.png") for i in range(1, 100))
        evidence = _json(folder / "evidence.json") if _file(folder, "evidence.json") else {}
        return Restored(
            original=original,
            region=_file(folder, "region.png"),
            degraded=_file(folder, "degraded.png"),
            restorations=tuple(path for path in numbered if path),
            difference=_file(folder, "difference.png"),
            shown=evidence.get("difference_of"),
        )


def read(path: Path) -> RunFolder:
    """Read the run folder `path`. Raises UserError when it is not one, or lacks its statistics or scores."""
    if not path.is_dir():
        raise UserError(f"{path} is not a folder: give the folder that an audit or evaluation has written")
    run = _json(path / "run.json")
    if run.get("kind") not in DOCUMENTS:
        raise UserError(f"{path / 'run.json'} names no known kind of run: expected audit or evaluate")
    document = _json(path / DOCUMENTS[run["kind"]])
    scores = path / "scores.parquet"
    if not scores.is_file():
        raise UserError(f"{scores} is missing: run the same command again to finish the run")
    pictures = path / "pictures.parquet"
    return RunFolder(
        path=path,
        run=run,
        document=document,
        attacks=_attacks(_table(scores), _order(document)),
        inventory=tuple(_table(pictures).to_pylist()) if pictures.is_file() else (),
        truth=_json(path / "truth.json") if (path / "truth.json").is_file() else None,
    )


def _file(folder: Path, name: str) -> Path | None:
    path = folder / name
    return path if path.is_file() else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path} is missing: run the same command again to finish the run")
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): write it again with the command that made it") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: write it again with the command that made it")
    return value


def _table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is not a readable parquet file ({reason}): run the same command again") from None


def _order(document: dict[str, Any]) -> list[str]:
    return [attack.get("repr") or attack.get("name") or "" for attack in document.get("attacks") or []]


def _attacks(table: pa.Table, order: list[str]) -> tuple[Attack, ...]:
    missing = {"picture", "set", "score"} - set(table.column_names)
    if missing:
        raise UserError(f"scores.parquet lacks the columns {', '.join(sorted(missing))}: run the same command again")
    columns = {name: table[name].to_pylist() if name in table.column_names else None for name in COLUMNS}
    n = table.num_rows
    names = columns["attack"] or ["score"] * n
    keys = [key or name for key, name in zip(columns["attack_repr"] or [None] * n, names, strict=True)]
    groups: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)

    def place(key: str) -> int:
        name = names[groups[key][0]]
        return next((i for i, known in enumerate(order) if known in (key, name)), len(order))

    return tuple(_attack(key, groups[key], columns, names) for key in sorted(groups, key=place))


def _attack(key: str, rows: list[int], columns: dict[str, list | None], names: list[str]) -> Attack:
    def take(column: str) -> list:
        values = columns[column]
        return [None] * len(rows) if values is None else [values[row] for row in rows]

    def mean(column: str) -> float | None:
        known = [value for value in take(column) if value is not None]
        return float(np.mean(known)) if known else None

    return Attack(
        name=names[rows[0]],
        repr=key,
        pictures=tuple(take("picture")),
        sha256=tuple(take("sha256")),
        sets=np.array(take("set"), dtype=str),
        scores=np.array([np.nan if value is None else value for value in take("score")], dtype=np.float64),
        reasons=tuple(take("reason")),
        nfe=mean("nfe"),
        seconds=mean("seconds"),
    )
