"""Execute a run: pictures in shards, each shard's scores written whole, by whichever engine scores them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainedon import run_files
from trainedon.attacks import Attack, Progress
from trainedon.errors import UserError
from trainedon.formats.arrow_schemas import SCORES, ScoreRow, written
from trainedon.parquet import Reader, opened
from trainedon.pictures import Entry, Item
from trainedon.pictures.examining import Examination
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering
from trainedon.pictures.worker_processes import WorkerProcesses
from trainedon.runs.scoring import unfinished as parts
from trainedon.runs.scoring.exhibit_files import Exhibits, Selection
from trainedon.runs.scoring.scorer import Finished, Scorer, Task, row, scored
from trainedon.runs.scoring.shard_files import is_complete, read_shard, save_shard, shard_path
from trainedon.targets import Pace, Target
from trainedon.targets.core.pace import INTERVAL, Clock

SHARD = 64
MERGED = 128  # shards that become one row group of the table


class Keep(Protocol):
    """What is done with each file that a later run can go on from."""

    def __call__(self, path: Path, sent: bool = False) -> None:
        """sent: whether a worker has put the file into the store that the run folder stands for."""


def forget(path: Path, sent: bool = False) -> None:
    """The default for `keep`: finished files are copied nowhere."""


class Engine(Protocol):
    """Who examines the pictures and scores the shards: these in any order, in this process or elsewhere."""

    def score(
        self, target: Target, attacks: Sequence[Attack], tasks: Iterable[Task], selection: Selection, progress: Progress
    ) -> Iterator[Finished]:
        """What `Scorer` gives for every task, as it comes. selection: what is shown so far.

        Raises UserError as `Scorer` does.
        """
        ...

    def examined(self, chunks: Iterable[Sequence[Entry]], examine: Examination) -> Iterator[Iterable[Item]]:
        """See `Examiners`: before anything is scored, the inventory is taken."""
        ...


@dataclass(frozen=True)
class Local:
    """This process, one shard after another. interval: seconds after which what is done of a shard is kept, measured
    by `clock`. workers: processes that take the inventory; None: one a core."""

    interval: float = INTERVAL
    clock: Clock = time.monotonic
    workers: int | None = None

    def examined(self, chunks: Iterable[Sequence[Entry]], examine: Examination) -> Iterator[Iterable[Item]]:
        return WorkerProcesses(self.workers).examined(chunks, examine)

    def score(
        self, target: Target, attacks: Sequence[Attack], tasks: Iterable[Task], selection: Selection, progress: Progress
    ) -> Iterator[Finished]:
        scorer = Scorer(target, attacks, selection, Pace(self.interval, self.clock))
        try:
            for task in tasks:
                yield from scorer(task, progress)
        finally:
            target.batching.pace = None


def score_all(
    target: Target,
    attacks: Sequence[Attack],
    texts: Sequence[str],
    items: Sequence[Item],
    entries: Sequence[Entry],
    out: Path,
    progress: Progress,
    engine: Engine | None = None,
    keep: Keep = forget,
    rendering: Rendering = DEFAULT,
) -> None:
    """Score every usable picture by every attack into `out/scores.parquet`.

    texts: by which the attacks are known there: their `repr`, or what an earlier version wrote in its place. entries:
    where to read each item. rendering: how. keep: called with each file of a shard that is finished, or of a part of
    it. What is there already, and whole, is not done again, neither shards nor attacks that the table has. The first
    attack that can show what it saw fills `out/restored`.
    """
    in_table = _in_table(out / run_files.SCORES)
    if in_table >= {*texts}:
        return
    shards = _shards(items)
    where = partial(_path, out, attacks)
    unscored = [number for number, text in enumerate(texts) if text not in in_table]
    for number in unscored:
        where(number, "").parent.mkdir(parents=True, exist_ok=True)
    todo = [
        (places, name, missing)
        for places, name in shards
        if (missing := tuple(n for n in unscored if not is_complete(where(n, name), len(places))))
    ]
    total = sum(len(places) for places, _ in shards)
    advance = partial(_advance, attacks, total, progress)
    done = _counts(len(attacks), shards, todo)
    advance(done)
    exhibits = Exhibits(out / run_files.RESTORED)
    tasks = (
        Task(
            name,
            tuple(items[i] for i in places),
            tuple(entries[i] for i in places),
            missing,
            rendering,
            tuple(parts.load(where(number, name).parent, name, len(places)) for number in missing),
            tuple(done),
            total,
            out / run_files.SHARDS,
        )
        for places, name, missing in todo
    )
    for finished in (engine or Local()).score(target, attacks, tasks, Selection(exhibits.selection), progress):
        for path in exhibits.add(finished.shown):
            keep(path)
        shard = where(finished.number, finished.name)
        if finished.part is not None:
            keep(finished.part.save(shard.parent, finished.name))
        if finished.table is not None:  # in a store it is safe already
            save_shard(finished.table, shard, synced=not finished.sent)
        if not finished.rows:
            continue
        keep(shard, finished.sent)
        parts.clear(shard.parent, finished.name)
        done[finished.number] += finished.rows
        advance(done)
    _merge(attacks, texts, in_table, items, [name for _, name in shards], out, progress)


def keep_only(path: Path, texts: Collection[str]) -> bool:
    """Leave the table of scores with the rows of these attacks, in their order. Returns whether it had others."""
    if _in_table(path) <= {*texts}:
        return False
    with written(path, SCORES) as writer, _opened_table(path) as file:
        for batch in file.batches(SCORES.names):
            kept = pa.Table.from_batches([batch]).filter(pc.field("attack_repr").isin([*texts]))
            writer.write_table(kept.cast(SCORES))
    return True


def _shards(items: Sequence[Item]) -> list[tuple[range | list[int], str]]:
    """Places of the usable items of each shard, and its name: the digest of what is scored in it."""
    usable = [i for i, item in enumerate(items) if item.reason is None]
    parts = [usable[start : start + SHARD] for start in range(0, len(usable), SHARD)]
    return [(part, _name([items[i] for i in part])) for part in parts]


def _name(items: Sequence[Item]) -> str:
    told = [f"{item.set} {item.picture} {item.sha256} {item.label}" for item in items]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


def _counts(
    attacks: int,
    shards: Sequence[tuple[Sequence[int], str]],
    todo: Sequence[tuple[Sequence[int], str, Sequence[int]]],
) -> list[int]:
    """How many pictures each attack has scored already."""
    every = sum(len(places) for places, _ in shards)
    return [every - sum(len(places) for places, _, missing in todo if number in missing) for number in range(attacks)]


def _advance(attacks: Sequence[Attack], total: int, progress: Progress, done: Sequence[int]) -> None:
    for attack, count in zip(attacks, done, strict=True):
        progress(attack.stage, count, total)


def _merge(
    attacks: Sequence[Attack],
    texts: Sequence[str],
    in_table: Collection[str],
    items: Sequence[Item],
    names: Sequence[str],
    out: Path,
    progress: Progress,
) -> None:
    """All shards, and the pictures that were not scored, in the order of attacks and inventory. Of attacks that the
    table has already the rows that it has."""
    with written(out / run_files.SCORES, SCORES) as writer:
        for number, (attack, text) in enumerate(zip(attacks, texts, strict=True)):
            if text in in_table:
                for table in _rows_of(out / run_files.SCORES, text):
                    writer.write_table(table)
                continue
            paths = [_path(out, attacks, number, name) for name in names]
            if attack.learns:
                progress(f"{attack.stage}, learning", 0, 1)
                rows = _concluded(attack, items, [read_shard(path) for path in paths])
                writer.write_table(_under(text, pa.Table.from_pylist(rows, schema=SCORES)))
                progress(f"{attack.stage}, learning", 1, 1)
            else:
                for start in range(0, len(paths), MERGED):
                    tables = [read_shard(path) for path in paths[start : start + MERGED]]
                    table = pa.concat_tables(tables).select(SCORES.names).combine_chunks()
                    writer.write_table(_under(text, table))
            excluded = (row(item, attack, reason=item.reason) for item in items if item.reason is not None)
            for rows in _blocks(excluded, SHARD * MERGED):
                writer.write_table(_under(text, pa.Table.from_pylist(rows, schema=SCORES)))


def _in_table(path: Path) -> set[str]:
    """The texts of the attacks that the table of scores has, if there is one: a run that attacks are added to."""
    if not path.exists():
        return set()
    with _opened_table(path) as file:
        return {text for batch in file.batches(["attack_repr"]) for text in batch.column(0).unique().to_pylist()}


def _rows_of(path: Path, text: str) -> Iterator[pa.Table]:
    with _opened_table(path) as file:
        for batch in file.batches(SCORES.names):
            yield pa.Table.from_batches([batch]).filter(pc.field("attack_repr") == text).cast(SCORES)


@contextmanager
def _opened_table(path: Path) -> Iterator[Reader]:
    try:
        with opened(path) as file:
            yield file
    except (OSError, ValueError, KeyError, pa.ArrowException):
        raise UserError(f"{path} is damaged: choose another --out") from None


def _under(text: str, table: pa.Table) -> pa.Table:
    """Rows of SCORES under the text by which the run knows the attack, which shards of another version have not."""
    place = SCORES.get_field_index("attack_repr")
    return table.set_column(place, SCORES.field(place), pa.repeat(pa.scalar(text), len(table)))


def _blocks(rows: Iterator[ScoreRow], size: int) -> Iterator[list[ScoreRow]]:
    while block := [one for _, one in zip(range(size), rows)]:
        yield block


def _concluded(attack: Attack, items: Sequence[Item], shards: Sequence[pa.Table]) -> list[ScoreRow]:
    """The rows of an attack that learns, from what it has observed of all pictures."""
    usable = [item for item in items if item.reason is None]
    table = pa.concat_tables(shards)
    observed = np.stack(table["observed"].combine_chunks().to_numpy(zero_copy_only=False))
    began = time.perf_counter()
    scores = attack.conclude(observed, [item.set for item in usable], [str(item.sha256) for item in usable])
    learning = (time.perf_counter() - began) / len(usable)
    costs = zip(table["nfe"].to_pylist(), table["seconds"].to_pylist(), strict=True)
    return [
        scored(item, attack, score, nfe=nfe, seconds=seconds + learning)
        for item, score, (nfe, seconds) in zip(usable, scores.tolist(), costs, strict=True)
    ]


def _path(out: Path, attacks: Sequence[Attack], number: int, name: str) -> Path:
    return shard_path(out / run_files.SHARDS, number, attacks[number], name)
