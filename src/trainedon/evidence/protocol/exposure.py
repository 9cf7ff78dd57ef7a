"""Which pictures are most exposed: over all attacks of a run, those that stand out most from unseen pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainedon.evidence.statistics.pvalues import conformal_p
from trainedon.evidence.table.codes import MISSING, Codes
from trainedon.evidence.table.rows import AttackKey, Floats
from trainedon.evidence.table.scores import Sample, Scores

MOST = 10_000  # pictures that are listed


@dataclass(frozen=True)
class Exposed:
    """One picture. p_value: the smallest of all attacks, times their number; attack: whose it is. by_attack: of each
    attack, in the order of the run, score and p-value, None where it was not scored."""

    picture: str
    sha256: str | None
    set: str
    p_value: float
    attack: AttackKey
    by_attack: tuple[tuple[float, float] | None, ...]


def most_exposed(scores: Scores, asked: str, most: int = MOST) -> Iterator[Exposed]:
    """The most exposed pictures, the first one most of all; those that `asked` names (`member` or `suspect`), and the
    unseen ones among them, which say what chance does.

    scores: `deduplicated`, of attacks alone. A picture has under each attack the conformal p-value against the unseen
    pictures, an unseen one against the others. It counts with the smallest, times the number of attacks that scored it
    (Bonferroni, of which Holm's first step is the same): so the p-value holds although the attack was picked. Of equal
    ones that is first whose p-values have the smaller product, and then the one whose name is. Near-duplicates that do
    not count are not listed. Takes about 30 bytes a picture, and 16 an attack and picture that is listed.
    """
    sets = (asked, "unseen")
    names = _counted(scores, sets)
    smallest, product = [np.full(len(one), np.inf) for one in names], [np.zeros(len(one)) for one in names]
    tried = [np.zeros(len(one), np.int32) for one in names]
    for attack in scores.attacks:
        for which, (sample, p) in enumerate(_p_values(scores, attack, sets)):
            at = np.searchsorted(names[which], sample.picture)
            smallest[which][at] = np.minimum(smallest[which][at], p)
            product[which][at] += np.log(p)
            tried[which][at] += 1
    side, name = np.repeat([0, 1], [len(one) for one in names]), np.concatenate(names)
    k = np.concatenate(tried)
    value = np.minimum(1.0, np.where(k > 0, np.concatenate(smallest), 1.0) * k)
    order = np.lexsort((side, name, np.concatenate(product), value))
    order = order[k[order] > 0][:most]  # an attack without a score of an unseen picture says nothing
    chosen = [np.sort(name[order][side[order] == which]) for which in (0, 1)]
    details = [_details(scores, attack, sets, chosen) for attack in scores.attacks]
    for at in order.tolist():
        place = int(np.searchsorted(chosen[side[at]], name[at]))
        yield _exposed(
            scores, sets[side[at]], int(name[at]), float(value[at]), [one[side[at]][place] for one in details]
        )


def _counted(scores: Scores, sets: Sequence[str]) -> list[Codes]:
    """Of each set the pictures, by the codes of their names, that some attack has scored and that count."""
    return [
        np.unique(np.concatenate([scores.sample(attack, name).picture for attack in scores.attacks])) for name in sets
    ]


def _p_values(scores: Scores, attack: AttackKey, sets: Sequence[str]) -> Iterator[tuple[Sample, Floats]]:
    """Each set under an attack, with the p-values of its pictures; nothing where no unseen picture was scored."""
    first, unseen = (scores.sample(attack, name) for name in sets)
    if len(unseen):
        yield first, conformal_p(first.score, unseen.score)
        # each counts itself as one that is as high: (1 + others as high) / (1 + others)
        yield unseen, (conformal_p(unseen.score, unseen.score) * (1 + len(unseen)) - 1) / len(unseen)


def _details(
    scores: Scores, attack: AttackKey, sets: Sequence[str], chosen: Sequence[Codes]
) -> list[list[tuple[float, float, int] | None]]:
    """Of the chosen pictures of each set: score, p-value and code of the digest under an attack; None: not scored."""
    found: list[list[tuple[float, float, int] | None]] = [[None] * len(one) for one in chosen]
    for side, (sample, p) in enumerate(_p_values(scores, attack, sets)):
        among = np.flatnonzero(np.isin(sample.picture, chosen[side]))
        columns = (sample.score[among], p[among], sample.rows.column("sha256")[among])
        at = np.searchsorted(chosen[side], sample.picture[among]).tolist()
        for place, *told in zip(at, *(column.tolist() for column in columns), strict=True):
            found[side][place] = (told[0], told[1], told[2])
    return found


def _exposed(
    scores: Scores, set_name: str, name: int, value: float, told: Sequence[tuple[float, float, int] | None]
) -> Exposed:
    columns = scores.columns
    known = [(one[1], attack, one[2]) for one, attack in zip(told, scores.attacks, strict=True) if one is not None]
    _, attack, digest = min(known, key=lambda one: one[0])  # of equal ones the first named
    (picture,), (sha256,) = columns.names.decode(np.array([name])), columns.digests.decode(np.array([digest]))
    return Exposed(
        picture=str(picture),
        sha256=None if digest == MISSING else sha256,
        set=set_name,
        p_value=value,
        attack=attack,
        by_attack=tuple(one and (one[0], one[1]) for one in told),
    )
