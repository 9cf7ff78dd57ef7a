"""Signs that are coins, and signs that are not."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, wilcoxon

from trainedon.errors import UserError
from trainedon.evidence.statistics import sign_flip
from trainedon.evidence.statistics.sign_flip import (
    knockoff_q,
    most_odds,
    positive_share,
    sign_flip_test,
    signs_needed,
)


def by_hand(differences, odds):
    """Every way in which the signs can fall."""
    size = np.abs(differences)
    rank = np.array([(size < one).sum() + ((size == one).sum() + 1) / 2 for one in size])
    observed, chance, found = rank[differences > 0].sum(), odds / (1 + odds), 0.0
    for signs in itertools.product((0, 1), repeat=len(size)):
        if (rank * signs).sum() >= observed - 1e-9:
            found += chance ** sum(signs) * (1 - chance) ** (len(signs) - sum(signs))
    return found


@pytest.mark.parametrize("odds", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("differences", [[0.3, -0.1, 0.5, 0.2], [1, 1, -1, 2, 2, 3], [-1, -2, -3], [0.5]])
def test_the_p_value_is_that_of_every_way_in_which_signs_can_fall(differences, odds):
    found = sign_flip_test(differences, odds)
    assert found.p_value == pytest.approx(by_hand(np.array(differences), odds), rel=1e-12)
    assert found.exact


def test_it_is_wilcoxons_test_at_odds_of_one():
    differences = np.random.default_rng(0).normal(0.3, 1, 40)
    due = wilcoxon(differences, alternative="greater", method="exact").pvalue
    assert sign_flip_test(differences).p_value == pytest.approx(due, rel=1e-9)


def test_zeros_count_for_nothing():
    assert sign_flip_test([0.0, 0.2, -0.1, 0.0]) == sign_flip_test([0.2, -0.1])
    empty = sign_flip_test([0.0, 0.0])
    assert (empty.p_value, empty.n) == (1.0, 0)


def test_a_hundred_and_twenty_eight_positive_signs_keep_their_digits():
    found = sign_flip_test(np.arange(1, 129))
    assert found.p_value == pytest.approx(0.5**128, rel=1e-9)
    assert sign_flip_test(np.arange(1, 129), 3).p_value == pytest.approx(0.75**128, rel=1e-9)


def test_many_differences_agree_with_few_where_they_meet():
    rng = np.random.default_rng(1)
    differences = rng.normal(0.05, 1, 3000)
    for n in (1000, 3000):  # ranks are joined, and the sum is made by Fourier transform
        due = wilcoxon(differences[:n], alternative="greater", method="approx").pvalue
        assert sign_flip_test(differences[:n]).p_value == pytest.approx(due, rel=0.1)
    assert sign_flip_test(np.arange(1, 1001)).p_value == pytest.approx(0.5**1000, rel=1e-9)
    all_positive = sign_flip_test(np.arange(1, 3001))
    assert (all_positive.p_value, all_positive.exact) == (1e-12, False)


@pytest.mark.parametrize("odds", [1.0, 2.0, 1e6])
def test_the_transform_agrees_with_the_sum(monkeypatch, odds):
    differences = np.random.default_rng(8).normal(math.log(odds), 1, 120)
    due = sign_flip_test(differences, odds).p_value
    monkeypatch.setattr(sign_flip, "WORK", 1)
    monkeypatch.setattr(sign_flip, "CLASSES", 240)
    monkeypatch.setattr(sign_flip, "LONGEST", 120 * 240)
    found = sign_flip_test(differences, odds)
    assert found.p_value == pytest.approx(due, abs=2e-13)


@pytest.mark.parametrize("n", [10, 60, 600])
@pytest.mark.parametrize("odds", [1.0, 2.0])
def test_it_rejects_no_more_often_than_it_says_where_coins_fall_as_stated(n, odds):
    rng, level, repeats = np.random.default_rng(2), 0.05, 400 if n < 100 else 60
    sizes = rng.lognormal(0, 1, (repeats, n)).round(1)  # with ties
    signs = np.where(rng.random((repeats, n)) < odds / (1 + odds), 1, -1)
    found = sum(sign_flip_test(row, odds).p_value <= level for row in sizes * signs)
    assert found <= binom.isf(1e-4, repeats, level)


def test_works_of_one_source_are_flipped_together():
    rng, repeats = np.random.default_rng(3), 300
    alone = together = 0
    source = np.repeat(np.arange(12), 8)
    for _ in range(repeats):
        differences = np.repeat(rng.normal(0, 1, 12), 8) + rng.normal(0, 1, 96)
        alone += sign_flip_test(differences).p_value <= 0.05
        together += sign_flip_test(differences, units=source).p_value <= 0.05
    assert together <= binom.isf(1e-4, repeats, 0.05)
    assert alone > binom.isf(1e-4, repeats, 0.05), "else the sources would be no difficulty"


def test_the_odds_that_it_takes_to_explain_the_signs():
    differences = np.array([*range(1, 20), -20])
    found = most_odds(differences, 0.01)
    assert sign_flip_test(differences, found).p_value == pytest.approx(0.01, rel=1e-3)
    assert most_odds([1, -1, 2, -2], 0.01) is None
    assert most_odds(np.arange(1, 129), 0.01) > most_odds(np.arange(1, 33), 0.01)


def test_the_share_of_positive_differences_has_an_exact_interval():
    share, (low, high) = positive_share([1, 2, 3, -1, 0])
    assert share == 0.75
    assert low < 0.75 < high
    assert positive_share([0.0]) is None


def filtered(differences, q, odds=1.0):
    """The filter as its paper states it: the smallest threshold whose estimate is at most q."""
    for t in sorted(set(np.abs(differences[differences != 0]))):
        if odds * (1 + (differences <= -t).sum()) / max(1, (differences >= t).sum()) <= q:
            return differences >= t
    return np.zeros(len(differences), dtype=bool)


@pytest.mark.parametrize("odds", [1.0, 2.0])
def test_q_values_name_those_whom_the_filter_names(odds):
    rng = np.random.default_rng(4)
    for _ in range(50):
        differences = np.concatenate([rng.normal(2, 1, 40), rng.normal(0, 1, 40)]).round(1)
        for q in (0.05, 0.1, 0.3):
            assert np.array_equal(knockoff_q(differences, odds) <= q, filtered(differences, q, odds))


def test_names_are_wrong_no_more_often_than_stated():
    rng, q, shares = np.random.default_rng(5), 0.1, []
    for _ in range(300):
        used = np.arange(80) < 40
        differences = np.where(used, rng.normal(2.5, 1, 80), rng.normal(0, 1, 80))
        named = knockoff_q(differences) <= q
        shares.append((named & ~used).sum() / max(1, named.sum()))
    assert np.mean(shares) <= q + 3 * np.std(shares) / math.sqrt(len(shares))
    assert np.mean(shares) > 0, "else nothing is filtered"


def test_nobody_is_named_by_few_signs_or_where_nothing_is_positive():
    assert (knockoff_q(np.arange(1, 19)) > 0.05).all(), "eighteen positive signs allow no rate of 1 in 20"
    assert (knockoff_q(np.arange(1, 21)) <= 0.05).all()
    assert (knockoff_q([-1.0, -2.0]) == 1).all()


def test_how_many_pictures_a_finding_would_take():
    rng = np.random.default_rng(6)
    n = signs_needed(rng.normal(0.4, 1, 4000), 0.01)
    found = sum(sign_flip_test(rng.normal(0.4, 1, n)).p_value < 0.01 for _ in range(300))
    assert binom.ppf(1e-4, 300, 0.7) < found < binom.isf(1e-4, 300, 0.9)
    assert signs_needed(np.full(9, 1.0), 0.01) >= 7
    assert signs_needed(-np.ones(9), 0.01) is None


@pytest.mark.parametrize("odds", [0.5, math.nan, math.inf])
def test_odds_below_one_are_refused(odds):
    with pytest.raises(UserError, match="odds"):
        sign_flip_test([1.0], odds)
