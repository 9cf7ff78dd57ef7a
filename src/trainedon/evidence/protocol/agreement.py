"""Whether attacks agree: in which order they put the pictures, and how many of them name the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from trainedon.evidence.protocol.documents import Agreement, AttackEvaluation, Named, NamedBy
from trainedon.evidence.protocol.rules import STANDARD_2, Rules
from trainedon.evidence.table.lazy import LazySequence
from trainedon.evidence.table.rows import SETS, Rows
from trainedon.evidence.table.scores import Scores
from trainedon.evidence.table.split import calibration_mask

FEWEST = 10  # pictures scored by both attacks; with fewer a correlation is mostly chance


@dataclass(frozen=True)
class AlignedScores:
    """One set under all attacks, a column a picture: float64 (attacks, pictures), NaN where it was not scored.

    `counted` (same shape) is False for unseen pictures that set an attack's threshold, and so cannot test it.
    """

    pictures: Rows
    score: np.ndarray
    counted: np.ndarray


def agreement(scores: Scores, attacks: Sequence[AttackEvaluation], rules: Rules = STANDARD_2) -> Agreement | None:
    """How far the attacks of an evaluation agree; None with fewer than two, or too few pictures for any correlation.

    `attacks`: what was found of each, in the order of `scores.attacks`; their thresholds decide which pictures are
    named. `rules`: they say how many pictures are listed.
    """
    members, unseen = _table(scores, "member"), _table(scores, "unseen")
    matrix = spearman(np.hstack([members.score, unseen.score]))
    if not any(value is not None for i, row in enumerate(matrix) for value in row[:i]):
        return None
    level, naming = _level(attacks)
    named_by: NamedBy | None = None
    pictures: LazySequence[Named] = LazySequence(Named, 0, lambda _: [])
    left_out = 0
    if level is not None:
        thresholds = np.array([attacks[i].tpr_at_fpr[level].threshold for i in naming])
        known, named = _named(members, naming, thresholds)
        counts = (_counts(named), _counts(_named(unseen, naming, thresholds)[1]))
        named_by = NamedBy(member=counts[0], unseen=counts[1])
        pictures = _listed(known, named, np.array(naming), rules.listed)
        left_out = len(known) - len(pictures)
    return Agreement(
        attacks=tuple(attack.repr for attack in attacks),
        spearman=matrix,
        fpr=None if level is None else float(level),
        naming=naming if level is not None else (),
        named_by=named_by,
        pictures=pictures,
        n_not_listed=left_out,
    )


def spearman(score: np.ndarray) -> tuple[tuple[float | None, ...], ...]:
    """Spearman's rank correlation of every pair of rows over the columns that both have, ties sharing their mean rank.

    `score`: float64 (k, n), NaN for "no score". Returns k by k numbers in [-1, 1]; None where fewer than ten columns
    are common or one of the two rows is constant there (Spearman, American Journal of Psychology 15, 1904).
    """
    k = len(score)
    matrix: list[list[float | None]] = [[None] * k for _ in range(k)]
    for i in range(k):
        for j in range(i + 1):
            matrix[i][j] = matrix[j][i] = _correlation(score[i], score[j])
    return tuple(map(tuple, matrix))


def _correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    common = np.isfinite(first) & np.isfinite(second)
    if common.sum() < FEWEST:
        return None
    x, y = (ranks - ranks.mean() for ranks in (rankdata(first[common]), rankdata(second[common])))
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(np.clip(x @ y / spread, -1, 1)) if spread > 0 else None


def _table(scores: Scores, set_name: str) -> AlignedScores:
    columns = scores.columns
    places = np.flatnonzero(columns.set == SETS.index(set_name))[::-1]
    pictures, last = np.unique(columns.picture[places], return_index=True)
    score = np.full((len(scores.attacks), len(pictures)), np.nan)
    counted = np.ones(score.shape, dtype=bool)
    for i, attack in enumerate(scores.attacks):
        sample = scores.sample(attack, set_name)
        at = np.searchsorted(pictures, sample.picture)
        score[i, at] = sample.score
        if set_name == "unseen":
            counted[i, at] = ~calibration_mask(sample.rows)
    return AlignedScores(Rows(columns, places[last]), score, counted)


def _level(attacks: Sequence[AttackEvaluation]) -> tuple[str | None, tuple[int, ...]]:
    """The level at which pictures are named, and the attacks that can name at it.

    These are the attacks with enough unseen pictures for 5 %; the level is 1 % where that suffices for each of them.
    """
    able = {
        level: tuple(i for i, attack in enumerate(attacks) if attack.tpr_at_fpr[level].estimable)
        for level in ("0.01", "0.05")
    }
    if len(able["0.05"]) < 2:
        return None, ()
    return "0.01" if able["0.01"] == able["0.05"] else "0.05", able["0.05"]


def _named(table: AlignedScores, naming: Sequence[int], thresholds: np.ndarray) -> tuple[Rows, np.ndarray]:
    """The pictures that every naming attack scored (and none set its threshold on), and who names them.

    thresholds: float64 (attacks,). Returns bool (attacks, pictures) as the second: score above the threshold.
    """
    score = table.score[list(naming)]
    kept = (np.isfinite(score) & table.counted[list(naming)]).all(axis=0)
    return Rows(table.pictures.columns, table.pictures.indices[kept]), score[:, kept] > thresholds[:, None]


def _counts(named: np.ndarray) -> tuple[int, ...]:
    """How many columns of bool (k, n) have exactly 0, 1, ..., k True."""
    return tuple(np.bincount(named.sum(axis=0), minlength=len(named) + 1).tolist())


def _listed(rows: Rows, named: np.ndarray, naming: np.ndarray, most: float) -> LazySequence[Named]:
    """At most so many pictures, those that most attacks name first; rows: by name."""
    order = np.argsort(-named.sum(axis=0), kind="stable")[: int(min(most, len(rows)))]
    named, columns = named[:, order], rows.columns
    picture, sha256 = rows.column("picture")[order], rows.column("sha256")[order]

    def made(part: slice) -> list[Named]:
        by = (tuple(naming[column].tolist()) for column in named[:, part].T)
        texts = (columns.names.decode(picture[part]), columns.digests.decode(sha256[part]), by)
        return [Named(picture=str(name), sha256=digest, by=one) for name, digest, one in zip(*texts, strict=True)]

    return LazySequence(Named, len(order), made)
