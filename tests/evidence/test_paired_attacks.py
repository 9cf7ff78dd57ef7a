"""Several attacks together: exact by signs whatever the odds, and better than one where all are weak."""

import numpy as np
import pytest
from scipy.stats import binom

from trainedon.errors import UserError
from trainedon.evidence import paired, sign_flip_test


def weak(rng, n, shift, k=4):
    """Differences of k attacks that share a third of their variance."""
    common = rng.normal(0, 1, (n, 1))
    return shift + np.sqrt(1 / 3) * common + np.sqrt(2 / 3) * rng.normal(0, 1, (n, k)) * (1, 5, 0.2, 1)[:k]


def test_by_hand():
    together = paired([[3.0, -0.1], [-1.0, 0.4], [2.0, 0.0]])
    np.testing.assert_allclose(together, np.array([3 - 2, -1 + 3, 2 + 0]) / 2 / 3)


def test_a_picture_that_is_turned_changes_the_sign_of_its_number_and_of_no_other():
    rng = np.random.default_rng(0)
    differences = weak(rng, 30, 0.2)
    turned = rng.random(30) < 0.5
    other = paired(np.where(turned[:, None], -differences, differences))
    np.testing.assert_allclose(other, np.where(turned, -1, 1) * paired(differences))


def test_no_attack_counts_more_for_its_unit():
    differences = weak(np.random.default_rng(1), 20, 0.5)
    np.testing.assert_allclose(paired(differences), paired(differences * (1, 1000, 1e-6, 3)))


def test_one_attack_gives_the_test_that_it_has_alone():
    one = np.random.default_rng(2).normal(0.4, 1, 25)
    assert sign_flip_test(paired(one[:, None])).p_value == pytest.approx(sign_flip_test(one).p_value)


@pytest.mark.parametrize("odds", [1.0, 2.0])
def test_false_alarms_are_as_rare_as_stated_for_any_odds(odds):
    rng, alarms, sets = np.random.default_rng(3), 0, 400
    for _ in range(sets):
        sizes = np.abs(weak(rng, 20, 0.0))
        mixed = sizes * rng.choice((-1, 1), sizes.shape)  # attacks that contradict one another
        together = np.abs(paired(mixed))
        signs = np.where(rng.random(20) < odds / (1 + odds), 1, -1)
        alarms += sign_flip_test(signs * together, odds).p_value <= 0.05
    assert alarms <= binom.isf(1e-4, sets, 0.05)


def test_weak_attacks_find_more_together():
    rng, alone, together = np.random.default_rng(4), np.zeros(4), 0
    for _ in range(60):
        differences = weak(rng, 30, 0.0) + 0.45 * np.array((0.82, 4.1, 0.17, 0.82))
        alone += [sign_flip_test(column).p_value <= 0.01 for column in differences.T]
        together += sign_flip_test(paired(differences)).p_value <= 0.01
    assert together > alone.max() + 6


@pytest.mark.parametrize("bad", [[1.0, 2.0], np.zeros((3, 0)), [[np.nan, 1.0]]], ids=["one row", "no attack", "nan"])
def test_other_input_is_refused(bad):
    with pytest.raises(UserError, match="differences") as caught:
        paired(bad)
    assert "\n" not in str(caught.value)
