"""Which rows count: every picture given is accounted for, and no picture counts twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from trainedon.evidence.looks import Looks, near_duplicates
from trainedon.evidence.scores import NO_ROW, Row, Scores, as_text

SALT = b"trainedon/standard-1/cluster\x1f"  # named apart from the salt of the calibration half
NOT_LISTED = "it is not in the list of pictures"
TWIN = "also among the suspects"  # the inventory's reason for an unseen picture that equals a suspect
Pictures = Sequence[Mapping[str, object]]


def prepare(
    scores: Scores, sets: Sequence[str], pictures: Pictures | None = None, looks: Looks | None = None
) -> Scores:
    """The rows of `sets`, joined to the inventory, copies without a score, near-duplicates marked by what stands for
    them.

    pictures: rows of `pictures.parquet`. looks: what an encoder says of them. Without pictures only the table's own
    column `cluster` says which are near-duplicates.
    """
    scores = scores.of_sets(*sets)
    if pictures is not None:
        scores = with_twins(complete(scores, pictures, sets))
        names = near_duplicates([picture for picture in pictures if picture["set"] in sets], looks)
        scores = Scores(
            tuple(row._replace(cluster=row.cluster or names.get((row.set, row.picture))) for row in scores.rows)
        )
    return one_per_cluster(without_duplicates(scores))


def complete(scores: Scores, pictures: Iterable[Mapping[str, object]], sets: Sequence[str]) -> Scores:
    """Join the inventory to the scores, so that every picture given is accounted for under every attack, and no other.

    A picture that the inventory excludes, does not list, or lists with another digest loses its score for that reason;
    one without a row gets an unscored row. `pictures`: rows of `pictures.parquet`, of which those in `sets` are
    considered.
    """
    listed = {(str(p["set"]), str(p["picture"])): p for p in pictures if p["set"] in sets}
    rows = []
    for row in scores.rows:
        reason = _unlisted(row, listed.get((row.set, row.picture)))
        rows.append(row._replace(score=None, reason=reason) if reason else row)
    for attack in scores.attacks:
        known = {(row.set, row.picture) for row in scores.rows if (row.attack, row.attack_repr) == attack}
        for (set_name, picture), item in listed.items():
            if (set_name, picture) not in known:
                reason = str(item.get("reason") or NO_ROW)
                rows.append(Row(picture, set_name, *attack, as_text(item.get("sha256")), None, reason, None, None))
    return Scores(tuple(rows))


def _unlisted(row: Row, item: Mapping[str, object] | None) -> str | None:
    """Why the inventory does not let a row count, if so."""
    if item is None:
        return NOT_LISTED if row.score is not None else None
    if row.sha256 is not None and item.get("sha256") not in (None, row.sha256):
        return "its digest is not that of the picture in the list"
    return str(item["reason"]) if item.get("reason") else None


def with_twins(scores: Scores) -> Scores:
    """Unseen pictures that were not scored for being among the suspects too, with the score of their equal.

    A score depends on the picture, the model and the choices alone, so the equal's score is theirs.
    """
    suspects = {
        (row.attack, row.attack_repr, row.sha256): row.score
        for row in scores.rows
        if row.set == "suspect" and row.score is not None and row.sha256 is not None
    }
    rows = []
    for row in scores.rows:
        score = suspects.get((row.attack, row.attack_repr, row.sha256)) if row.reason == TWIN else None
        rows.append(row if score is None else row._replace(score=score, reason=None))
    return Scores(tuple(rows))


def without_duplicates(scores: Scores) -> Scores:
    """Take the score from every picture whose bytes were already counted, so that no picture counts twice.

    Inside a set the first by name stays. A picture that is also a member is not unseen: it leaves the unseen. One that
    is also a suspect forms a cluster with it. Rows without a sha256 are never taken for duplicates.
    """
    order = {"member": 0, "suspect": 1, "unseen": 2}
    first: dict[tuple[str, str, str], Row] = {}
    changed: dict[Row, Row] = {}
    for row in sorted(scores.rows, key=lambda row: (order[row.set], row.picture)):
        if row.score is None or row.sha256 is None:
            continue
        same = first.setdefault((row.attack, row.attack_repr, row.sha256), row)
        again = first.setdefault((row.attack, row.attack_repr, f"{row.set} {row.sha256}"), row)
        if again is not row:
            changed[row] = row._replace(score=None, reason=f"exact duplicate of {again.picture}")
        elif same is not row and same.set == "member":
            changed[row] = row._replace(score=None, reason="also among the members")
        elif same is not row:
            name = same.cluster or row.cluster or row.sha256
            changed |= {one: one._replace(cluster=name) for one in (same, row)}
    return Scores(tuple(changed.get(row, row) for row in scores.rows))


def one_per_cluster(scores: Scores) -> Scores:
    """Of near-duplicates one picture counts; the others are told by `near` which one stands for them.

    The choice is by digest, and blind to scores and sets: any preference would make the two sets differ in which kinds
    of picture are left in them, and coins that decided about pictures unfair. docs/evidence.md has the example.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in scores.rows:
        if row.score is not None and row.cluster is not None:
            groups.setdefault((row.attack, row.attack_repr, row.cluster), []).append(row)
    near: dict[Row, str] = {}
    for group in groups.values():
        first, *others = sorted(group, key=_order)
        near |= dict.fromkeys(others, first.picture)
    return Scores(tuple(row._replace(near=near[row]) if row in near else row for row in scores.rows))


def _order(row: Row) -> tuple[bytes, str]:
    """Copies in different sets have one digest, so the set is hashed with it: by name, one set would always win."""
    digest = row.sha256 or hashlib.sha256(row.picture.encode()).hexdigest()
    return hashlib.sha256(SALT + digest.encode() + row.set.encode()).digest(), row.picture
