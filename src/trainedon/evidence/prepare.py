"""Which rows count: every picture given is accounted for, and no picture counts twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from trainedon.evidence.looks import Looks, near_duplicates
from trainedon.evidence.scores import NO_ROW, Row, Scores, as_text

SALT = b"trainedon/standard-1/cluster\x1f"  # named apart from the salt of the calibration half
Pictures = Sequence[Mapping[str, object]]


def prepare(
    scores: Scores,
    sets: Sequence[str],
    pictures: Pictures | None = None,
    looks: Looks | None = None,
    *,
    drawn: bool = False,
) -> Scores:
    """The rows of `sets`, joined to the inventory, copies without a score, near-duplicates marked by what stands for
    them.

    pictures: rows of `pictures.parquet`. looks: what an encoder says of them. Without pictures only the table's own
    column `cluster` says which are near-duplicates. drawn: whether coins decided which pictures are members.
    """
    scores = scores.of_sets(*sets)
    if pictures is not None:
        scores = complete(scores, pictures, sets)
        names = near_duplicates([picture for picture in pictures if picture["set"] in sets], looks)
        scores = Scores(
            tuple(row._replace(cluster=row.cluster or names.get((row.set, row.picture))) for row in scores.rows)
        )
    return one_per_cluster(without_duplicates(scores), members_first=not drawn)


def complete(scores: Scores, pictures: Iterable[Mapping[str, object]], sets: Sequence[str]) -> Scores:
    """Join the inventory to the scores, so that every picture given is accounted for under every attack.

    A picture that the inventory excludes loses its score and takes the inventory's reason; one without a row gets an
    unscored row. `pictures`: rows of `pictures.parquet`, of which those in `sets` are considered.
    """
    listed = {(str(p["set"]), str(p["picture"])): p for p in pictures if p["set"] in sets}
    rows = []
    for row in scores.rows:
        reason = listed.get((row.set, row.picture), {}).get("reason")
        rows.append(row._replace(score=None, reason=str(reason)) if reason else row)
    for attack in scores.attacks:
        known = {(row.set, row.picture) for row in scores.rows if (row.attack, row.attack_repr) == attack}
        for (set_name, picture), item in listed.items():
            if (set_name, picture) not in known:
                reason = str(item.get("reason") or NO_ROW)
                rows.append(Row(picture, set_name, *attack, as_text(item.get("sha256")), None, reason, None, None))
    return Scores(tuple(rows))


def without_duplicates(scores: Scores) -> Scores:
    """Take the score from every picture whose bytes were already counted, so that no picture counts twice.

    Inside a set the first by name stays. A picture that is also a suspect or a member is not unseen: it leaves the
    unseen. Rows without a sha256 are never taken for duplicates.
    """
    order = {"member": 0, "suspect": 1, "unseen": 2}
    said = {"member": "also among the members", "suspect": "also among the suspects"}
    first: dict[tuple[str, str, str], Row] = {}
    reasons: dict[Row, str] = {}
    for row in sorted(scores.rows, key=lambda row: (order[row.set], row.picture)):
        if row.score is None or row.sha256 is None:
            continue
        earlier = first.setdefault((row.attack, row.attack_repr, row.sha256), row)
        if earlier is not row:
            same = earlier.set == row.set
            reasons[row] = f"exact duplicate of {earlier.picture}" if same else said[earlier.set]
    return Scores(
        tuple(row._replace(score=None, reason=reasons[row]) if row in reasons else row for row in scores.rows)
    )


def one_per_cluster(scores: Scores, members_first: bool = True) -> Scores:
    """Of near-duplicates one picture counts; the others are told by `near` which one stands for them.

    Where a member is among them a member counts: what is nearly a training picture is not unseen. Otherwise the choice
    is by digest and blind to the set, since any preference would make the two sets differ in which kinds of picture are
    left in them; docs/evidence.md has the example. Coins that decided about members must stay fair, too.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in scores.rows:
        if row.score is not None and row.cluster is not None:
            groups.setdefault((row.attack, row.attack_repr, row.cluster), []).append(row)
    near: dict[Row, str] = {}
    for group in groups.values():
        first, *others = sorted(group, key=lambda row: (members_first and row.set != "member", *_order(row)))
        near |= dict.fromkeys(others, first.picture)
    return Scores(tuple(row._replace(near=near[row]) if row in near else row for row in scores.rows))


def _order(row: Row) -> tuple[bytes, str, str]:
    digest = row.sha256 or hashlib.sha256(row.picture.encode()).hexdigest()
    return hashlib.sha256(SALT + digest.encode()).digest(), row.set, row.picture
