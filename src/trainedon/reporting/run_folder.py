"""What a run folder holds, read into memory once for the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.evidence import AttackKey, Audit, Document, Evaluation, Scores, read_features, read_scores
from trainedon.evidence.protocol.twins import with_all_counted
from trainedon.evidence.table.deduplicate import deduplicate
from trainedon.evidence.table.rows import BLOCK, SETS, Rows
from trainedon.formats import RunRecord, read_record
from trainedon.formats.earlier_records import declared
from trainedon.formats.exhibit_json import read_exhibit
from trainedon.formats.run_record import DeclaredEntry, Kind
from trainedon.formats.truth_json import read_truth
from trainedon.parquet import opened
from trainedon.reading import read_bytes

DOCUMENTS = {"audit": run_files.AUDIT, "evaluate": run_files.EVALUATION}
ASKED = {"audit": "suspect", "evaluate": "member"}
Scored = Literal["hidden", "noised"]
D = TypeVar("D", bound=Document)
MOST = 2**30  # bytes of a document, which may speak of millions of pictures
HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Restored:
    """The evidence pictures of one picture, as paths that exist: `restored/<sha256[:16]>/`."""

    original: Path
    region: Path | None
    degraded: Path | None
    others: tuple[Path, ...]  # what was given when further regions were hidden, one after another
    restorations: tuple[Path, ...]
    difference: Path | None
    view: Path | None  # the picture in the view that it is compared with, and what the model painted back there
    view_restored: Path | None
    view_painted: Path | None  # the same of one of several views, turned back
    guess: Path | None  # what the model made of the noised picture, and of that view, turned back
    view_guess: Path | None
    map: Path | None  # where it guessed better than in the views
    ahead: float | None  # on which share of the area
    note: str  # what the attack had to say of this picture, mostly empty
    mosaic: bool  # whether the model was given a mosaic of the whole picture

    @property
    def has_guesses(self) -> bool:
        """Whether both guesses and the map are there, which say something only together."""
        return None not in (self.guess, self.view_guess, self.map)


@dataclass(frozen=True)
class ScoredAttack:
    """The scores of one attack, one row a picture.

    declared: what the attack says of its scores. scores: float64 (n,), higher = member, NaN where the picture was not
    scored (then `reason` says why). A near-duplicate that does not count has a score among the suspects alone: each of
    them has a p-value of its own.
    """

    name: str
    repr: str
    declared: DeclaredEntry
    table: Rows
    scores: np.ndarray

    def picture(self, row: int) -> str:
        return self.table[row].picture

    def sha256(self, row: int) -> str | None:
        return self.table[row].sha256

    def set(self, row: int) -> str:
        return self.table[row].set

    def decoded(self, rows: np.ndarray) -> Rows:
        """Some rows, int (k,), which are decoded together."""
        return Rows(self.table.columns, self.table.indices[rows])

    def digests(self) -> Iterator[str | None]:
        """The digests of all rows."""
        codes, digests = self.table.column("sha256"), self.table.columns.digests
        for start in range(0, len(codes), BLOCK):
            yield from digests.decode(codes[start : start + BLOCK])

    def reason(self, row: int) -> str | None:
        """Why a picture has no score."""
        found = self.table[row]
        return found.reason or (found.near and f"near-duplicate of {found.near}")

    def fingerprints(self, rows: np.ndarray) -> np.ndarray:
        """int (4, k): equal for rows of equal picture, set and reason, in all attacks of a run."""
        return np.stack([np.take(self.table.column(name), rows) for name in ("picture", "set", "reason", "near")])

    def given(self, set_name: str) -> np.ndarray:
        """bool (n,): the pictures of one set."""
        return np.equal(self.table.column("set"), SETS.index(set_name))

    def mean(self, cost: str) -> float | None:
        """The mean `nfe` or `seconds` a picture."""
        values = self.table.column(cost)
        known = values[~np.isnan(values)]
        return float(np.mean(known)) if len(known) else None

    def by_name(self, rows: np.ndarray) -> np.ndarray:
        """int (k,): which of the rows' names come first, in the order of their code points."""
        return np.take(self.table.column("picture"), rows)

    def by_digest(self, rows: np.ndarray) -> np.ndarray:
        """int (k,): which of the rows' digests come first; those without one come before all."""
        return np.take(self.table.column("sha256"), rows)

    @property
    def restores(self) -> Scored | None:
        """What the score says: how closely a `hidden` part was painted back, or how closely a `noised` picture came
        back, next to its mirror images. None for any other kind of score."""
        usual = {"hidden": None, "noised": "self"}
        shown = self.declared.shown_as
        return shown if shown is not None and self.declared.relative_to == usual[shown] else None

    @property
    def explained(self) -> Scored | Literal["hidden beside views"] | None:
        """As `restores`, and whether a hidden part was painted back next to that of views of the picture."""
        beside = self.declared.shown_as == "hidden" and self.declared.relative_to == "self"
        return "hidden beside views" if beside else self.restores

    def rows(self, set_name: str) -> np.ndarray:
        """int64 row numbers of the scored pictures of one set."""
        return np.flatnonzero(self.given(set_name) & np.isfinite(self.scores))

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
    record: RunRecord
    document: Audit | Evaluation
    attacks: tuple[ScoredAttack, ...]  # in the order in which they were named; the first one leads the page
    truth: dict[str, bool] | None

    @property
    def showing(self) -> ScoredAttack | None:
        """The attack whose pictures are shown: the first that has any to show."""
        return next((attack for attack in self.attacks if attack.declared.shown_as), None)

    @property
    def kind(self) -> Kind:
        """`audit` or `evaluate`."""
        return self.record.kind

    @property
    def asked(self) -> str:
        """The set that the question is about: `suspect` in an audit, `member` in an evaluation."""
        return ASKED[self.kind]

    @property
    def lists_exposed(self) -> bool:
        """Whether `most-exposed.csv` lies beside the page."""
        return self.record.has_unseen_to_compare and any(one.given("unseen").any() for one in self.attacks)

    def restored(self, sha256: str | None) -> Restored | None:
        """The evidence pictures of one picture, or None where the run kept none."""
        if sha256 is None or not HEX.fullmatch(sha256):
            return None
        folder = self.path / run_files.RESTORED / sha256[:16]
        original = _file(folder, "original.png")
        if original is None or not _file(folder, run_files.EXHIBIT):  # which is written last
            return None
        told = read_exhibit(folder / run_files.EXHIBIT)
        numbered = (_file(folder, f"restored-{i}.png") for i in range(1, 100))
        return Restored(
            original=original,
            region=_file(folder, "region.png"),
            degraded=_file(folder, "degraded.png"),
            others=tuple(path for i in range(2, 100) if (path := _file(folder, f"degraded-{i}.png"))),
            restorations=tuple(path for path in numbered if path),
            difference=_file(folder, "difference.png"),
            view=_file(folder, "view.png"),
            view_restored=_file(folder, "viewback.png"),
            view_painted=_file(folder, "viewpainted.png"),
            guess=_file(folder, "guess.png"),
            view_guess=_file(folder, "viewguess.png"),
            map=_file(folder, "ahead.png"),
            ahead=told.ahead,
            note=told.note,
            mosaic=told.mosaic,
        )


