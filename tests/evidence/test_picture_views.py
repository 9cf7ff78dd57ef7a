"""Views of pictures without an encoder: moves are told in pixels, and each view finds what it is for."""

import numpy as np
import pytest
from scipy.stats import binom

from trainedon.evidence import FeatureTable
from trainedon.evidence.protocol.picture_views import RIDGE, _against_scatter, picture_views, position, shapes
from trainedon.evidence.statistics.two_sample import classifier_two_sample_test
from trainedon.pictures.appearance import layout
from trainedon.pictures.traces import borders, grain, levels, thumbnail

LOOKS = {"layout": layout, "thumbnail": thumbnail, "grain": grain, "levels": levels, "borders": borders}
SIDE = 32


def picture(rng, right=0.0, down=0.0, turn=0.0, larger=1.0):
    """One of many pictures of one kind, uint8 (32, 32, 3): a figure with parts of varying place and strength."""
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2).astype(float)
    x, y = x - right, y - down
    x, y = (np.cos(turn) * x + np.sin(turn) * y) / larger, (np.cos(turn) * y - np.sin(turn) * x) / larger
    grey = np.full((SIDE, SIDE), 120.0)
    for cx, cy, size, strength in ((-5, -4, 3, -70), (5, -4, 3, -70), (0, 6, 4, 60), (0, 0, 12, 40)):
        sx, sy = rng.normal(0, 0.4, 2)
        grey += strength * rng.uniform(0.6, 1.4) * np.exp(-((x - cx - sx) ** 2 + (y - cy - sy) ** 2) / (2 * size**2))
    light = rng.normal(0, 0.6, 2)
    colour = (grey + light[0] * x + light[1] * y)[..., None] * rng.uniform(0.9, 1.1, 3)
    return np.clip(np.rint(colour + rng.normal(0, 2, (SIDE, SIDE, 3))), 0, 255).astype(np.uint8)


def thumbnails(n, seed, **moved):
    rng = np.random.default_rng(seed)
    return np.stack([thumbnail(picture(rng, **moved)) for _ in range(n)])


@pytest.mark.parametrize(
    ("column", "moved", "by"),
    [
        (0, {"right": 1.0}, 1.0),
        (1, {"down": -1.0}, -1.0),
        (2, {"turn": 1 / 16}, 1.0),
        (3, {"larger": 1 + 1 / 16}, 1.0),
    ],
    ids=["right", "down", "turned", "enlarged"],
)
def test_position_tells_moves_in_pixels(column, moved, by):
    lie = position(np.concatenate([thumbnails(150, 0), thumbnails(50, 1, **moved)]))
    difference = lie[150:].mean(axis=0) - lie[:150].mean(axis=0)
    assert difference[column] == pytest.approx(by, abs=0.35)
    assert np.abs(np.delete(difference, column)).max() < 0.35


def test_position_knows_no_sets_and_no_order():
    pictures = thumbnails(40, 0)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(position(pictures[order]), position(pictures)[order], atol=1e-8)


def test_the_smaller_matrix_says_the_same():
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(30, 50)), rng.normal(size=(4, 50))
    ridge = RIDGE * (x**2).sum() / 50
    for rows in (x, x.T):
        expected = v[:, : rows.shape[1]] @ np.linalg.inv(
            rows.T @ rows + ridge * 50 / rows.shape[1] * np.eye(rows.shape[1])
        )
        np.testing.assert_allclose(_against_scatter(rows, v[:, : rows.shape[1]]), expected, rtol=1e-6)


def test_what_has_no_structure_has_a_place_all_the_same():
    flat = np.full((20, SIDE * SIDE), 7, np.uint8)
    assert not shapes(flat).any() and np.isfinite(position(flat)).all()


def table(suspects, unseen, encoder="any"):
    keys = [("suspect", str(i)) for i in range(len(suspects))] + [("unseen", str(i)) for i in range(len(unseen))]
    looks = {name: dict(zip(keys, map(look, [*suspects, *unseen]), strict=True)) for name, look in LOOKS.items()}
    return FeatureTable(encoder, looks["layout"], looks), keys


def jittered(rng):
    return picture(rng, *rng.integers(-1, 2, 2))


def noisy(rng):
    rgb = picture(rng)
    return np.clip(np.rint(rgb + rng.normal(0, 1.5, rgb.shape)), 0, 255).astype(np.uint8)


def flatter(rng):
    return np.rint(128 + 0.9 * (picture(rng) - 128.0)).astype(np.uint8)


def framed(rng):
    rgb = picture(rng)
    rgb[0] = rgb[1]
    return rgb


@pytest.mark.parametrize(
    ("change", "seen_by"),
    [
        (lambda rng: picture(rng, right=1.0), "position"),
        (jittered, "jitter"),
        (noisy, "grain"),
        (flatter, "levels"),
        (framed, "borders"),
        (lambda rng: 255 - picture(rng), "place"),
        (lambda rng: 255 - picture(rng), "composition"),
    ],
    ids=["moved", "jittered", "noisy", "flatter", "framed", "negative", "negative again"],
)
def test_each_view_sees_what_it_is_for(change, seen_by):
    rng = np.random.default_rng(5)
    views = picture_views(*table([picture(rng) for _ in range(40)], [change(rng) for _ in range(80)]))
    (found,), _, _ = classifier_two_sample_test([views[seen_by]], 40, 199, 0)
    assert found.p_value <= 0.01 and found.auc > 0.65


def test_what_an_encoder_saw_already_is_not_looked_at_twice():
    rng = np.random.default_rng(6)
    pictures = [picture(rng) for _ in range(12)]
    every = [*picture_views(*table(pictures[:4], pictures[4:]))]
    assert every == ["composition", "place", "position", "jitter", "grain", "levels", "borders"]
    assert [*picture_views(*table(pictures[:4], pictures[4:], "layout"))] == every[1:]


@pytest.mark.slow
def test_all_views_together_separate_like_sets_in_one_case_of_twenty():
    repeats, found = 300, 0
    for seed in range(repeats):
        rng = np.random.default_rng([9, seed])
        views = picture_views(*table([jittered(rng) for _ in range(15)], [jittered(rng) for _ in range(30)]))
        _, p_value, _ = classifier_two_sample_test([*views.values()], 15, 299, seed)
        found += p_value < 0.05
    assert binom.cdf(found, repeats, 0.05) > 0.001 and binom.sf(found - 1, repeats, 0.05) > 0.001
