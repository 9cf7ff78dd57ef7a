"""Which rows count: every picture given is accounted for, and no picture counts twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainedon.evidence.table.clusters import ENCODER, changes, linked, smallest_in_clusters
from trainedon.evidence.table.feature_table import Looks
from trainedon.evidence.table.picture_table import Inventory, Pictures, inventory
from trainedon.evidence.table.rows import SETS, Columns, Rows, stand_ins
from trainedon.evidence.table.scores import NO_ROW, Scores
from trainedon.evidence.table.stream import give_back
from trainedon.evidence.table.texts import NONE, Words

SALT = b"trainedon/standard-1/cluster\x1f"  # named apart from the salt of the calibration half
NOT_LISTED = "it is not in the list of pictures"
OTHER_DIGEST = "its digest is not that of the picture in the list"
TWIN = "also among the suspects"  # the inventory's reason for an unseen picture that equals a suspect
MEMBER = "also among the members"
FIRST = np.array([("member", "suspect", "unseen").index(name) for name in SETS], np.int8)  # of equal pictures


def prepare(
    scores: Scores, sets: Sequence[str], pictures: Pictures | None = None, looks: Looks | None = None
) -> Scores:
    """The rows of `sets`, joined to the inventory, copies without a score, near-duplicates marked by what stands for
    them.

    pictures: `pictures.parquet`, or its rows. looks: what an encoder says of them. Without pictures only the table's
    own column `cluster` says which are near-duplicates.
    """
    return prepared(scores, sets, pictures, looks)[0]


def prepared(
    scores: Scores, sets: Sequence[str], pictures: Pictures | None, looks: Looks | None
) -> tuple[Scores, Inventory | None]:
    """What `prepare` gives, and the inventory."""
    scores, listed = scores.of_sets(*sets), None
    if pictures is not None:
        scores, listed = joined(scores, pictures)
        give_back()
        scores = _with_clusters(with_twins(_complete(scores, listed, sets)), listed, listed.of_sets(sets), looks)
    scores = one_per_cluster(without_duplicates(scores))
    give_back()
    return scores, listed


def joined(scores: Scores, pictures: Pictures) -> tuple[Scores, Inventory]:
    """The scores and the inventory, both with the texts of either."""
    columns = scores.columns
    listed = inventory(pictures, columns.names, columns.marks)
    if listed.names is not columns.names or listed.marks is not columns.marks:
        scores = Scores(columns.renumbered(listed.names, listed.marks))
    return scores, listed


def complete(scores: Scores, pictures: Pictures, sets: Sequence[str]) -> Scores:
    """Join the inventory to the scores, so that every picture given is accounted for under every attack, and no other.

    A picture that the inventory excludes, does not list, or lists with another digest loses its score for that reason;
    one without a row gets an unscored row. `pictures`: `pictures.parquet` or its rows, of which those in `sets` are
    considered.
    """
    return _complete(*joined(scores, pictures), sets)


def _complete(scores: Scores, listed: Inventory, sets: Sequence[str]) -> Scores:
    among = listed.of_sets(sets)
    columns, words = scores.columns, Words(scores.columns.reasons)
    place = listed.place(columns.set, columns.picture)
    place[~np.append(among, False)[place]] = NONE
    reason = _unlisted(columns, listed, place, words)
    unfit = reason != NONE
    if unfit.any():
        score, why = np.where(unfit, np.nan, columns.score), np.where(unfit, reason, columns.reason)
        columns = replace(columns, score=score, reason=why)
    due = _distinct(listed, among)
    without = words[NO_ROW]
    for attack in scores.attacks:
        known = np.zeros(len(listed) + 1, dtype=bool)  # the last is for rows that are not listed
        known[place[scores.of_attack(attack).places]] = True
        missing = due[~known[due]]
        if not len(missing):
            continue
        why = np.array([words[why] for why in listed.reasons] + [without], np.int32)[listed.reason[missing]]
        columns = columns.joined(_unscored(columns, listed, missing, columns.attacks.index(attack), why))
    return Scores(replace(columns, reasons=tuple(words)))


def _unlisted(columns: Columns, listed: Inventory, place: np.ndarray, words: Words) -> np.ndarray:
    """Why the inventory does not let a row count, if so: int32 (n,) of `words`. place: of each row in the inventory."""
    digest = np.append(listed.sha256, np.int32(NONE))[place]
    other = (columns.sha256 != NONE) & (digest != NONE) & (digest != columns.sha256)
    why = np.array([words[why] for why in listed.reasons] + [NONE], np.int32)
    reason = why[np.append(listed.reason, np.int32(NONE))[place]]
    reason[other] = words[OTHER_DIGEST]
    reason[(place == NONE) & np.isfinite(columns.score)] = words[NOT_LISTED]
    return reason


def _distinct(listed: Inventory, among: np.ndarray) -> np.ndarray:
    """The places of listed pictures, each once, the last of those that have one set and name."""
    places = np.flatnonzero(among)
    last = listed.place(listed.set[places], listed.picture[places])
    return last if np.array_equal(last, places) else np.array([*dict.fromkeys(last.tolist())])


def _unscored(columns: Columns, listed: Inventory, places: np.ndarray, attack: int, reason: np.ndarray) -> Columns:
    n = len(places)
    nothing, unknown = np.full(n, NONE, np.int32), np.full(n, np.nan)
    return replace(
        columns,
        picture=listed.picture[places],
        set=listed.set[places],
        attack=np.full(n, attack, np.int32),
        sha256=listed.sha256[places],
        score=unknown,
        reason=reason,
        nfe=unknown,
        seconds=unknown,
        cluster=nothing,
        near=nothing,
    )


def _with_clusters(scores: Scores, listed: Inventory, among: np.ndarray, looks: Looks | None) -> Scores:
    """Rows without a cluster with that of their picture, by hash and, where its thresholds were measured, by the
    encoder."""
    cluster = np.append(near_duplicates(listed, among, looks), np.int32(NONE))
    columns = scores.columns
    own = cluster[listed.place(columns.set, columns.picture)]
    return Scores(replace(columns, cluster=np.where(columns.cluster == NONE, own, columns.cluster)))


def near_duplicates(listed: Inventory, among: np.ndarray, looks: Looks | None) -> np.ndarray:
    """The cluster of every picture that has a near-duplicate among those of `among`, bool (n,): int32 (n,) of marks.

    A picture without a digest or a perceptual hash, or with a reason not to be used, is in no cluster.
    """
    rows = np.flatnonzero(among & listed.hashed & (listed.reason == NONE) & (listed.sha256 != NONE))
    seen, features = np.empty(0, np.int64), []
    if looks is not None and looks.encoder == ENCODER:
        back = np.full(len(listed) + 1, NONE)
        back[rows] = np.arange(len(rows))
        at = back[listed.places(looks.features)]
        seen = np.sort(at[at != NONE])
        features = [row for _, row in sorted(zip(at.tolist(), looks.features.values()), key=lambda one: one[0])]
        features = features[len(features) - len(seen) :]
    root = linked(listed.phash[rows], listed.colour[rows], seen, features)
    out = np.full(len(listed), NONE, np.int32)
    out[rows] = smallest_in_clusters(root, listed.sha256[rows])
    return out


def with_twins(scores: Scores) -> Scores:
    """Unseen pictures that were not scored for being among the suspects too, with the score of their equal.

    A score depends on the picture, the model and the choices alone, so the equal's score is theirs.
    """
    columns = scores.columns
    if TWIN not in columns.reasons:
        return scores
    twin = columns.reason == columns.reasons.index(TWIN)
    equal = (columns.set == SETS.index("suspect")) & np.isfinite(columns.score) & (columns.sha256 != NONE)
    key = columns.attack.astype(np.int64) * len(columns.marks) + columns.sha256
    known, last = np.unique(key[equal][::-1], return_index=True)
    of_known = columns.score[equal][::-1][last]
    asked = np.flatnonzero(twin & (columns.sha256 != NONE) & np.isin(key, known))
    score, reason = columns.score.copy(), columns.reason.copy()
    score[asked] = of_known[np.searchsorted(known, key[asked])]
    reason[asked] = NONE
    return Scores(replace(columns, score=score, reason=reason))


def without_duplicates(scores: Scores) -> Scores:
    """Take the score from every picture whose bytes were already counted, so that no picture counts twice.

    Inside a set the first by name stays. A picture that is also a member is not unseen: it leaves the unseen. One that
    is also a suspect forms a cluster with it. Rows without a sha256 are never taken for duplicates.
    """
    columns, words = scores.columns, Words(scores.columns.reasons)
    rows = np.flatnonzero(np.isfinite(columns.score) & (columns.sha256 != NONE)).astype(np.int32)
    keys = (columns.attack, columns.sha256, FIRST[columns.set], columns.picture)
    rows = rows[np.lexsort([key[rows] for key in reversed(keys)])]
    same = _first_of_group(columns.attack[rows], columns.sha256[rows])  # under any set
    again = _first_of_group(columns.attack[rows], columns.sha256[rows], columns.set[rows])  # in its own set
    place = np.arange(len(rows), dtype=np.int32)
    copies = np.flatnonzero(again != place)
    across = np.flatnonzero((again == place) & (same != place))
    if not len(copies) and not len(across):
        return scores
    score, reason, cluster = columns.score.copy(), columns.reason.copy(), columns.cluster.copy()
    names = columns.names.of(columns.picture[rows[again[copies]]])
    reason[rows[copies]] = [words[f"exact duplicate of {name}"] for name in names]
    given = columns.set[rows[same[across]]] == SETS.index("member")
    reason[rows[across[given]]] = words[MEMBER] if given.any() else NONE
    score[rows[np.concatenate([copies, across[given]])]] = np.nan
    one, other = rows[same[across[~given]]], rows[across[~given]]
    name = np.where(cluster[one] != NONE, cluster[one], cluster[other])
    cluster[one] = cluster[other] = np.where(name != NONE, name, columns.sha256[other])
    return Scores(replace(columns, score=score, reason=reason, cluster=cluster, reasons=tuple(words)))


def _first_of_group(*keys: np.ndarray) -> np.ndarray:
    """The place of the first row of each row's group, int32 (n,); rows of one group are neighbours, equal in keys."""
    new = np.any([changes(key) for key in keys], axis=0)
    return np.flatnonzero(new).astype(np.int32)[np.cumsum(new, dtype=np.int32) - 1]


