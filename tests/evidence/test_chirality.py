"""Pictures that have a right and a left, and pictures that have not."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.datasets import load_digits

from trainedon.evidence.statistics import chirality
from trainedon.evidence.statistics.chirality import chirality_test


def against_mirror(pictures):
    return (pictures - pictures[:, :, ::-1]).reshape(len(pictures), -1)


@pytest.fixture(scope="module")
def digits():
    return np.random.default_rng(0).permutation(load_digits().images)


def test_digits_are_told_from_their_mirror_images(digits):
    (view,), p = chirality_test([against_mirror(digits[:80])])
    assert view.share > 0.8
    assert p == view.p_value == 0.001


def test_pictures_mirrored_by_a_coin_are_not_more_often_than_stated(digits, monkeypatch):
    monkeypatch.setattr(chirality, "FLIPS", 99)
    rng, found = np.random.default_rng(1), 0
    for _ in range(60):
        some = digits[rng.choice(len(digits), 40, replace=False)]
        coins = rng.random((40, 1, 1)) < 0.5
        differences = against_mirror(np.where(coins, some, some[:, :, ::-1]))
        found += chirality_test([differences, differences[:, :8]])[1] <= 0.05
    assert found <= binom.isf(1e-4, 60, 0.05)


def test_one_description_that_sees_it_is_enough(digits):
    blind = np.random.default_rng(2).normal(0, 1, (80, 5))
    views, p = chirality_test([blind, against_mirror(digits[:80])])
    assert p <= 0.01
    assert views[1].p_value < 0.01 < views[0].p_value


def test_a_picture_that_is_its_own_mirror_image_says_nothing():
    (view,), p = chirality_test([np.zeros((20, 6))])
    assert (view.share, p) == (0.5, 1.0)
