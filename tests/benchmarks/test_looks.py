"""The study of looks measures what the attack scores."""

import numpy as np
import pytest

from benchmarks import looks
from trainedon.attacks import parse_attacks
from trainedon.pictures import load_pictures


@pytest.mark.parametrize("views", looks.VIEWS)
def test_all_looks_together_are_the_score(target, toy_pictures, views):
    errors, changes = looks.log_errors(target, toy_pictures["members"], 5, draws=2)
    assert errors.shape == (5, 4, 8)
    found = looks.differences(errors, changes, views).mean(1)
    levels = "+".join(f"diffuse:{level}" for level in looks.LEVELS)
    (attack,) = parse_attacks(f"drc(degradation={levels}, restorations=2, symmetries={'+'.join(views)})", seed=0)
    expected = attack.score(target, load_pictures(toy_pictures["members"], target, 5))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_a_view_that_changes_nothing_has_no_part_in_the_mean():
    errors = np.array([[[1.0], [4.0], [9.0], [6.0]]])
    two = looks.differences(errors, np.array([[True, True, False]]), ("mirror", "half-turn"))
    none = looks.differences(errors, np.array([[False, True, True]]), ("mirror",))
    np.testing.assert_array_equal(two, [[3.0]])
    assert np.isnan(none).all()


def test_more_looks_hang_less_on_their_draws():
    rng = np.random.default_rng(0)
    members, unseen = rng.normal(0.5, 1, (200, 24)), rng.normal(0, 1, (200, 24))
    few, many = (looks.spread(members, unseen, k, np.random.default_rng(0)) for k in (2, 12))
    assert many[0] > few[0] + 0.1
    assert many[1] < few[1]
