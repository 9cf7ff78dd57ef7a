"""Of near-duplicates one picture counts, chosen so that nothing is found where there is nothing."""

import hashlib

import numpy as np
import pytest

from trainedon.evidence import Scores, audit_table, evaluate_table
from trainedon.evidence.statistics.pvalues import Deals, permutation_test
from trainedon.evidence.table.deduplicate import deduplicate, one_per_cluster

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
    assert {r.near for r in found.rows if r.cluster == "a" and r != first} == {first.picture}
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


@pytest.mark.parametrize("asked", ["suspect", "member"])
@pytest.mark.parametrize("known", ["digests", "names", "equal bytes"])
def test_the_choice_is_blind_to_the_set(asked, known):
    table = [row(f"{i}", name, i, f"c{i}") for i in range(200) for name in (asked, "unseen")]
    if known == "names":
        table = [r | {"sha256": None} for r in table]
    if known == "equal bytes":
        table = [r | {"sha256": hashlib.sha256(r["picture"].encode()).hexdigest(), "cluster": None} for r in table]
    found = counted(deduplicate(Scores.from_rows(table), (asked, "unseen")))
    if known == "equal bytes" and asked == "member":
        assert found == {("member", f"{i}") for i in range(200)}, "what was trained on is not unseen"
    else:
        assert 70 < sum(name == asked for name, _ in found) < 130
        assert len(found) == 200


def test_an_unseen_picture_that_equals_a_suspect_is_scored_as_its_equal():
    table = [row(f"{i}", "suspect", float(i)) for i in range(40)]
    listed = [{k: r[k] for k in ("picture", "set", "sha256")} | {"reason": None} for r in table]
    twins = [
        r | {"set": "unseen", "picture": f"twin of {r['picture']}", "reason": "also among the suspects"} for r in listed
    ]
    found = deduplicate(Scores.from_rows(table), SETS, listed + twins)
    score = {(r.set, r.picture): r.score for r in found.rows}
    assert all(score["unseen", f"twin of {i}"] == score["suspect", f"{i}"] == i for i in range(40))
    assert 8 < sum(name == "suspect" for name, _ in counted(found)) < 32


def test_only_pictures_of_the_list_count_and_only_with_its_digest():
    table = [row(f"{i}", "suspect", float(i)) for i in range(4)]
    listed = [{k: r[k] for k in ("picture", "set", "sha256")} | {"reason": None} for r in table[1:]]
    listed[0]["sha256"] = "0" * 64
    found = deduplicate(Scores.from_rows(table), SETS, listed)
    assert counted(found) == {("suspect", "2"), ("suspect", "3")}
    assert {r.picture: r.reason for r in found.rows if r.reason} == {
        "0": "it is not in the list of pictures",
        "1": "its digest is not that of the picture in the list",
    }


def test_names_keep_their_spaces():
    table = [row(f" {i}", "suspect", float(i)) for i in range(3)]
    listed = [{k: r[k] for k in ("picture", "set", "sha256")} | {"reason": None} for r in table]
    assert len(counted(deduplicate(Scores.from_rows(table), SETS, listed))) == 3


@pytest.mark.parametrize("twins", ["alike", "equal"])
def test_motifs_that_come_in_pairs_raise_no_false_alarm(twins):
    """Pictures of common motifs score higher and have twins in both sets: leaving only suspects to them would alarm."""
    rng = np.random.default_rng(0)
    p = []
    for _ in range(60):
        motif = np.arange(120).repeat(2) < 60  # pictures in pairs; half of the pairs are a common motif
        cluster = [f"c{i // 2}" if motif[i] else None for i in range(240)]
        value = rng.normal(size=240) + 2 * motif
        where = rng.permutation(np.arange(240) < 80)
        if twins == "equal":
            value[1::2] = value[::2]
        table = [row(f"{i}", SETS[int(not s)], v, c) for i, (s, v, c) in enumerate(zip(where, value, cluster))]
        if twins == "equal":
            same = [hashlib.sha256(f"{i // 2}".encode()).hexdigest() for i in range(240)]
            table = [r | {"sha256": d, "cluster": None} if m else r for r, d, m in zip(table, same, motif)]
        scores = deduplicate(Scores.from_rows(table), SETS)
        p.append(permutation_test(*(scores.sample(scores.attacks[0], name).score for name in SETS), Deals(199)).p_value)
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
    found = audit_table(Scores.from_rows(table))
    assert (found.attacks[0].n_suspects, found.attacks[0].n_unseen) == (20, 20)
    assert (found.duplicates.n_near, found.duplicates.n_across, found.duplicates.sought) == (160, 0, True)
    assert len(found.duplicates.examples) == 20
    assert "near-duplicates" in [flag.code for flag in found.flags]
    assert len(found.pictures) == 100
    assert sum(one.p_value is not None for one in found.pictures) == 20
    assert all((one.near is None) == (one.p_value is not None) == (one.q_value is not None) for one in found.pictures)


@pytest.mark.parametrize("kind", [audit_table, evaluate_table])
def test_near_duplicates_across_the_sets_are_flagged(kind):
    asked = "suspect" if kind is audit_table else "member"
    table = [
        row(f"{i}", name, i + (name == asked), f"c{i}" if i < 3 else None)
        for i in range(30)
        for name in (asked, "unseen")
    ]
    found = kind(Scores.from_rows(table))
    assert found.duplicates.n_across == 3
    assert "near-duplicates-across" in [flag.code for flag in found.flags]
