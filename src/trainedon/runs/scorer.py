"""What is done with one shard of pictures, wherever it is done: pictures in, rows of scores and what to show out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import pyarrow as pa

from trainedon.attacks import Attack, Judged, Progress
from trainedon.attacks.attack import silent
from trainedon.errors import PictureError, UserError
from trainedon.pictures import Batch, Entry, Item, Picture
from trainedon.pictures.picture import digest, unpack
from trainedon.pictures.rendering import DEFAULT, Rendering
from trainedon.runs.exhibits import Selection, Shown
from trainedon.targets import Target

SCHEMA = pa.schema(
    [
        ("picture", pa.string()),
        ("sha256", pa.string()),
        ("set", pa.string()),
        ("attack", pa.string()),
        ("attack_repr", pa.string()),
        ("score", pa.float64()),
        ("reason", pa.string()),
        ("nfe", pa.int64()),
        ("seconds", pa.float64()),
    ]
)
# A shard also holds what an attack that learns has observed, until all shards are there.
SHARD_SCHEMA = SCHEMA.append(pa.field("observed", pa.list_(pa.float64())))


@dataclass(frozen=True)
class Task:
    """One shard to score. entries: where to read each of its items. missing: the numbers of the attacks that have no
    scores of it yet. name: made of the pictures, so that a shard is known again. rendering: how pictures are read."""

    name: str
    items: tuple[Item, ...]
    entries: tuple[Entry, ...]
    missing: tuple[int, ...]
    rendering: Rendering = DEFAULT


@dataclass(frozen=True)
class Finished:
    """A shard as one attack scored it. name: of its task. number: of the attack. table: its rows, as SHARD_SCHEMA.
    shown: what is worth keeping for the eye, as far as the one who scored it knows."""

    name: str
    number: int
    table: pa.Table
    shown: tuple[Shown, ...] = ()


class Scorer:
    """The model and the attacks, ready for one shard after another.

    selection: which pictures are shown so far; what this scorer adds, it adds to its own.
    """

    def __init__(self, target: Target, attacks: Sequence[Attack], selection: Selection) -> None:
        self._target, self._attacks, self._selection = target, attacks, selection
        self._showing = next((number for number, attack in enumerate(attacks) if attack.shows), None)

    def __call__(self, task: Task, progress: Progress = silent) -> Iterator[Finished]:
        """One attack after another goes over the shard, and all over one shard before the next, so that the network is
        asked once where several ask the same. Raises UserError as `read_again` does.
        """
        batch = read_batch(self._target, task.items, task.entries, task.rendering)
        with self._target.sharing() if self._asks_again(task) else nullcontext():
            for number in task.missing:
                attack = self._attacks[number]
                attack.prepare(self._target, progress)
                table, judged = self._score(attack, task.items, batch)
                shown = self._show(attack, task.items, batch, judged) if number == self._showing else ()
                yield Finished(task.name, number, table, shown)

    def _asks_again(self, task: Task) -> bool:
        """Whether the network may be asked the same twice, so that keeping its answers is worth it."""
        return len(task.missing) > 1 or any(self._attacks[number].repeats for number in task.missing)

    def _score(self, attack: Attack, items: Sequence[Item], batch: Batch) -> tuple[pa.Table, Judged]:
        """Its rows, and what there is to show.

        The seconds are those that the attack alone would take: what an answer took that was known already is added.
        """
        began = time.perf_counter()
        with self._target.counted() as spent:
            judged = attack.judge(self._target, batch)
        seconds = (time.perf_counter() - began + spent.spared) / len(items)
        costs = {"nfe": spent.forward // len(items), "seconds": seconds}
        if attack.learns:
            rows = [row(i, attack, **costs) | {"observed": o} for i, o in zip(items, judged.scores, strict=True)]
        else:
            rows = [scored(i, attack, s, **costs) for i, s in zip(items, judged.scores.tolist(), strict=True)]
        return pa.Table.from_pylist(rows, schema=SHARD_SCHEMA), judged

    def _show(self, attack: Attack, items: Sequence[Item], batch: Batch, judged: Judged) -> tuple[Shown, ...]:
        """What there is to show of the pictures that are to be shown; passes for the eye alone are not counted."""
        places = [i for i, score in enumerate(judged.scores.tolist()) if math.isfinite(score)]
        wanted = self._selection.wanted([(str(items[i].sha256), items[i].set, float(judged.scores[i])) for i in places])
        chosen = [i for i in places if items[i].sha256 in wanted]
        if not chosen:
            return ()
        if judged.exhibits:
            found = tuple(judged.exhibits[i] for i in chosen)
        else:
            found = attack.show(self._target, batch.take(chosen))
        shown = tuple(
            Shown.of(items[i], attack.name, float(judged.scores[i]), exhibit)
            for i, exhibit in zip(chosen, found)  # an attack may have nothing to show
        )
        for one in shown:
            self._selection.add(one)
        self._selection.prune()
        return shown


def read_batch(
    target: Target, items: Sequence[Item], entries: Sequence[Entry], rendering: Rendering = DEFAULT
) -> Batch:
    """The pictures of some inventory rows at the target's size, with the rows' labels where all have one, and captions.

    Raises UserError as `read_again` does.
    """
    pictures = [read_again(item, entry, rendering) for item, entry in zip(items, entries, strict=True)]
    return Batch.from_pictures(pictures, target.picture[1:], target.picture[0], rendering)


def read_again(item: Item, entry: Entry, rendering: Rendering = DEFAULT) -> Picture:
    """The picture of an inventory row, whose label and caption are the row's.

    Raises UserError when it is no longer what it was when the inventory was taken.
    """
    try:
        data = entry.data()
        if digest(data) != item.sha256:
            raise UserError(f"{item.picture} changed during the run: start anew with another --out")
        return Picture(item.picture, item.sha256, *unpack(data, rendering), item.label, item.caption)
    except PictureError as error:
        raise UserError(f"{item.picture} could be read at first and cannot now ({error}): run again") from None


def scored(item: Item, attack: Attack, score: float, **costs: float) -> dict:
    """A row with a score, or with the reason why there is none."""
    answer = {"score": score} if math.isfinite(score) else {"reason": attack.unscored}
    return row(item, attack, **answer, **costs)


def row(
    item: Item,
    attack: Attack,
    *,
    score: float | None = None,
    reason: str | None = None,
    nfe: int = 0,
    seconds: float = 0.0,
) -> dict:
    """A row of SCHEMA."""
    return {
        "picture": item.picture,
        "sha256": item.sha256,
        "set": item.set,
        "attack": attack.name,
        "attack_repr": repr(attack),
        "score": score,
        "reason": reason,
        "nfe": nfe,
        "seconds": seconds,
    }
