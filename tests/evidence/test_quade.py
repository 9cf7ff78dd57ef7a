"""The test of scores that coins chose among others: against a naive oracle, against Wilcoxon's, and under the null."""

import itertools

import numpy as np
import pytest
from scipy.stats import rankdata

from trainedon.errors import UserError
from trainedon.evidence.statistics import quade
from trainedon.evidence.statistics.quade import chosen_test
from trainedon.evidence.statistics.sign_flip import sign_flip_test


@pytest.mark.parametrize("decimals", [6, 1])
def test_it_is_the_share_of_all_choices_that_are_as_high(decimals):
    values = np.random.default_rng(1).normal(0, 1, (6, 3)).round(decimals)
    weights, ranks = rankdata(np.ptp(values, axis=1)), rankdata(values, axis=1)
    choices = itertools.product(range(3), repeat=6)
    sums = np.array([(weights * ranks[np.arange(6), list(choice)]).sum() for choice in choices])
    p = (sums >= (weights * ranks[:, 0]).sum() - 1e-9).mean()
    assert chosen_test(values[:, 0], values[:, 1:]).p_value == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("n", [1, 7, 60])
def test_with_one_other_it_is_the_signed_rank_test(n):
    one, other = np.random.default_rng(2).normal(0.3, 1, (2, n))
    found, due = chosen_test(one, other[:, None]), sign_flip_test(one - other)
    assert found.p_value == pytest.approx(due.p_value, rel=1e-12)
    assert (found.n, found.n_first) == (due.n, due.positive)


@pytest.mark.parametrize("k", [1, 3])
def test_it_is_valid_where_nothing_was_learnt(k):
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, (600, 12, k + 1)) * rng.gamma(1, 1, (600, 12, 1)) + rng.normal(0, 5, (600, 12, 1))
    p = np.array([chosen_test(one[:, 0], one[:, 1:]).p_value for one in values])
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / len(p))
    assert (p <= 0.5).mean() > 0.4


def test_whatever_is_missing_never_helps():
    rng = np.random.default_rng(4)
    for _ in range(40):
        values = rng.normal(0, 1, (9, 3))
        values[:, 0] += 0.5
        whole = chosen_test(values[:, 0], values[:, 1:]).p_value
        worst = np.argsort(values[:, 0] - values[:, 1:].mean(axis=1))[: rng.integers(1, 5)]  # those against it
        values[worst, rng.integers(0, 3)] = np.nan
        assert chosen_test(values[:, 0], values[:, 1:]).p_value >= whole - 1e-12


def test_the_transform_agrees_with_the_sum(monkeypatch):
    values = np.random.default_rng(5).normal(0, 1, (80, 4))
    values[:, 0] += 0.2
    exact = chosen_test(values[:, 0], values[:, 1:]).p_value
    monkeypatch.setattr(quade, "WORK", 1)
    assert chosen_test(values[:, 0], values[:, 1:]).p_value == pytest.approx(exact, rel=1e-6)


def test_rows_that_say_nothing_and_shapes_that_do_not_fit():
    assert chosen_test([1.0, 2.0], [[1.0], [2.0]]).p_value == 1
    with pytest.raises(UserError, match="give \\(n,\\) and \\(n, k\\)"):
        chosen_test([1.0], [1.0])
