"""Copies of a picture that serve equally well."""

import numpy as np
import pytest

from trainedon.errors import PictureError, UserError
from trainedon.twinning import WAYS, copies, known_way


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 215, (6, 8, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))  # 48 x 64


@pytest.mark.parametrize("way", WAYS)
def test_two_copies_have_one_size_and_differ(picture, way):
    one, other = copies(picture, way, 2, "key")
    assert one.shape == other.shape and one.dtype == other.dtype == np.uint8
    assert (one != other).any()
    assert way == "mirror" or not any(np.array_equal(copy, picture) for copy in (one, other))
    lost = [whole - left for whole, left in zip(picture.shape, one.shape)]
    assert max(lost) <= 6


@pytest.mark.parametrize("way", ["crop", "turn", "pattern"])
@pytest.mark.parametrize("n", [3, 4, 9])
def test_many_copies_all_differ_and_none_is_the_picture(picture, way, n):
    made = copies(picture, way, n, "key")
    assert len({copy.tobytes() for copy in [*made, picture]}) == n + 1


def test_the_key_decides_what_is_left_to_chance(picture):
    def corners(key):
        return [copy.tobytes() for copy in copies(picture, "pattern", 2, key)]

    assert corners("a") == corners("a") != corners("b")


def test_a_pattern_is_below_what_is_seen_and_outlasts_resizing(picture):
    from PIL import Image

    one, other = (copy.astype(float) for copy in copies(picture, "pattern", 2, "key"))
    assert abs((one - other) / 2).mean() < 2 and abs(one - picture).max() < 12
    small = [np.asarray(Image.fromarray(x.astype(np.uint8)).resize((32, 24)), float) for x in (one, other)]
    assert np.sqrt(((small[0] - small[1]) ** 2).mean()) > 2.5, "of 4 levels between the two"


def test_what_cannot_be_done_is_refused(picture):
    with pytest.raises(UserError, match="one mirror image"):
        copies(picture, "mirror", 3, "key")
    with pytest.raises(PictureError, match="too small"):
        copies(picture[:10], "crop", 2, "key")
    with pytest.raises(PictureError, match="no 30 cuts"):
        copies(picture, "crop", 30, "key")
    with pytest.raises(UserError, match="choose from auto"):
        known_way("twist")
