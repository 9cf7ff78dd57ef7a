"""Every picture of a run as one row, for the table that can be sorted and searched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from trainedon import run_files
from trainedon.evidence.table.picture_table import batches
from trainedon.reporting import words
from trainedon.reporting.run_folder import HEX, RunFolder, ScoredAttack

MOST_ROWS = 10_000  # of the table; those beyond are in the tables beside the page
MOST_PRINTED = 400  # rows; a longer table is left out of print
CAPTION = 120  # characters


@dataclass(frozen=True)
class PictureRow:
    """One picture. card: whether the page shows it as a card, which then has the anchor. place: where its original lies
    in full size, seen from the page; empty where it was not kept. truth: whether it was trained on, where known."""

    anchor: str
    card: bool
    name: str
    caption: str
    set: str
    score: float | None
    p_value: float | None
    q_value: float | None
    verdict: str
    place: str
    truth: bool | None


@dataclass(frozen=True)
class EveryPicture:
    """The rows, the highest score of the asked set first. beyond: how many there is no room for."""

    rows: tuple[PictureRow, ...]
    beyond: int

    @property
    def is_printed(self) -> bool:
        return len(self.rows) <= MOST_PRINTED


def in_order(run: RunFolder) -> np.ndarray:
    """int (n,): the rows of the first attack as the table has them, `MOST_ROWS` at most: the asked set before the
    unseen pictures, each by score, and those without a score last."""
    attack = run.attacks[0]
    asked, scored = attack.given(run.asked), np.isfinite(attack.scores)
    every = np.arange(len(attack.scores))
    return np.lexsort((attack.by_name(every), -np.where(scored, attack.scores, 0), ~asked, ~scored))[:MOST_ROWS]


def anchors(attack: ScoredAttack, rows: np.ndarray) -> dict[int, str]:
    """row -> the name by which an address leads to it: by its digest, or by its name where it has none. It stays the
    same from run to run; a second row of the same file has its number behind."""
    named: dict[int, str] = {}
    taken: set[str] = set()
    for row, found in zip(rows.tolist(), attack.decoded(rows)):
        digest = found.sha256 or ""
        if not HEX.fullmatch(digest):
            digest = hashlib.sha256(found.picture.encode("utf-8", "replace")).hexdigest()
        anchor = f"p-{digest[:16]}"
        named[row] = anchor if anchor not in taken else f"{anchor}-{row}"
        taken.add(named[row])
    return named


def captions_of(run: RunFolder, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(set, picture) -> its caption, of those that are wanted and have one."""
    path = run.path / run_files.PICTURES
    if not path.is_file() or not run.record.model.is_conditioned_on_captions:
        return {}
    found = {}
    for part in batches(path, ("set", "picture", "caption")):
        for key in zip(*(part[name].to_pylist() for name in ("set", "picture", "caption"))):
            if key[2] and key[:2] in wanted:
                found[key[:2]] = words.shorten(key[2], CAPTION)
    return found
