"""What is done with one shard of pictures, wherever it is done: pictures in, rows of scores and what to show out."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from trainedon.attacks import Attack, Exhibit, Progress, Scored
from trainedon.attacks.core.answers import silent
from trainedon.attacks.core.execute import run, run_in_chunks
from trainedon.attacks.drc.drc_paint_2 import painted_back
from trainedon.attacks.drc.exhibits import beside_view, turned_back
from trainedon.attacks.drc.guesses import beside_guesses, guessing
from trainedon.errors import PictureError, UserError
from trainedon.formats.arrow_schemas import SHARD_SCORES, ScoreRow
from trainedon.pictures import Batch, Entry, Item, Picture
from trainedon.pictures.pixels.picture import digest, unpack
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering
from trainedon.runs.scoring.exhibit_files import Selection, Shown
from trainedon.runs.scoring.outlook import Outlook
from trainedon.runs.scoring.painting import painted_view, painting_cost, showing
from trainedon.runs.scoring.unfinished import PartialShard
from trainedon.runs.scoring.within_batches import told_within
from trainedon.targets import Evaluations, Journal, Pace, Symmetric, Target
from trainedon.targets.core.journal import worthwhile
from trainedon.targets.networks.footprint import fit_gradients

log = logging.getLogger("trainedon")

PAINTING = "painting pictures for the page"


@dataclass(frozen=True)
class Task:
    """One shard to score. entries: where to read each of its items. missing: the numbers of the attacks that have no
    scores of it yet. name: made of the pictures, so that a shard is known again. rendering: how pictures are read.
    parts: for each of `missing`, what is there already. done, total: how many pictures each attack of the run has
    scored before, of how many; for progress. shards: the run's folder of them; None: nothing is kept on the way."""

    name: str
    items: tuple[Item, ...]
    entries: tuple[Entry, ...]
    missing: tuple[int, ...]
    rendering: Rendering = DEFAULT
    parts: tuple[tuple[PartialShard, ...], ...] = ()
    done: tuple[int, ...] = ()
    total: int = 0
    shards: Path | None = None

    @property
    def answers(self) -> Path | None:
        """A file for what the network has answered, where it is so slow that this is worth keeping."""
        return None if self.shards is None else self.shards / f"{self.name}.answers"

    def scored_before(self, number: int) -> tuple[PartialShard, ...]:
        """What an attack has scored of it already."""
        return self.parts[self.missing.index(number)] if self.parts else ()


@dataclass(frozen=True)
class Finished:
    """A shard as one attack scored it. name: of its task. number: of the attack. table: its rows, as SHARD_SCORES; None
    while it is not done, and then `part` has some of them, or None; and None where a worker has written them. rows: how
    many there are of a shard that is done. sent: whether the table was put into the store of the run, too. shown: what
    is worth keeping for the eye, as far as the one who scored it knows."""

    name: str
    number: int
    table: pa.Table | None = None
    shown: tuple[Shown, ...] = ()
    part: PartialShard | None = None
    rows: int = 0
    sent: bool = False


