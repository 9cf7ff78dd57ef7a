"""Partial shards: files with some rows of a shard each, written while it is being scored, removed when it is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from trainedon.errors import UserError
from trainedon.formats.arrow_schemas import PART_SCORES, written
from trainedon.parquet import opened

SUFFIX = ".part"


@dataclass(frozen=True)
class PartialShard:
    """Some rows of a shard as one attack scored them. places: in the shard, of each row. answers: float64 (m,), or
    (m, d) of an attack that learns. forward: passes, and seconds, of all of them together."""

    places: tuple[int, ...]
    answers: np.ndarray
    forward: int
    seconds: float

    @classmethod
    def joined(cls, parts: Sequence[PartialShard]) -> PartialShard:
        """One of all, in the order of places."""
        places = [place for part in parts for place in part.places]
        order = np.argsort(places)
        answers = np.concatenate([part.answers for part in parts])[order]
        forward, seconds = sum(part.forward for part in parts), sum(part.seconds for part in parts)
        return cls(tuple(sorted(places)), answers, forward, seconds)

    def save(self, folder: Path, name: str) -> Path:
        """Write it, whole or not at all, beside the shard of that name."""
        path = folder / f"{name}.{self.places[0]:02d}{SUFFIX}"
        facts = {"forward": str(self.forward), "seconds": repr(self.seconds), "shape": str(self.answers.ndim)}
        rows = self.answers.reshape(len(self.places), -1).tolist()
        columns = {"place": self.places, "answer": rows}
        schema = PART_SCORES.with_metadata(facts)
        with written(path, schema) as writer:
            writer.write_table(pa.table(columns, schema=schema))
        return path


def load(folder: Path, name: str, rows: int) -> tuple[PartialShard, ...]:
    """The parts of a shard of so many rows. A file that is damaged, or has what another one has, is removed."""
    found: list[PartialShard] = []
    have: set[int] = set()
    for path in _files(folder, name):
        part = _read(path)
        if part is None or have & set(part.places) or not {*part.places} <= {*range(rows)}:
            path.unlink()
            continue
        have |= set(part.places)
        found.append(part)
    return tuple(found)


def clear(folder: Path, name: str) -> None:
    """Remove the parts of a shard that is whole."""
    for path in _files(folder, name):
        path.unlink()


def _files(folder: Path, name: str) -> Iterable[Path]:
    return sorted(path for path in folder.glob(f"{name}.*{SUFFIX}") if path.is_symlink() or not path.is_dir())


def _read(path: Path) -> PartialShard | None:
    try:
        with opened(path) as file:
            table = file.table(PART_SCORES)
        facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        answers = np.array(table["answer"].to_pylist(), dtype=np.float64)
        answers = answers[:, 0] if facts["shape"] == "1" else answers
        places = tuple(table["place"].to_pylist())
        if not places or len({*places}) < len(places):
            return None
        return PartialShard(places, answers, int(facts["forward"]), float(facts["seconds"]))
    except (OSError, UserError, pa.ArrowException, KeyError, ValueError, IndexError):
        return None
