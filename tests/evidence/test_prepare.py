"""Of near-duplicates one picture counts, chosen so that nothing is found where there is nothing."""

import hashlib

import numpy as np
import pytest

from trainedon.evidence import Scores, audit, evaluate
from trainedon.evidence.prepare import one_per_cluster, prepare
from trainedon.evidence.pvalues import permutation_test

SETS = ("suspect", "unseen")


def row(name, set_name, score, cluster=None, attack="drc"):
    digest = hashlib.sha256(f"{set_name}/{name}".encode()).hexdigest()
    return {"picture": name, "set": set_name, "sha256": digest, "score": score, "cluster": cluster, "attack": attack}


def counted(scores):
    return {(r.set, r.picture) for r in scores.rows if r.score is not None and r.near is None}


def test_one_of_a_cluster_counts_and_the_others_say_which():
    table = [row(f"{i}", "suspect", i, "a" if i < 3 else None) for i in range(5)]
    found = one_per_cluster(Scores.from_rows(table))
    (first,) = [r for r in found.rows if r.cluster == "a" and r.near is None]
    assert {r.near for r in found.rows if r.cluster == "a" and r is not first} == {first.picture}
    assert len(counted(found)) == 3
    sample = found.sample(found.attacks[0], "suspect")
    assert (len(sample), len(sample.copies), len(sample.unscored)) == (3, 2, 0)


def test_the_choice_is_by_digest_and_depends_on_neither_score_nor_order():
    table = [row(f"{i}", "suspect", i, "a") for i in range(9)]
    again = [r | {"score": -r["score"]} for r in table[::-1]]
    assert counted(one_per_cluster(Scores.from_rows(table))) == counted(one_per_cluster(Scores.from_rows(again)))


def test_each_attack_counts_one_of_those_that_it_scored():
    table = [row(f"{i}", "suspect", i, "a", attack) for i in range(4) for attack in ("drc", "loss")]
    first = one_per_cluster(Scores.from_rows(table))
    (kept,) = {picture for _, picture in counted(first)}
    lost = [r | {"score": None} if (r["picture"], r["attack"]) == (kept, "loss") else r for r in table]
    found = one_per_cluster(Scores.from_rows(lost))
    assert {a.name: len(found.sample(a, "suspect")) for a in found.attacks} == {"drc": 1, "loss": 1}


def test_a_member_is_never_represented_by_an_unseen_picture():
    table = [row(f"{i}", "unseen", i, f"c{i}") for i in range(20)] + [
        row(f"{i}", "member", i, f"c{i}") for i in range(20)
    ]
    found = counted(prepare(Scores.from_rows(table), ("member", "unseen")))
    assert found == {("member", f"{i}") for i in range(20)}
    drawn = counted(prepare(Scores.from_rows(table), ("member", "unseen"), drawn=True))
    assert 4 < sum(name == "member" for name, _ in drawn) < 16, "coins decided, and the choice must not favour either"


def test_between_suspects_and_unseen_pictures_the_choice_is_blind():
    table = [row(f"{i}", name, i, f"c{i}") for i in range(200) for name in SETS]
    suspects = sum(name == "suspect" for name, _ in counted(prepare(Scores.from_rows(table), SETS)))
    assert 70 < suspects < 130


def test_motifs_that_come_in_pairs_raise_no_false_alarm():
    """Pictures of common motifs score higher and have twins in both sets: leaving only suspects to them would alarm."""
    rng = np.random.default_rng(0)
    p = []
    for _ in range(60):
        motif = np.arange(120).repeat(2) < 60  # pictures in pairs; half of the pairs are a common motif
        cluster = [f"c{i // 2}" if motif[i] else None for i in range(240)]
        value = rng.normal(size=240) + 2 * motif
        where = rng.permutation(np.arange(240) < 80)
        table = [row(f"{i}", SETS[int(not s)], v, c) for i, (s, v, c) in enumerate(zip(where, value, cluster))]
        scores = prepare(Scores.from_rows(table), SETS)
        p.append(permutation_test(*(scores.sample(scores.attacks[0], name).score for name in SETS), 199).p_value)
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_clusters_of_five_are_five_times_fewer_pictures():
    rng = np.random.default_rng(1)
    base = {name: rng.normal(size=20) for name in SETS}
    table = [
        row(f"{i}-{k}", name, base[name][i] + 0.01 * k, f"{name}{i}")
        for name in SETS
        for i in range(20)
        for k in range(5)
    ]
    found = audit(Scores.from_rows(table))
    assert (found.attacks[0].n_suspects, found.attacks[0].n_unseen) == (20, 20)
    assert (found.duplicates.n_near, found.duplicates.n_across, found.duplicates.sought) == (160, 0, True)
    assert len(found.duplicates.examples) == 20
    assert "near-duplicates" in [flag.code for flag in found.flags]
    assert len(found.pictures) == 100
    assert all(one.p_value is not None for one in found.pictures)
    assert sum(one.near is None for one in found.pictures) == 20


@pytest.mark.parametrize("kind", [audit, evaluate])
def test_near_duplicates_across_the_sets_are_flagged(kind):
    asked = "suspect" if kind is audit else "member"
    table = [
        row(f"{i}", name, i + (name == asked), f"c{i}" if i < 3 else None)
        for i in range(30)
        for name in (asked, "unseen")
    ]
    found = kind(Scores.from_rows(table))
    assert found.duplicates.n_across == 3
    assert "near-duplicates-across" in [flag.code for flag in found.flags]
