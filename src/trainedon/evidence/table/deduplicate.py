"""Which rows count: every picture given is accounted for, and no picture counts twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from trainedon.evidence.table.clusters import ENCODER, changes, linked, smallest_in_clusters
from trainedon.evidence.table.codes import MISSING, Codebook, Codes, DictionaryBuilder, lookup
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.memory import release_unused
from trainedon.evidence.table.picture_table import Facts, Mask, Pictures, PictureTable
from trainedon.evidence.table.rows import SETS, Column, Columns, Indices, Rows, picture_ids
from trainedon.evidence.table.scores import NO_ROW, Scores

SALT = b"trainedon/standard-1/cluster\x1f"  # another than that of the calibration half
NOT_LISTED = "it is not in the list of pictures"
OTHER_DIGEST = "its digest is not that of the picture in the list"
TWIN = "also among the suspects"  # the inventory's reason for an unseen picture that equals a suspect
MEMBER = "also among the members"
FIRST = np.array([("member", "suspect", "unseen", "kept").index(name) for name in SETS], np.int8)  # of equal pictures


def deduplicate(
    scores: Scores, sets: Sequence[str], pictures: Pictures | None = None, features: FeatureTable | None = None
) -> Scores:
    """The rows of `sets`, joined to the inventory, copies without a score, near-duplicates marked by what stands for
    them.

    pictures: `pictures.parquet`, or its rows. features: those of an encoder. Without pictures only the table's
    own column `cluster` says which are near-duplicates.
    """
    return deduplicated(scores, sets, pictures, features)[0]


def deduplicated(
    scores: Scores, sets: Sequence[str], pictures: Pictures | None, features: FeatureTable | None
) -> tuple[Scores, PictureTable | None]:
    """What `deduplicate` gives, and the inventory."""
    scores, listed = scores.of_sets(*sets), None
    if pictures is not None:
        scores, listed = joined(scores, pictures)
        release_unused()
        scores = _with_clusters(with_twins(_complete(scores, listed, sets)), listed, listed.in_sets(sets), features)
        scores = _with_sources(scores, listed)
    scores = one_per_cluster(without_duplicates(scores))
    release_unused()
    return scores, listed


def joined(scores: Scores, pictures: Pictures) -> tuple[Scores, PictureTable]:
    """The scores and the inventory in codes of the same dictionaries."""
    columns = scores.columns
    names, digests = DictionaryBuilder(columns.names), DictionaryBuilder(columns.digests)
    listed = PictureTable.read(pictures, names, digests)
    if listed.names is columns.names and listed.digests is columns.digests:
        return scores, listed
    return Scores(columns.with_dictionaries(listed.names, names.known, listed.digests, digests.known)), listed


def complete(scores: Scores, pictures: Pictures, sets: Sequence[str]) -> Scores:
    """Join the inventory to the scores, so that every picture given is accounted for under every attack, and no other.

    A picture that the inventory excludes, does not list, or lists with another digest loses its score for that reason;
    one without a row gets an unscored row. `pictures`: `pictures.parquet` or its rows, of which those in `sets` are
    considered.
    """
    return _complete(*joined(scores, pictures), sets)


def _complete(scores: Scores, listed: PictureTable, sets: Sequence[str]) -> Scores:
    columns, among = scores.columns, listed.in_sets(sets)
    reasons = Codebook.of(columns.reasons)
    row = listed.rows_of(columns.set, columns.picture)
    row[~lookup(among, row, False)] = MISSING
    reason = _why_unfit(columns, listed, row, reasons)
    unfit = reason != MISSING
    if unfit.any():
        score, why = np.where(unfit, np.nan, columns.score), np.where(unfit, reason, columns.reason)
        columns = replace(columns, score=score, reason=why)
    due, no_row = _each_once(listed, among), reasons[NO_ROW]
    for attack in scores.attacks:
        has_row = np.zeros(len(listed) + 1, dtype=bool)  # the last is for rows that are not listed
        has_row[row[scores.of_attack(attack).indices]] = True
        missing = due[~has_row[due]]
        if len(missing):
            why = lookup(_codes(listed.reasons, reasons), listed.reason[missing], no_row)
            columns = columns.followed_by(_unscored(columns, listed, missing, columns.attacks.index(attack), why))
    return Scores(replace(columns, reasons=tuple(reasons)))


def _why_unfit(columns: Columns, listed: PictureTable, row: Indices, reasons: Codebook[str]) -> Codes:
    """Why the inventory does not let a score count, if so: (n,), of `reasons`. row: of each score in the inventory."""
    digest = lookup(listed.sha256, row)
    other = (columns.sha256 != MISSING) & (digest != MISSING) & (digest != columns.sha256)
    reason = lookup(_codes(listed.reasons, reasons), lookup(listed.reason, row))
    reason[other] = reasons[OTHER_DIGEST]
    reason[(row == MISSING) & np.isfinite(columns.score)] = reasons[NOT_LISTED]
    return reason


def _codes(texts: Sequence[str], codebook: Codebook[str]) -> Codes:
    return np.array([codebook[text] for text in texts], np.int32)


def _each_once(listed: PictureTable, among: Mask) -> Indices:
    """The rows of listed pictures, each once: the last of those that have one set and name."""
    rows = np.flatnonzero(among)
    last = listed.rows_of(listed.set[rows], listed.picture[rows])
    return last if np.array_equal(last, rows) else np.array([*dict.fromkeys(last.tolist())])


def _unscored(columns: Columns, listed: PictureTable, rows: Indices, attack: int, reason: Codes) -> Columns:
    """Rows without a score, for the pictures at `rows` of the inventory."""
    nothing, unknown = np.full(len(rows), MISSING, np.int32), np.full(len(rows), np.nan)
    return replace(
        columns,
        picture=listed.picture[rows],
        set=listed.set[rows],
        attack=np.full(len(rows), attack, np.int32),
        sha256=listed.sha256[rows],
        score=unknown,
        reason=reason,
        nfe=unknown,
        seconds=unknown,
        cluster=nothing,
        near=nothing,
        source=nothing,
    )


def _with_clusters(scores: Scores, listed: PictureTable, among: Mask, features: FeatureTable | None) -> Scores:
    """Rows that the table gives no cluster with that of their picture."""
    columns = scores.columns
    found = lookup(near_duplicate_clusters(listed, among, features), listed.rows_of(columns.set, columns.picture))
    return Scores(replace(columns, cluster=np.where(columns.cluster == MISSING, found, columns.cluster)))


def _with_sources(scores: Scores, listed: PictureTable) -> Scores:
    """Rows to which the table gives no source with that of their picture."""
    if not listed.sources:
        return scores
    columns, sources = scores.columns, Codebook.of(scores.columns.sources)
    known = _codes(listed.sources, sources)
    found = lookup(known, lookup(listed.whose, listed.rows_of(columns.set, columns.picture)))
    source = np.where(columns.source == MISSING, found, columns.source)
    return Scores(replace(columns, source=source, sources=tuple(sources)))


def near_duplicates(pictures: Sequence[Facts], features: FeatureTable | None = None) -> dict[tuple[str, str], str]:
    """The clusters of near-duplicates among all `pictures`: (set, picture) -> the smallest sha256 in its cluster.

    pictures: rows of the inventory. One alone in its cluster is left out. `near_duplicate_clusters` says what counts.
    """
    listed = PictureTable.read(pictures)
    cluster = near_duplicate_clusters(listed, np.ones(len(listed), dtype=bool), features)
    rows = np.flatnonzero(cluster != MISSING)
    found = zip(listed.facts(rows, ("set", "picture")), listed.digests.decode(cluster[rows]), strict=True)
    return {(row["set"], row["picture"]): str(sha256) for row, sha256 in found}


def near_duplicate_clusters(listed: PictureTable, among: Mask, features: FeatureTable | None) -> Codes:
    """The cluster of every picture that has a near-duplicate among those of `among`: (n,), of digests, the smallest in
    it; MISSING for all others.

    Near-duplicates are found by perceptual hash and, where features are of ENCODER, by these. A picture without a
    digest or a perceptual hash, or with a reason not to be used, is in no cluster.
    """
    rows = np.flatnonzero(among & listed.hashed & listed.usable & (listed.sha256 != MISSING))
    seen, vectors = np.empty(0, np.int64), []
    if features is not None and features.encoder == ENCODER:
        place = np.full(len(listed) + 1, MISSING)  # of each picture among `rows`
        place[rows] = np.arange(len(rows))
        at = place[listed.find(features.vectors)]
        by_row = np.argsort(at, kind="stable")
        by_row = by_row[at[by_row] != MISSING]
        every = list(features.vectors.values())
        seen, vectors = at[by_row], [every[number] for number in by_row]
    root = linked(listed.phash[rows], listed.colour[rows], seen, vectors)
    out = np.full(len(listed), MISSING, np.int32)
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
    equal = (columns.set == SETS.index("suspect")) & np.isfinite(columns.score) & (columns.sha256 != MISSING)
    key = columns.attack.astype(np.int64) * len(columns.digests) + columns.sha256
    known, last = np.unique(key[equal][::-1], return_index=True)
    of_known = columns.score[equal][::-1][last]
    asked = np.flatnonzero(twin & (columns.sha256 != MISSING) & np.isin(key, known))
    score, reason = columns.score.copy(), columns.reason.copy()
    score[asked] = of_known[np.searchsorted(known, key[asked])]
    reason[asked] = MISSING
    return Scores(replace(columns, score=score, reason=reason))


def without_duplicates(scores: Scores) -> Scores:
    """Take the score from every picture whose bytes were already counted, so that no picture counts twice.

    Inside a set the first by name stays. A picture that is also a member is not unseen: it leaves the unseen. One that
    is also a suspect forms a cluster with it. Rows without a sha256 are never taken for duplicates.
    """
    columns, reasons = scores.columns, Codebook.of(scores.columns.reasons)
    usable = np.isfinite(columns.score) & (columns.sha256 != MISSING)
    rows = _sorted(usable, columns.attack, columns.sha256, FIRST[columns.set], columns.picture)
    equal = rows[_first_of_group(columns.attack[rows], columns.sha256[rows])]  # the first of equal bytes, in any set
    own = rows[_first_of_group(columns.attack[rows], columns.sha256[rows], columns.set[rows])]  # in its own set
    copies, across = own != rows, (own == rows) & (equal != rows)
    if not copies.any() and not across.any():
        return scores
    score, reason, cluster = columns.score.copy(), columns.reason.copy(), columns.cluster.copy()
    names = columns.names.decode(columns.picture[own[copies]])
    reason[rows[copies]] = [reasons[f"exact duplicate of {name}"] for name in names]
    member = across & (columns.set[equal] == SETS.index("member"))
    if member.any():
        reason[rows[member]] = reasons[MEMBER]
    score[rows[copies | member]] = np.nan
    one, other = equal[across & ~member], rows[across & ~member]
    name = np.where(cluster[one] != MISSING, cluster[one], cluster[other])
    cluster[one] = cluster[other] = np.where(name != MISSING, name, columns.sha256[other])
    return Scores(replace(columns, score=score, reason=reason, cluster=cluster, reasons=tuple(reasons)))


def one_per_cluster(scores: Scores) -> Scores:
    """Of near-duplicates one picture counts; the others are told by `near` which one stands for them.

    The choice is by digest, and blind to scores and sets: any preference would make the two sets differ in which kinds
    of picture are left in them, and coins that decided about pictures unfair. docs/evidence.md has the example.
    """
    columns = scores.columns
    rows = _sorted(np.isfinite(columns.score) & (columns.cluster != MISSING), columns.attack, columns.cluster)
    first = _first_of_group(columns.attack[rows], columns.cluster[rows])
    rows = rows[np.bincount(first, minlength=len(rows))[first] > 1]
    keys = (columns.picture[rows], _drawn(Rows(columns, rows)), columns.cluster[rows], columns.attack[rows])
    rows = rows[np.lexsort(keys)]
    counts = rows[_first_of_group(columns.attack[rows], columns.cluster[rows])]
    near = columns.near.copy()
    near[rows[rows != counts]] = columns.picture[counts[rows != counts]]
    return Scores(replace(columns, near=near))


def _sorted(among: Mask, *keys: Column) -> Indices:
    """The rows of `among`, int32, in the order of the columns `keys`, the first of which matters most."""
    rows = np.flatnonzero(among).astype(np.int32)
    return rows[np.lexsort([key[rows] for key in reversed(keys)])]


def _first_of_group(*keys: Column) -> Indices:
    """The place of the first row of each row's group, int32 (n,); rows of one group are neighbours, equal in keys."""
    new = np.any([changes(key) for key in keys], axis=0)
    return np.flatnonzero(new).astype(np.int32)[np.cumsum(new, dtype=np.int32) - 1]


def _drawn(rows: Rows) -> npt.NDArray[np.bytes_]:
    """SHA-256 (salt + digest + set) of each row, bytes (n,), 32 each: a random order that is blind to scores and sets.

    The set is hashed too, since copies in different sets have one digest: by name, one set would always win.
    """
    sets = (SETS[code].encode() for code in rows.column("set").tolist())
    both = zip(picture_ids(rows), sets, strict=True)
    hashes = (hashlib.sha256(SALT + picture.encode() + name).digest() for picture, name in both)
    return np.fromiter(hashes, dtype="S32", count=len(rows))
