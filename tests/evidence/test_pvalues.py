"""p-values: closed forms, naive oracles, scipy, validity under the null."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chisquare, false_discovery_control, mannwhitneyu, rankdata

from trainedon.evidence.statistics.pvalues import (
    FEWER,
    Deals,
    _without_replacement,
    benjamini_hochberg,
    conformal_p,
    holm,
    permutation_test,
    smallest_p,
)
from trainedon.evidence.table.split import seed_of


def test_conformal_by_hand_and_by_counting():
    unseen = np.array([1.0, 2, 2, 3])
    assert conformal_p(np.array([0.0, 1, 2, 2.5, 3, 4]), unseen).tolist() == [1.0, 1.0, 0.8, 0.4, 0.4, 0.2]
    rng = np.random.default_rng(0)
    scores, unseen = rng.integers(0, 9, 50).astype(float), rng.integers(0, 9, 70).astype(float)
    assert conformal_p(scores, unseen).tolist() == [(1 + sum(unseen >= s)) / 71 for s in scores]


@pytest.mark.parametrize("draw", ["continuous", "ties"])
def test_conformal_is_valid_under_the_null(draw):
    rng = np.random.default_rng(1)
    for n in (20, 60, 300):
        size = (2000, n + 1)
        x = rng.normal(size=size) if draw == "continuous" else rng.integers(0, 5, size).astype(float)
        p = np.array([conformal_p(row[:1], row[1:])[0] for row in x])
        for level in (0.01, 0.05, 0.2):
            assert (p <= level).mean() <= level + 3 * np.sqrt(level / len(p))


def test_benjamini_hochberg_agrees_with_scipy():
    rng = np.random.default_rng(0)
    for m in (1, 2, 40):
        p = rng.choice([0.001, 0.01, 0.02, 0.3, 1.0], m) * rng.choice([1, 0.5], m)
        assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))
    assert benjamini_hochberg(np.array([])).tolist() == []


def test_benjamini_hochberg_on_conformal_p_values_keeps_its_rate():
    rng = np.random.default_rng(4)
    wrong = []
    for _ in range(300):
        scores = np.concatenate([rng.normal(3, 1, 10), rng.normal(0, 1, 30)])
        named = benjamini_hochberg(conformal_p(scores, rng.normal(0, 1, 200))) <= 0.1
        wrong.append(named[10:].sum() / max(1, named.sum()))
    assert np.mean(wrong) <= 0.1 + 3 * np.std(wrong) / np.sqrt(len(wrong))


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.5])) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]
    assert holm(np.array([0.2])).tolist() == [0.2]
    assert holm(np.array([])).tolist() == []


def exact_p(x, y):
    """Every way to choose the suspects, by the definition: difference of mean ranks."""
    rank = rankdata(np.concatenate([x, y]))
    m, all_ranks = len(x), rank.sum()
    chosen = np.array([rank[list(c)].sum() for c in combinations(range(len(rank)), m)])
    difference = chosen / m - (all_ranks - chosen) / len(y)
    observed = rank[:m].mean() - rank[m:].mean()
    return (difference >= observed - 1e-9).mean()


@pytest.mark.parametrize(("m", "n"), [(3, 8), (8, 3), (1, 9), (5, 5)])
def test_permutation_agrees_with_every_permutation(m, n):
    rng = np.random.default_rng(10 * m + n)
    for x, y in [
        (rng.normal(0.6, 1, m), rng.normal(0, 1, n)),
        (rng.integers(0, 3, m) * 1.0, rng.integers(0, 3, n) * 1.0),
    ]:
        truth = exact_p(x, y)
        error = 4 * np.sqrt(truth * (1 - truth) / 9999) + 2e-4
        assert permutation_test(x, y).p_value == pytest.approx(truth, abs=error)


@pytest.mark.parametrize(("m", "n"), [(40, 1024), (900, 300)])
def test_permutation_agrees_with_mann_whitney_when_classes_are_joined(m, n):
    rng = np.random.default_rng(3)
    x, y = rng.normal(0.12, 1, m), rng.normal(0, 1, n)
    theirs = mannwhitneyu(x, y, alternative="greater")
    found = permutation_test(x, y)
    assert found.p_value == pytest.approx(theirs.pvalue, abs=0.02)
    both = mannwhitneyu(x, y, alternative="two-sided")
    assert found.two_sided == pytest.approx(both.pvalue, abs=0.03)


def test_permutation_is_never_zero_and_repeats():
    x, y = np.arange(50.0) + 1000, np.arange(200.0)
    first = permutation_test(x, y)
    assert first.p_value == 1 / 100_000
    assert first.permutations == 99_999
    assert permutation_test(x, y, FEWER).p_value == 1 / 10_000
    rng = np.random.default_rng(0)
    assert permutation_test(rng.permutation(x), rng.permutation(y)) == first
    assert permutation_test(y[:50], x).p_value == 1.0
    assert permutation_test(y[:50], x).two_sided == first.two_sided == 2 / 100_000
    assert permutation_test(np.ones(5), np.ones(50)).p_value == 1.0


@pytest.mark.parametrize(("m", "n"), [(20, 60), (60, 20), (5, 700)])
def test_permutation_is_valid_under_the_null(m, n):
    rng = np.random.default_rng(m)
    p = []
    for i in range(300):
        x = rng.normal(size=m + n) if i % 2 else rng.integers(0, 6, m + n).astype(float)
        p.append(permutation_test(x[:m], x[m:], Deals(199)).p_value)
    for level in (0.05, 0.2):
        assert np.mean(np.array(p) <= level) <= level + 3 * np.sqrt(level / len(p))
    assert np.mean(p) > 0.4  # and not merely because it never finds anything


@pytest.mark.parametrize(("m", "n", "ways"), [(1, 98, 99), (2, 13, 105), (13, 2, 105), (3, 3, 20), (5, 0, 1)])
def test_smallest_p_counts_the_ways(m, n, ways):
    assert smallest_p(m, n) == 1 / ways
    assert smallest_p(5000, 90_000) < 1e-9


def test_the_seed_follows_from_the_pictures_whatever_their_order():
    first, second = ["aa", "bb"], ["cc"]
    assert seed_of(first, second) == seed_of(reversed(first), second)
    assert (
        len({seed_of(first, second), seed_of(first + second), seed_of(second, first), seed_of(first[:1], second)}) == 4
    )
    x, y = np.arange(10.0), np.arange(10.0) + 1.5
    assert permutation_test(x, y, Deals(999), 1) != permutation_test(x, y, Deals(999), 2)


def test_every_set_of_pictures_is_dealt_equally_often():
    drawn = _without_replacement(6, 3, 20_000, np.random.default_rng(0))
    assert drawn.shape == (3, 20_000)
    counts = np.unique(np.sort(drawn, axis=0), axis=1, return_counts=True)[1]
    assert len(counts) == 20 and chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(("m", "n"), [(65, 300), (64, 300)])
def test_a_set_that_is_dealt_over_classes_has_about_the_same_p_value(m, n):
    rng = np.random.default_rng(1)
    x, y = rng.normal(0.3, 1, m), rng.normal(size=n)
    joined, single = (permutation_test(x, y, Deals(one_by_one=k)).p_value for k in (0, 100))
    assert joined == pytest.approx(single, rel=0.2)
