"""What a run folder holds, read into memory once for the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trainedon.errors import UserError
from trainedon.evidence import AttackKey, Document, Scores, as_data, read_looks, read_scores
from trainedon.evidence.table.lazy import LazySequence
from trainedon.evidence.table.prepare import prepare
from trainedon.evidence.table.rows import BLOCK, SETS, Rows
from trainedon.parquet import opened
from trainedon.reading import read_json

DOCUMENTS = {"audit": "audit.json", "evaluate": "evaluation.json"}
ASKED = {"audit": "suspect", "evaluate": "member"}
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
    note: str  # what the attack had to say of this picture, mostly empty


DRC = ("drc", "drc-fast", "drc-hide", "drc-latent", "drc-paper")


@dataclass(frozen=True)
class Attack:
    """The scores of one attack, one row a picture.

    scores: float64 (n,), higher = member, NaN where the picture was not scored (then `reason` says why). A
    near-duplicate that does not count has a score among the suspects alone: each of them has a p-value of its own.
    """

    name: str
    repr: str
    table: Rows
    scores: np.ndarray

    def picture(self, row: int) -> str:
        return self.table[row].picture

    def sha256(self, row: int) -> str | None:
        return self.table[row].sha256

    def set(self, row: int) -> str:
        return self.table[row].set

    def digests(self) -> Iterator[str | None]:
        """The digests of all rows."""
        codes, digests = self.table.column("sha256"), self.table.columns.digests
        for start in range(0, len(codes), BLOCK):
            yield from digests.decode(codes[start : start + BLOCK])

    def reason(self, row: int) -> str | None:
        """Why a picture has no score."""
        found = self.table[row]
        return found.reason or (found.near and f"near-duplicate of {found.near}")

    def told_by(self, rows: np.ndarray) -> np.ndarray:
        """int (4, k): equal for rows of equal picture, set and reason, in all attacks of a run."""
        return np.stack([self.table.column(name)[rows] for name in ("picture", "set", "reason", "near")])

    def given(self, set_name: str) -> np.ndarray:
        """bool (n,): the pictures of one set."""
        return self.table.column("set") == SETS.index(set_name)

    def mean(self, cost: str) -> float | None:
        """The mean `nfe` or `seconds` a picture."""
        values = self.table.column(cost)
        known = values[~np.isnan(values)]
        return float(np.mean(known)) if len(known) else None

    def by_name(self, rows: np.ndarray) -> np.ndarray:
        """int (k,): which of the rows' names come first, in the order of their code points."""
        return self.table.column("picture")[rows]

    def by_digest(self, rows: np.ndarray) -> np.ndarray:
        """int (k,): which of the rows' digests come first; those without one come before all."""
        return self.table.column("sha256")[rows]

    @property
    def drowns(self) -> bool:
        """Whether DRC scored pictures that were drowned in noise, or faded. These come back much as they were, so that
        people are shown a hidden part, which is not scored."""
        return self.name in DRC and ("Diffuse(" in self.repr or "Fade(" in self.repr)

    @property
    def restores(self) -> str | None:
        """What the score of DRC says: how closely a `hidden` part was painted back, or how closely the picture came
        back that was `drowned` in noise, next to its mirror images. None for any other kind of score."""
        relative = "symmetries=()" not in self.repr and "symmetries=" in self.repr
        if self.name not in DRC or self.drowns != relative:
            return None
        return "drowned" if relative else "hidden"

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
    run: dict[str, Any]
    document: dict[str, Any]
    attacks: tuple[Attack, ...]  # in the order in which they were named; the first one leads the page
    truth: dict[str, bool] | None

    @property
    def kind(self) -> str:
        """`audit` or `evaluate`."""
        return self.run["kind"]

    @property
    def asked(self) -> str:
        """The set that the question is about: `suspect` in an audit, `member` in an evaluation."""
        return ASKED[self.kind]

    def restored(self, sha256: str | None) -> Restored | None:
        """The evidence pictures of one picture, or None where the run kept none."""
        if sha256 is None or not HEX.fullmatch(sha256):
            return None
        folder = self.path / "restored" / sha256[:16]
        original = _file(folder, "original.png")
        if original is None or not _file(folder, "evidence.json"):  # which is written last
            return None
        numbered = (_file(folder, f"restored-{i}.png") for i in range(1, 100))
        return Restored(
            original=original,
            region=_file(folder, "region.png"),
            degraded=_file(folder, "degraded.png"),
            others=tuple(path for i in range(2, 100) if (path := _file(folder, f"degraded-{i}.png"))),
            restorations=tuple(path for path in numbered if path),
            difference=_file(folder, "difference.png"),
            note=str(_json(folder / "evidence.json").get("note") or ""),
        )


def read(path: Path, document: Document | None = None) -> RunFolder:
    """Read the run folder `path`. `document`: what it says of itself, where that is known and need not be read.

    Raises UserError when it is none, or its statistics or scores cannot be read.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder: give the folder that an audit or evaluation has written")
    run = _json(path / "run.json")
    if str(run.get("kind")) not in DOCUMENTS:
        raise UserError(f"{path / 'run.json'} names no known kind of run: expected audit or evaluate")
    data = as_data(document) if document else _json(path / DOCUMENTS[run["kind"]])
    asked = ASKED[run["kind"]]
    scores = read_scores(path / "scores.parquet").of_sets(asked, "unseen").without(run.get("controls") or ())
    scores.require(asked)
    # The same preparation as in the statistics, so that a copy that counts for nothing there counts for nothing here.
    scores = prepare(
        scores, (asked, "unseen"), _inventory(path / "pictures.parquet"), read_looks(path / "looks.parquet")
    )
    truth = _json(path / "truth.json") if (path / "truth.json").is_file() else None
    if truth is not None and not all(isinstance(known, bool) for known in truth.values()):
        raise UserError(f"{path / 'truth.json'} says something else than whether pictures were used: take it away")
    return RunFolder(
        path=path,
        run=run,
        document=data,
        attacks=tuple(_attack(scores, key) for key in scores.attacks),
        truth=truth,
    )


def records(found: Any) -> Iterator[Mapping[str, Any]]:
    """The entries of a list of a document, of which there may be many: one at a time, as they are in its JSON."""
    return (dict(entry) for entry in found) if isinstance(found, LazySequence) else iter(found or ())


def _file(folder: Path, name: str) -> Path | None:
    """A file in a folder of the run; None for a link, which may show what lies elsewhere."""
    path = folder / name
    return path if path.is_file() and not path.is_symlink() and not folder.is_symlink() else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path} is missing: run the same command again to finish the run")
    value = read_json(path, MOST)
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: write it again with the command that made it")
    return value


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


def _attack(scores: Scores, key: AttackKey) -> Attack:
    rows = scores.of_attack(key)
    hidden = (rows.column("near") >= 0) & (rows.column("set") != SETS.index("suspect"))
    return Attack(key.name, key.repr, rows, np.where(hidden, np.nan, rows.column("score")))
