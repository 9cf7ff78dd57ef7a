"""Power of the controls: what is told to be detectable is found in about four cases of five, by simulation."""

import numpy as np
import pytest
from scipy.stats import binom, mannwhitneyu, norm

from trainedon.evidence.protocol.controls import unseen_control
from trainedon.evidence.protocol.detectable import detectable, too_weak
from trainedon.evidence.statistics.two_sample import View, classifier_two_sample_test, discriminant, null_spread


def test_the_formula_is_that_of_a_normal_test():
    least = detectable(0.05, 0.01)
    assert norm.sf(norm.isf(0.01) - (least - 0.5) / 0.05) == pytest.approx(0.8)
    assert detectable(1.0, 0.05) == 1 and detectable(0.0, 0.05) == 0.5


def test_the_spread_is_that_of_chance():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4000, 12)), rng.normal(size=(4000, 30))
    areas = (first[:, :, None] > second[:, None, :]).mean(axis=(1, 2))
    assert areas.std() == pytest.approx(null_spread(12, 30), rel=0.04)


@pytest.mark.parametrize("n", [30, 60])
def test_unseen_pictures_that_differ_as_told_are_found_in_four_cases_of_five(n):
    rng = np.random.default_rng(1)
    control = unseen_control(*rng.normal(size=(2, n)))
    shift = np.sqrt(2) * norm.ppf(control.detectable)
    p = mannwhitneyu(rng.normal(size=(2000, n)), rng.normal(shift, 1, (2000, n)), axis=1).pvalue  # the same test
    assert 0.77 < (p < control.level).mean() < 0.92  # a large AUC spreads less than one of chance, which helps


def shares_found(m, n, dimensions, repeats, permutations=199):
    """How often three views of noise together separate the sets: without a difference, and where one of them sees one
    of the AUC that is told. Returns both shares and that AUC beside the one that the view reached."""

    def test(seed, shift):
        rng = np.random.default_rng(seed)
        x = [rng.normal(size=(m + n, d)) for d in (3, dimensions, 40)]
        x[1][:m] += shift / np.sqrt(dimensions)
        return classifier_two_sample_test([View(one, discriminant()) for one in x], m, permutations, seed)

    null = [test(seed, 0.0) for seed in range(repeats)]
    spread = np.mean([max(view.widen for view in found) for found, _, _ in null]) * null_spread(m, n)
    least = detectable(float(spread), 0.05 / 3)
    low, high = 0.0, 6.0
    for _ in range(6):  # to the shift at which the view reaches that AUC
        middle = (low + high) / 2
        reached = np.mean([test(seed, middle)[0][1].auc for seed in range(20)])
        low, high = (middle, high) if reached < least else (low, middle)
    planted = [test(seed + repeats, (low + high) / 2) for seed in range(repeats)]
    shares = [np.mean([p < 0.05 for _, p, _ in cases]) for cases in (null, planted)]
    return (*shares, least, np.mean([found[1].auc for found, _, _ in planted]))


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "dimensions"), [(20, 60, 1), (40, 40, 8), (40, 120, 40)])
def test_a_planted_difference_of_the_told_size_is_found_in_four_cases_of_five(m, n, dimensions):
    repeats = 200
    null, planted, told, reached = shares_found(m, n, dimensions, repeats)
    assert reached == pytest.approx(told, abs=0.03)
    assert 0.7 < planted < 0.95
    assert binom.sf(null * repeats - 1, repeats, 0.05) > 0.001


def test_forty_pictures_a_side_are_enough_and_a_dozen_never_are():
    assert too_weak(40, 40) is None and too_weak(25, 100) is None
    assert "AUC 0.85" in too_weak(20, 55)
    assert too_weak(12, 10**6) is not None and too_weak(10**6, 12) is not None
    assert too_weak(0, 40) and too_weak(40, 0)
    enough = [n for n in range(1, 400) if too_weak(40, n) is None]
    assert enough == [*range(enough[0], 400)] and 35 < enough[0] <= 40