class Scorer:
    """The model and the attacks, ready for one shard after another.

    selection: which pictures are shown so far; what this scorer adds, it adds to its own. pace: when what is finished
    of a shard is handed over before all of it is; None for whole shards alone.
    """

    def __init__(
        self, target: Target, attacks: Sequence[Attack], selection: Selection, pace: Pace | None = None
    ) -> None:
        self._target, self._attacks, self._selection, self._pace = target, attacks, selection, pace
        self._showing = showing(attacks)
        self._outlook = Outlook(target, attacks, said=pace is None)  # of a worker among several, nobody could say
        target.batching.pace = pace

    def __call__(self, task: Task, progress: Progress = silent) -> Iterator[Finished]:
        """One attack after another goes over the shard, and all over one shard before the next, so that the network is
        asked once where several ask the same. Raises UserError as `read_again` does.
        """
        batch = read_batch(self._target, task.items, task.entries, task.rendering, views_of(self._attacks))
        journal = self._journal(task)
        with self._target.sharing(journal) if journal or self._asks_again(task) else nullcontext():
            for number in task.missing:
                self._attacks[number].prepare(self._target, progress)
                yield from self._score(task, number, batch, progress)
        if journal:
            journal.clear()

    def _journal(self, task: Task) -> Journal | None:
        """Where the network's answers are kept; on a processor, whose rows give the same answers in any batch."""
        if task.answers is None or self._pace is None or not self._target.adapts:
            return None
        there = task.answers.exists()  # of a process that was slow
        return Journal(task.answers, self._pace) if there or worthwhile(self._pace) else None

    def _asks_again(self, task: Task) -> bool:
        """Whether the network may be asked the same twice, so that keeping its answers is worth it."""
        return len(task.missing) > 1 or any(self._attacks[number].repeats for number in task.missing)

    def _score(self, task: Task, number: int, batch: Batch, progress: Progress) -> Iterator[Finished]:
        """The rows that are missing, and what there is to show; now and then what is done of it."""
        attack, parts, fresh = self._attacks[number], list(task.scored_before(number)), _Fresh()
        scored_before = {place for part in parts for place in part.places}
        left = [place for place in range(len(batch)) if place not in scored_before]
        for judged, spent in self._judged(task, number, batch, left, progress) if left else ():
            kinds = len({item.set for item in task.items})
            now = len(batch) - len(left) + len(judged.scores)
            self._outlook.tell(task.done, [task.total // kinds] * kinds, number, now, spent)
            fresh.add(left[: len(judged.scores)], judged, spent)
            left = left[len(judged.scores) :]
            if left and self._pace is not None and self._pace.due:
                parts.append(fresh.part())
                yield Finished(task.name, number, None, self._show(task, number, fresh), parts[-1])
                self._pace.mark_saved()
                fresh = _Fresh()
        if fresh.places:
            parts.append(fresh.part())
        shard = PartialShard.joined(parts)
        shown = self._show(task, number, fresh)
        yield from self._show_apart(task, number, batch, shard, progress)
        yield Finished(task.name, number, _table(attack, task.items, shard), shown, rows=len(task.items))
        if self._pace is not None:
            self._pace.mark_saved()

    def _judged(
        self, task: Task, number: int, batch: Batch, places: Sequence[int], progress: Progress
    ) -> Iterator[tuple[Scored, Evaluations]]:
        """The attack's answers, chunk by chunk, and what each took: `spared` are the seconds that the attack alone
        would take, so what an answer took that was known already is added."""
        attack, target = self._attacks[number], self._target
        chunks = run_in_chunks(attack, target, batch.take(places))
        before = task.done[number] + len(batch) - len(places) if task.done else 0

        def tell(done: float) -> None:
            progress(attack.stage, before + done, task.total)

        with told_within(target, self._pace if task.total else None, attack.cost(target), len(places), tell):
            while True:
                began = time.perf_counter()
                with target.counted() as spent:
                    judged = next(chunks, None)
                if judged is None:
                    return
                spent.spared += time.perf_counter() - began
                yield judged, spent

    def _show(self, task: Task, number: int, fresh: _Fresh) -> tuple[Shown, ...]:
        """What came with the scores, of the pictures that are to be shown."""
        if number != self._showing or not fresh.exhibits:
            return ()
        answers = dict(zip(fresh.places, zip(fresh.scores(), fresh.exhibits, strict=True), strict=True))
        chosen = self._chosen(task.items, {place: score for place, (score, _) in answers.items()})
        return self._selected(task, number, [(place, *answers[place]) for place in chosen])

    def _show_apart(
        self, task: Task, number: int, batch: Batch, shard: PartialShard, progress: Progress
    ) -> Iterator[Finished]:
        """Of an attack that noises whole pictures, which come back much as they were, what is made for the eye alone
        once all scores are there; these passes are not counted. In several parts where all of it takes long."""
        attack = self._attacks[number]
        if number != self._showing or attack.shown_as != "noised":
            return
        cost = painting_cost(self._target, attack)
        try:
            if cost.backward:
                fit_gradients(self._target)
        except UserError as error:  # the scores are there, and a page without pictures is better than none
            log.warning("no pictures are painted for the page: %s", error)
            return
        exhibitor, guesser = painted_back(self._target, getattr(attack, "seed", 0)), guessing(attack)
        scores = dict(zip(shard.places, shard.answers.tolist(), strict=True))
        chosen = [p for p in self._chosen(task.items, scores) if not self._selection.has(str(task.items[p].sha256))]
        total, view = len(chosen), painted_view(self._target, attack)
        while chosen:
            before = total - len(chosen)
            progress(PAINTING, before, total)
            size = len(chosen)
            if self._pace is not None and self._target.adapts:
                within = self._pace.within(cost.forward + 2 * cost.backward)
                size = int(min(size, max(self._target.batching.least, within)))
            now, chosen = chosen[:size], chosen[size:]
            tell = partial(_tell_painting, progress, before, total)
            with told_within(self._target, self._pace, cost, size, tell):
                found = run(exhibitor, self._target, batch.take(now)).exhibits
                if view is not None:
                    there = run(exhibitor, Symmetric.of(self._target, view), batch.take(now)).exhibits
                    null = attack.null_view
                    found = turned_back(found, there) if null is None else beside_view(found, there, null)
                if guesser is not None:
                    found = beside_guesses(found, run(guesser, self._target, batch.take(now)).exhibits)
            told = [(p, scores[p], exhibit) for p, exhibit in zip(now, found, strict=True)]
            shown = self._selected(task, number, told)
            yield Finished(task.name, number, shown=shown)
        if total:
            progress(PAINTING, total, total)

    def _chosen(self, items: Sequence[Item], scores: Mapping[int, float]) -> list[int]:
        """Places of the pictures that are to be shown, of those that have scores."""
        places = [place for place, score in scores.items() if math.isfinite(score)]
        wanted = self._selection.wanted([(str(items[p].sha256), items[p].set, float(scores[p])) for p in places])
        return [place for place in places if items[place].sha256 in wanted]

    def _selected(self, task: Task, number: int, told: Iterable[tuple[int, float, Exhibit]]) -> tuple[Shown, ...]:
        name = self._attacks[number].filed
        shown = tuple(Shown.of(task.items[place], name, float(score), exhibit) for place, score, exhibit in told)
        for one in shown:
            self._selection.add(one)
        self._selection.prune()
        return shown


def _tell_painting(progress: Progress, before: int, total: int, done: float) -> None:
    progress(PAINTING, before + done, total)


class _Fresh:
    """What was scored since something was kept."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.exhibits: list[Exhibit] = []
        self._answers: list[np.ndarray] = []
        self._forward, self._seconds = 0, 0.0

    def add(self, places: Sequence[int], judged: Scored, spent: Evaluations) -> None:
        self.places += places
        self.exhibits += judged.exhibits
        self._answers.append(judged.scores)
        self._forward, self._seconds = self._forward + spent.forward, self._seconds + spent.spared

    def scores(self) -> list[float]:
        answers: list[float] = np.concatenate(self._answers).tolist()
        return answers

    def part(self) -> PartialShard:
        return PartialShard(tuple(self.places), np.concatenate(self._answers), self._forward, self._seconds)


def _table(attack: Attack, items: Sequence[Item], shard: PartialShard) -> pa.Table:
    """The rows of a whole shard; passes and seconds are the mean over its pictures."""
    nfe, seconds = shard.forward // len(items), shard.seconds / len(items)
    rows: list[ScoreRow] = []
    for item, answer in zip(items, shard.answers, strict=True):
        if attack.learns:
            rows.append({**row(item, attack, nfe=nfe, seconds=seconds), "observed": answer})
        else:
            rows.append(scored(item, attack, float(answer), nfe=nfe, seconds=seconds))
    return pa.Table.from_pylist(rows, schema=SHARD_SCORES)


def read_batch(
    target: Target,
    items: Sequence[Item],
    entries: Sequence[Entry],
    rendering: Rendering = DEFAULT,
    views: Iterable[str] = (),
) -> Batch:
    """The pictures of some inventory rows at the target's size, with the rows' labels where all have one, and captions.

    views: those that scores will be taken off for.
    Raises UserError as `read_again` does.
    """
    pictures = [read_again(item, entry, rendering) for item, entry in zip(items, entries, strict=True)]
    return Batch.from_pictures(pictures, target.picture[1:], target.picture[0], rendering, views)


def views_of(attacks: Iterable[Attack]) -> set[str]:
    """The views that any of the attacks, or one inside, takes its score off for."""
    return {view for attack in attacks for view in (attack.null_view, *views_of(attack.inside())) if view is not None}


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


def scored(item: Item, attack: Attack, score: float, *, nfe: int, seconds: float) -> ScoreRow:
    """A row with a score, or with the reason why there is none."""
    if math.isfinite(score):
        return row(item, attack, score=score, nfe=nfe, seconds=seconds)
    return row(item, attack, reason=attack.unscored, nfe=nfe, seconds=seconds)


def row(
    item: Item,
    attack: Attack,
    *,
    score: float | None = None,
    reason: str | None = None,
    nfe: int = 0,
    seconds: float = 0.0,
) -> ScoreRow:
    """A row of SCORES."""
    return {
        "picture": item.picture,
        "sha256": item.sha256,
        "set": item.set,
        "attack": attack.filed,
        "attack_repr": repr(attack),
        "score": score,
        "reason": reason,
        "nfe": nfe,
        "seconds": seconds,
    }
