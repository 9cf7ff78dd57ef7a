"""Cross-fitted classifiers and their permutation test: against scikit-learn, by closed form, and on null data."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn.linear_model import LogisticRegression, Ridge
from slowly import slowly

from trainedon.evidence.statistics.two_sample import (
    NEWTON,
    View,
    aucs,
    classifier_two_sample_test,
    discriminant,
    logistic,
)


def one(x, m, permutations=59, classifier=None, enough=None):
    (found,), p_value, made = classifier_two_sample_test(
        [View(x, classifier or discriminant())], m, permutations, seed=1, enough=enough
    )
    return found, p_value, made


def test_constant_facts_separate_nothing():
    found, p_value, _ = one(np.ones((40, 3)), 15)
    assert p_value == 1.0
    assert np.ptp(found.score) == 0


def test_a_score_that_is_no_number_is_refused():
    x = np.random.default_rng(0).normal(size=(40, 3))
    x[7, 1] = np.nan
    with pytest.raises(ValueError, match="no number"):
        one(x, 15)


@pytest.mark.parametrize(
    "classifier",
    [discriminant(8.0), *slowly(discriminant(), logistic)],
)
def test_permutation_p_value_is_valid_and_finds_a_shift(classifier):
    rng = np.random.default_rng(0)
    null = [one(rng.normal(size=(50, 8)), 20, classifier=classifier)[1] for _ in range(150)]
    assert np.mean(np.array(null) < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert 0.35 < np.mean(null) < 0.65
    shifted = rng.normal(size=(50, 8))
    shifted[:20, 3] += 2.5
    assert one(shifted, 20, 199, classifier)[1] < 0.01


def test_several_views_are_one_test_and_lose_little():
    rng = np.random.default_rng(2)
    null = []
    for _ in range(150):
        views = [View(rng.normal(size=(40, d)), discriminant(d)) for d in (3, 60)]
        null.append(classifier_two_sample_test(views, 15, 59, seed=1)[1])
    assert np.mean(np.array(null) < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert 0.35 < np.mean(null) < 0.65
    shifted = rng.normal(size=(50, 3)) + 2 * (np.arange(50) < 20)[:, None]
    found, p_value, _ = classifier_two_sample_test(
        [View(rng.normal(size=(50, 60)), discriminant(60)), View(shifted, discriminant())], 20, 199, 1
    )
    assert found[1].p_value == 1 / 200
    assert p_value <= 2 / 200


@pytest.mark.parametrize("repeats", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_stopping_early_is_valid_and_changes_nothing_where_there_is_much_to_find(repeats):
    rng = np.random.default_rng(3)
    null = [one(rng.normal(size=(40, 4)), 15, 999, enough=10)[1:] for _ in range(repeats)]
    p = np.array([p for p, _ in null])
    for level in (0.05, 0.2):
        assert np.mean(p <= level) <= level + 3 * np.sqrt(level / repeats)
    assert all(p_value == 10 / made for p_value, made in null if made < 999)
    x = rng.normal(size=(60, 4)) + 3 * (np.arange(60) < 20)[:, None]
    assert one(x, 20, 499, enough=50)[1:] == one(x, 20, 499)[1:] == (1 / 500, 499)


def test_out_of_fold_scores_come_from_other_folds():
    """With noise alone, a score that saw its own label would beat chance by far (60 features, 60 pictures)."""
    rng = np.random.default_rng(5)
    score = one(rng.normal(size=(60, 60)), 30, 1)[0].score
    assert abs((score[:30, None] > score[None, 30:]).mean() - 0.5) < 0.25


def test_discriminant_is_ridge_regression_in_both_shapes():
    rng = np.random.default_rng(6)
    for d in (5, 80):
        x, z, labels = rng.normal(size=(40, d)), rng.normal(size=(7, d)), rng.integers(0, 2, (40, 3)).astype(float)
        theirs = Ridge(alpha=2.5, fit_intercept=False).fit(x, labels).predict(z)
        np.testing.assert_allclose(discriminant(2.5)(x, labels, z), theirs, atol=1e-8)


def test_logistic_agrees_with_scikit_learn():
    rng = np.random.default_rng(7)
    x, z = rng.normal(size=(80, 4)), rng.normal(size=(9, 4))
    labels = np.column_stack([x[:, 0] + rng.normal(size=80) > 0.7, x[:, 1] > 0.1]).astype(float)  # one is separable
    assert NEWTON == 8
    for column, found in zip(labels.T, logistic(x, labels, z).T):
        theirs = LogisticRegression(C=1.0, tol=1e-10).fit(x, column)
        np.testing.assert_allclose(found, theirs.decision_function(z) - theirs.intercept_, atol=1e-5)


def test_aucs_are_those_of_mann_and_whitney():
    rng = np.random.default_rng(8)
    score, labels = rng.integers(0, 5, (30, 4)).astype(float), np.zeros((30, 4), dtype=bool)
    labels[:12] = True
    theirs = [mannwhitneyu(column[:12], column[12:]).statistic / (12 * 18) for column in score.T]
    np.testing.assert_allclose(aucs(score, labels), theirs)