def read(path: Path, document: Audit | Evaluation | None = None) -> RunFolder:
    """Read the run folder `path`. `document`: what it says of itself, where that is known and need not be read.

    Raises UserError when it is none, or its statistics or scores cannot be read.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder: give the folder that an audit or evaluation has written")
    record = read_record(path)
    document = document or _document(path, record.kind)
    asked = ASKED[record.kind]
    scores = read_scores(path / run_files.SCORES).of_sets(asked, "unseen").without(record.controls)
    scores.require(asked)
    # The same preparation as in the statistics, so that a copy that counts for nothing there counts for nothing here.
    scores = deduplicate(
        scores, (asked, "unseen"), _inventory(path / run_files.PICTURES), read_features(path / run_files.LOOKS)
    )
    if isinstance(document, Audit) and document.twins is not None:
        scores = with_all_counted(scores)
    if {one.repr for one in document.attacks} != {key.repr for key in scores.attacks}:
        raise UserError(
            f"{path / DOCUMENTS[record.kind]} speaks of other attacks than the scores: write it again with "
            f"`trainedon report {path}`"
        )
    attacks = tuple(_attack(scores, key, declared(record, key.name, key.repr)) for key in scores.attacks)
    return RunFolder(path, record, document, attacks, read_truth(path / run_files.TRUTH))


def read_document(path: Path, kind: type[D]) -> D:
    """One of the run's documents. Raises UserError when it is missing, or is something else."""
    try:
        return kind.model_validate_json(read_bytes(path, MOST))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the same command again to finish the run") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except ValidationError:
        raise UserError(f"{path} is damaged: write it again with the command that made it") from None


def _document(path: Path, kind: Kind) -> Audit | Evaluation:
    if kind == "audit":
        return read_document(path / DOCUMENTS[kind], Audit)
    return read_document(path / DOCUMENTS[kind], Evaluation)


def _file(folder: Path, name: str) -> Path | None:
    """A file in a folder of the run; None for a link, which may show what lies elsewhere."""
    path = folder / name
    return path if path.is_file() and not path.is_symlink() and not folder.is_symlink() else None


def _inventory(path: Path) -> Path | None:
    """The list of pictures, where there is one with any in it."""
    try:
        if not path.is_file():
            return None
        with opened(path) as file:
            return path if file.file.metadata.num_rows else None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is not a readable inventory ({reason}): run the same command again") from None


def _attack(scores: Scores, key: AttackKey, says: DeclaredEntry) -> ScoredAttack:
    rows = scores.of_attack(key)
    hidden = (rows.column("near") >= 0) & (rows.column("set") != SETS.index("suspect"))
    return ScoredAttack(key.name, key.repr, says, rows, np.where(hidden, np.nan, rows.column("score")))