def one_per_cluster(scores: Scores) -> Scores:
    """Of near-duplicates one picture counts; the others are told by `near` which one stands for them.

    The choice is by digest, and blind to scores and sets: any preference would make the two sets differ in which kinds
    of picture are left in them, and coins that decided about pictures unfair. docs/evidence.md has the example.
    """
    columns = scores.columns
    rows = np.flatnonzero(np.isfinite(columns.score) & (columns.cluster != NONE))
    rows = rows[np.lexsort((columns.cluster[rows], columns.attack[rows]))]
    first = _first_of_group(columns.attack[rows], columns.cluster[rows])
    rows = rows[np.bincount(first, minlength=len(rows))[first] > 1]
    keys = (columns.attack[rows], columns.cluster[rows])
    rows = rows[np.lexsort((columns.picture[rows], _order(Rows(columns, rows)), *reversed(keys)))]
    first = _first_of_group(columns.attack[rows], columns.cluster[rows])
    others = np.flatnonzero(first != np.arange(len(rows)))
    near = columns.near.copy()
    near[rows[others]] = columns.picture[rows[first[others]]]
    return Scores(replace(columns, near=near))


def _order(rows: Rows) -> np.ndarray:
    """An order that means nothing, bytes (n,), 32 each. Copies in different sets have one digest, so the set is hashed
    with it: by name, one set would always win."""
    sets = (SETS[number].encode() for number in rows.column("set").tolist())
    both = zip(stand_ins(rows), sets, strict=True)
    hashes = (hashlib.sha256(SALT + digest.encode() + name).digest() for digest, name in both)
    return np.fromiter(hashes, dtype="S32", count=len(rows))
