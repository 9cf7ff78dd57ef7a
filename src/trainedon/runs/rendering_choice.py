"""Which pixels a run's pictures have, where they can be read in several ways and nobody said which one training took.

A picture with transparency, or one that EXIF turns, was seen by the trainer in one of several renderings. A sample is
scored in each, and the one that the model knows better is used, for all pictures of all sets alike. What is compared is
the loss under the symmetry-conjugated model minus that under the model itself: a rendering may be easier to predict
than another, and is so for both; what is left is memory. Only the symmetry that keeps pictures as natural as they
were is used: left and right, as the picture stands upright. Upside down would tell which way up the model likes
pictures, and it likes them in its own way whether or not it knows them.

The choice is a symmetric function of all sets' pictures together, so whatever is exchangeable stays exchangeable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import wilcoxon

from trainedon import run_files
from trainedon.attacks import Loss, Progress
from trainedon.errors import UserError
from trainedon.formats import RunRecord, write_record
from trainedon.formats.run_record import AnswerEntry, Counted, Question, RenderingEntry
from trainedon.pictures import Inventory, Listing, Rendering
from trainedon.pictures.pixels.decoding import QUARTERS
from trainedon.pictures.pixels.rendering import ALPHAS, AUTO, ORIENTATIONS
from trainedon.pictures.taking_inventory import restated
from trainedon.runs.labels import infer_labels
from trainedon.runs.scoring.scorer import read_batch
from trainedon.targets import Symmetric, Target, changed, relative

SAMPLED = 64  # pictures
LEVEL = 0.01
ATTACK = Loss(t=200, draws=4)
ANSWERS: Mapping[Question, Sequence[str]] = {"alpha": tuple(ALPHAS), "orientation": tuple(ORIENTATIONS)}
ABOUT = {"alpha": "with transparency", "orientation": "that EXIF turns"}
WORDS = ALPHAS | ORIENTATIONS


@dataclass(frozen=True)
class _Run:
    """What a question is put to."""

    target: Target
    items: Inventory
    entries: Listing
    affected: Mapping[Question, np.ndarray]  # question -> places, int64
    progress: Progress


def settle_rendering(
    target: Target,
    asked: Rendering,
    items: Inventory,
    entries: Listing,
    record: RunRecord,
    out: Path,
    progress: Progress,
) -> tuple[RunRecord, Rendering, Inventory]:
    """How all pictures of a run are rendered, the record that says so, and the inventory with what they look like so.

    asked: what was said. items: the inventory, as `asked.settled` shows the pictures. What is found is recorded, and
    written before anything is scored, so that it is found once; a run of an earlier version, whose record has no such
    entry, goes on as it began.
    """
    if "rendering" not in record.model_fields_set:
        return record, asked.settled, items
    told = record.rendering
    if told is None:
        run = _Run(target, items, entries, {name: _affected(items, name) for name in ANSWERS}, progress)
        rendering, answers = _answered(run, asked)
        told = RenderingEntry(**asdict(rendering), pictures=_counts(run), asked=answers)
        record = record.but(rendering=told)
        write_record(out, record)
    rendering = Rendering(**{name: getattr(told, name) for name in asdict(asked)})
    if not (out / run_files.PICTURES).exists():
        for question in ANSWERS:
            if getattr(rendering, question) != getattr(asked.settled, question):
                items = restated(items, entries, _affected(items, question).tolist(), rendering)
    return record, rendering, items


def notes(record: RunRecord) -> list[str]:
    """What a reader is told: how many pictures of each set can be read in several ways, and how they were read."""
    told = record.rendering
    return [
        f"Pictures {ABOUT[question]}: {_per_set(told.pictures, question)}; {_how(told, question)}"
        for question in ANSWERS
        if told is not None and any(counts[question] for counts in told.pictures.values())
    ]


def _per_set(pictures: Mapping[str, Mapping[Counted, int]], question: Question) -> str:
    return ", ".join(f"{counts[question]} of {counts['usable']} ({name})" for name, counts in pictures.items())


def _how(told: RenderingEntry, question: Question) -> str:
    read, answer = WORDS[getattr(told, question)], told.asked.get(question)
    if answer is None:
        return f"{read}, as was asked for"
    remedy = f"say --{question} {' or '.join(ANSWERS[question])} if you know what training did"
    if answer.chosen is None:
        return f"{read}; which way training took could not be told ({answer.reason}): {remedy}"
    found = f"p = {answer.p_value:.1g}, {answer.pictures} pictures of all sets"
    return f"{read}, as the model seems to know them ({found})"


def _affected(items: Inventory, question: Question) -> np.ndarray:
    """Places of usable pictures that the answer changes."""
    usable = items.usable
    values = items.take(usable).column(question).to_pylist()
    affected = [value not in (None, False, 1) if question == "orientation" else bool(value) for value in values]
    places: np.ndarray = usable[np.array(affected, bool)]
    return places


def _counts(run: _Run) -> dict[str, dict[Counted, int]]:
    sets = np.array(run.items.column("set").to_pylist())
    counted: dict[Counted, np.ndarray] = {"usable": run.items.usable}
    for question, affected in run.affected.items():
        counted[question] = affected
    return {
        str(name): {what: int((sets[places] == name).sum()) for what, places in counted.items()}
        for name in dict.fromkeys(sets.tolist())
    }


def _answered(run: _Run, asked: Rendering) -> tuple[Rendering, dict[Question, AnswerEntry]]:
    """The rendering, and what was found for each question that matters and nobody answered."""
    rendering = asked.settled
    answers: dict[Question, AnswerEntry] = {}
    questions: tuple[Question, ...] = ("orientation", "alpha", "orientation")
    # A picture that is turned the wrong way is unknown to the model under every rendering of transparency, and a wrong
    # rendering hides the right turn. So orientation is tried again once transparency is settled.
    for question in questions:
        if getattr(asked, question) != AUTO or not len(run.affected[question]):
            continue
        if question in answers and (answers[question].chosen or "alpha" not in answers or not answers["alpha"].chosen):
            continue
        answers[question] = _ask(run, question, rendering)
        if chosen := answers[question].chosen:
            rendering = replace(rendering, **{question: chosen})
    return rendering, answers


def _ask(run: _Run, question: Question, rendering: Rendering) -> AnswerEntry:
    """Which answer the model seems to know. Its p-value is that of the best answer, the largest against any other,
    corrected."""
    places = _sample(run.items, run.affected[question])
    try:
        ATTACK.check(run.target)
        scores = {
            answer: _remembered(run, places, replace(rendering, **{question: answer}), f"which {question}")
            for answer in ANSWERS[question]
        }
    except UserError as error:
        return AnswerEntry(chosen=None, p_value=None, pictures=0, scores={}, reason=str(error))
    known = np.isfinite(np.stack([*scores.values()])).all(0)
    scores = {answer: values[known] for answer, values in scores.items()}
    best, p_value = _best(scores)
    chosen = best if p_value < LEVEL else None
    return AnswerEntry(
        chosen=chosen,
        p_value=p_value,
        pictures=int(known.sum()),
        scores={answer: float(values.mean()) if known.any() else None for answer, values in scores.items()},
        reason=None if chosen else f"p = {p_value:.2g}, {int(known.sum())} pictures of all sets",
    )


def _best(scores: Mapping[str, np.ndarray]) -> tuple[str, float]:
    """The answer that scores highest against every other, and its p-value: the largest of Wilcoxon's one-sided signed
    rank tests, times the number of answers that might have been the best."""
    p_values = {}
    for one, mine in scores.items():
        others = [mine - theirs for other, theirs in scores.items() if other != one]
        tests = [wilcoxon(apart, alternative="greater").pvalue if apart.any() else 1.0 for apart in others]
        p_values[one] = min(1.0, len(scores) * float(max(tests)))
    return min(p_values.items(), key=lambda pair: pair[1])


def _sample(items: Inventory, places: np.ndarray) -> list[int]:
    """At most SAMPLED places, in an order by digest that knows nothing of sets; of equal pictures one."""
    digests = items.take(places).column("sha256").to_pylist()
    keyed = {
        hashlib.sha256(f"rendering {digest}".encode()).hexdigest(): i for digest, i in zip(digests, places.tolist())
    }
    return sorted(place for _, place in sorted(keyed.items())[:SAMPLED])  # as some sources are only read forward


def _remembered(run: _Run, places: Sequence[int], rendering: Rendering, what: str) -> np.ndarray:
    """How much better than the symmetry-conjugated model the model predicts each picture, so rendered: float64 (n,)."""
    chosen, items = run.items.take(places), run.items
    target = run.target
    batch = read_batch(target, list(chosen), [run.entries[i] for i in places], rendering)
    if target.classes is not None:
        missing = [place for place, label in zip(places, chosen.values("label"), strict=True) if label is None]
        found = infer_labels(target, items, run.entries, missing, run.progress, rendering)
        labels = [found.get(str(item.sha256)) if item.label is None else item.label for item in chosen]
        batch = replace(batch, labels=torch.tensor(labels, dtype=torch.int64))
    # a picture that lies on its side is mirrored as it would be if it stood
    lying = np.array([rendering.orientation == "stored" and turn in QUARTERS for turn in chosen.values("orientation")])
    scores = np.full(len(places), np.nan)
    for symmetry, rows in (("mirror", np.flatnonzero(~lying)), ("upside-down", np.flatnonzero(lying))):
        if len(rows):
            part = batch.take(rows.tolist())
            here, there = (ATTACK.score(one, part) for one in (target, Symmetric.of(target, symmetry)))
            scores[rows] = relative(here, [there], [changed(part.pixels, symmetry)])
    run.progress(f"{what} the model knows: {getattr(rendering, what.split()[-1])}", 1, 1)
    return scores
