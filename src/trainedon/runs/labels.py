"""Class labels: which ones count, alike for all sets, and the model's own judgement where none do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from trainedon import run_files
from trainedon.attacks import Progress
from trainedon.condition import Classes
from trainedon.errors import UserError
from trainedon.formats.label_json import read_labels, write_labels
from trainedon.noise import NoiseStream
from trainedon.pictures import Entry, Inventory, Item
from trainedon.pictures.pixels.names import number
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering
from trainedon.precise import double
from trainedon.runs.scoring.engine import SHARD
from trainedon.runs.scoring.scorer import read_batch
from trainedon.targets import PAD, Target
from trainedon.targets.core.pace import INTERVAL

PART = "labels.part.json"
CHOICES = ("auto", "folders", "infer")
GIVEN, FOLDERS, INFERRED = "given", "folders", "inferred"  # where labels come from; of one run all from one place
MOST_CLASSES = 100  # above this, trying every class for every picture costs more than the audit itself


@dataclass(frozen=True)
class Settled:
    """The pictures of all sets with the labels that count, all of one origin; those to be inferred have none yet.

    origin: None where the model is not conditioned on classes. notes: what a reader must know of it.
    """

    items: Inventory
    origin: str | None
    notes: tuple[str, ...] = ()


def check_choice(choice: str) -> None:
    """Raise UserError for a value of `--labels` that there is not."""
    if choice not in CHOICES:
        raise UserError(f"--labels {choice!r}: choose from {', '.join(CHOICES)}")


def settle_labels(target: Target, items: Inventory, choice: str = "auto") -> Settled:
    """Decide once for all sets where class labels come from: a model that is conditioned on given classes for one set
    and on classes that fit best for the other answers differently, trained on either or not.

    choice: `auto`: given labels where every usable picture has one; else the numbers of folders, where they can be
    nothing else; else the model infers all. `folders`: the number of the folder that holds the file, at any depth.
    `infer`: the model infers all. Raises UserError for labels that the model cannot take, and where none count and
    there are too many classes to try.
    """
    classes = target.classes
    if classes is None:
        ignored = choice != "auto"
        return Settled(items, None, (f"--labels {choice} changes nothing: the model knows no classes",) * ignored)
    if choice == "folders":
        return Settled(_by_folders(items, classes), FOLDERS)
    why = "--labels infer" if choice == "infer" else None
    if choice == "auto":
        _check_given(items, classes)
        if all(origin == GIVEN and label is not None and label >= 0 for _, label, origin in _usable(items)):
            return Settled(items, GIVEN)
        why = _why_no_classes(items, classes)
        if why is None:
            return Settled(items, FOLDERS)
    if classes > MOST_CLASSES:
        raise UserError(_too_many(items, classes, why))
    had, n = sum(label is not None for _, label, _ in _usable(items)), len(items.usable)
    bare = items.with_column("label", pa.nulls(len(items), pa.int64()))
    bare = bare.with_column("label_from", pa.nulls(len(items), pa.string()))
    return Settled(bare, INFERRED, _note(had, n, why, classes))


def _usable(items: Inventory) -> Iterator[tuple[str, int | None, str | None]]:
    """Name, label and its origin of each usable picture."""
    columns = (items.values(name) for name in ("picture", "label", "label_from", "reason"))
    return ((name, label, origin) for name, label, origin, reason in zip(*columns, strict=True) if reason is None)


def _check_given(items: Inventory, classes: int) -> None:
    for name, label, origin in _usable(items):
        if origin == GIVEN and label is not None and label >= classes:
            raise UserError(f"{name} has class label {label}: the model knows 0 to {classes - 1}")


def _why_no_classes(items: Inventory, classes: int) -> str | None:
    """Why the numbers of folders need not be classes; None where they can be nothing else. Looks at all pictures: one
    that cannot be used also tells what a folder holds."""
    most = str(classes - 1)
    columns = (items.values(name) for name in ("picture", "set", "label", "label_from"))
    for name, set_name, label, origin in zip(*columns, strict=True):
        folder, _, _ = name.rpartition("/")
        which = f"{name} ({set_name})"
        if origin is None:
            return f"{which} has none"
        if label is not None and label < 0:  # as data sets write that there is none
            return f"{which} has {label}, which is none"
        if origin != FOLDERS:
            return f"{which} has one that is not its folder's"
        if "/" in folder:
            return f"{which} lies deeper than in one folder named by a number"
        if int(folder) >= classes:
            return f"{which} lies in {folder}, and the model knows 0 to {most}"
        if folder != str(int(folder)) and len(folder) != len(most):
            return f"{which} lies in {folder}, which is not how classes 0 to {most} are written"
    return None


def _by_folders(items: Inventory, classes: int) -> Inventory:
    """Every picture with the number of the folder that holds its file. Raises UserError for a usable one without."""
    labels = [number(name.rpartition("/")[0].rpartition("/")[2]) for name in items.values("picture")]
    for label, name, reason in zip(labels, items.values("picture"), items.values("reason"), strict=True):
        if reason is not None:
            continue
        if label is None:
            raise UserError(f"{name} lies in no folder named by a class number: move it, or leave out --labels folders")
        if label >= classes:
            raise UserError(f"{name} has class label {label}, by its folder: the model knows 0 to {classes - 1}")
    found = items.with_column("label", pa.array(labels, pa.int64()))
    return found.with_column("label_from", pa.array([None if one is None else FOLDERS for one in labels], pa.string()))


def _too_many(items: Inventory, classes: int, why: str | None) -> str:
    said = f"the model was trained with {classes} classes, too many to infer a picture's own"
    without = next((name for name, label, _ in _usable(items) if label is None), None)
    said += f", and {without} has no class label" if without else f", and the numbers given need not be classes ({why})"
    return (
        f"{said}: put the pictures of all sets into folders named by class number, with nothing beside these, or give "
        "a parquet file with a label column, or say --labels folders where the number of a picture's folder is its "
        "class"
    )


def _note(had: int, n: int, why: str | None, classes: int) -> tuple[str, ...]:
    tried = (
        f"each was given the class under which the model predicts its noise best ({4 * classes} evaluations a picture, "
        "not counted in the attacks' costs)"
    )
    if not had:
        return (f"{n} pictures came without a class label; {tried}",)
    return (f"{had} of {n} pictures came with a number, which was not taken for a class ({why}); {tried}",)


def condition_origins(
    target: Target, settled: Settled, sets: Sequence[str], caption: str | None
) -> dict[str, dict[str, int]] | None:
    """For each set how many usable pictures have a condition of which origin; None for an unconditional model.

    Ways: `given`, `folders`, `inferred` of class labels; `own`, `one` (for all), `missing` of captions.
    """
    if target.conditioning is None:
        return None
    counts: dict[str, Counter[str]] = {name: Counter() for name in sets}
    items = settled.items.take(settled.items.usable)
    for name, text in zip(items.values("set"), items.values("caption"), strict=True):
        if target.conditioning == "class":
            counts[name][str(settled.origin)] += 1
        else:
            counts[name]["missing" if text is None else "own" if caption is None else "one"] += 1
    return {name: dict(sorted(found.items())) for name, found in counts.items()}


def with_inferred(
    target: Target,
    items: Inventory,
    entries: Sequence[Entry],
    out: Path,
    progress: Progress,
    rendering: Rendering = DEFAULT,
    interval: float = INTERVAL,
) -> Inventory:
    """Every usable picture with the class that the model infers; they are kept in `labels.json`, and in the file of
    `PART` until all are there."""
    store, part, places = out / run_files.LABELS, out / PART, items.usable.tolist()
    digests = items.column("sha256")
    if not store.exists():
        known = read_labels(part, len(items), target.classes) if part.exists() else {}
        missing = [place for place in places if digests[place].as_py() not in known]
        kept = time.monotonic()

        def keep(labels: dict[str, int]) -> None:
            nonlocal kept
            if time.monotonic() - kept >= interval:
                write_labels(part, known | labels)
                kept = time.monotonic()

        write_labels(store, known | infer_labels(target, items, entries, missing, progress, rendering, keep))
        part.unlink(missing_ok=True)
    labels = read_labels(store, len(items), target.classes)
    if any(digests[place].as_py() not in labels for place in places):
        raise UserError(f"{store} lacks pictures of this run: delete it; the same command goes on")
    found = items.replaced("label", {place: labels[digests[place].as_py()] for place in places})
    return found.replaced("label_from", dict.fromkeys(places, INFERRED))


def infer_labels(
    target: Target,
    items: Sequence[Item],
    entries: Sequence[Entry],
    places: Sequence[int],
    progress: Progress,
    rendering: Rendering = DEFAULT,
    keep: Callable[[dict[str, int]], None] = lambda labels: None,
) -> dict[str, int]:
    """The class under which the model itself predicts each picture's noise best, digest -> label.

    For a class-conditional model and the pictures without labels, at `places`. One evaluation a class and draw, four
    draws at timesteps spread over the path; the same noise for every class. keep: called with all labels so far after
    every few pictures, the fewer the slower the model.
    """
    labels: dict[str, int] = {}
    start, size = 0, PAD
    while start < len(places):
        began, chosen = time.monotonic(), places[start : start + size]
        part = [items[i] for i in chosen]
        batch = read_batch(target, part, [entries[i] for i in chosen], rendering)
        states = target.encode(batch.pixels.to(target.device))
        errors = np.zeros((len(part), target.classes or 0))
        for draw, t in enumerate(map(target.path.like_ddpm, (100, 300, 500, 700))):
            # keys of its own, so that an attack's noise is none of that by which the class was chosen
            keys = [f"class {digest}" for digest in batch.sha256]
            eps = NoiseStream(keys, [draw] * len(part), target.shape, seed=0, device=target.device).next()
            x_t = target.noised(states, t, eps)
            for label in range(errors.shape[1]):
                with torch.no_grad():
                    answer = target.denoise(x_t, t, Classes(torch.full((len(part),), label, device=target.device)))
                errors[:, label] += double((answer.noise - eps).square()).flatten(1).mean(1).cpu().numpy()
        labels |= {str(item.sha256): int(best) for item, best in zip(part, errors.argmin(1), strict=True)}
        start += len(part)
        size = SHARD if (time.monotonic() - began) / len(part) * SHARD < INTERVAL / 2 else PAD
        keep(labels)
        progress("class labels", start, len(places))
    return labels
