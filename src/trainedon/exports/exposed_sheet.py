"""`most-exposed.csv`: the pictures that stand out most, over all attacks of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from trainedon import run_files
from trainedon.evidence import read_features, read_scores
from trainedon.evidence.protocol.exposure import Exposed, most_exposed
from trainedon.evidence.table.deduplicate import deduplicate
from trainedon.evidence.table.scores import Scores
from trainedon.exports.csv_cells import Cell, csv_parts
from trainedon.formats import RunRecord

HEADS = ("rank", "picture", "set", "p_value", "exposed_by", "sha256")


def exposed_sheet(run: Path, record: RunRecord) -> Iterator[str] | None:
    """The parts of `most-exposed.csv`; None for a run whose pictures are not compared with unseen ones.

    Raises UserError where its scores or its list of pictures cannot be read.
    """
    if not record.has_unseen_to_compare:
        return None
    scores, asked = counted_scores(run, record)
    return csv_parts(_rows(scores, record, asked)) if scores.has("unseen") else None


def counted_scores(run: Path, record: RunRecord) -> tuple[Scores, str]:
    """The scores of a run's attacks, near-duplicates marked as in its statistics, and the set that is in question.

    Raises UserError where its scores or its list of pictures cannot be read.
    """
    asked = {"evaluate": "member", "audit": "suspect"}[record.kind]
    scores = read_scores(run / run_files.SCORES).of_sets(asked, "unseen").without(record.controls)
    pictures = run / run_files.PICTURES
    listed = pictures if pictures.exists() else None
    features = read_features(run / run_files.LOOKS) if listed else None
    return deduplicate(scores, (asked, "unseen"), listed, features), asked


def _rows(scores: Scores, record: RunRecord, asked: str) -> Iterator[list[Cell]]:
    labels = called(scores, record)
    yield [*HEADS, *(f"{what} of {label}" for label in labels for what in ("score", "p_value"))]
    for rank, one in enumerate(most_exposed(scores, asked), start=1):
        by = labels[scores.attacks.index(one.attack)]
        yield [rank, one.picture, one.set, one.p_value, by, one.sha256, *_by_attack(one)]


def _by_attack(one: Exposed) -> Iterator[Cell]:
    for told in one.by_attack:
        yield from (None, None) if told is None else told


def called(scores: Scores, record: RunRecord) -> list[str]:
    """What each attack is called: as a person wrote it, and with all its parameters where two would be called alike."""
    short = [record.labels.get(key.repr, key.name) for key in scores.attacks]
    times = Counter(short)
    return [label if times[label] == 1 else key.repr for label, key in zip(short, scores.attacks, strict=True)]
