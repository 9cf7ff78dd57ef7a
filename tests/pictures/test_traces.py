"""What handling leaves in a picture: thumbnails, grain, levels and borders, against plain counts and known changes."""

import numpy as np
import pytest

from trainedon.pictures.traces import borders, fringes, grain, levels, thumbnail

GRAIN = ["q.05", "q.1", "q.25", "q.5", "q.75", "q.9", "q.95", "mean", "flattest", "zeros"]
LEVELS = ["q0", "q.01", "q.05", "q.25", "q.5", "q.75", "q.95", "q.99", "q1", "many", "black", "white", "rough", "gaps"]


def motif(seed=0, side=48):
    """A picture with large and small structure, uint8 (side, side, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = sum(rng.normal() * np.sin(4 * (fx * x + fy * y) + rng.uniform(0, 6)) for fx, fy in np.ndindex(4, 4))
    colour = 128 + 20 * waves[..., None] * rng.uniform(0.7, 1.3, 3) + rng.normal(0, 3, (side, side, 3))
    return np.clip(np.rint(colour), 0, 255).astype(np.uint8)


def of_grain(rgb):
    """Channel by channel, and the correlations."""
    found = grain(rgb)
    return [dict(zip(GRAIN, part, strict=True)) for part in found[:30].reshape(3, 10)], found[30:]


def of_levels(rgb):
    return [dict(zip(LEVELS, part, strict=True)) for part in levels(rgb).reshape(3, 14)]


def test_grain_is_what_plain_counting_gives():
    rgb = motif()
    x = rgb.astype(int)
    d = np.abs(x[:-1, :-1] - x[:-1, 1:] - x[1:, :-1] + x[1:, 1:]).reshape(-1, 3)
    channels, alike = of_grain(rgb)
    for found, values in zip(channels, d.T, strict=True):
        for name in GRAIN[:7]:
            expected = np.quantile(values, float(name[1:]), method="inverted_cdf")
            assert found[name] == pytest.approx(np.log1p(expected), rel=1e-5)
        assert found["mean"] == pytest.approx(np.log1p(values.mean()), rel=1e-5)
        lowest = np.sort(values)[: int(np.ceil(0.2 * len(values)))]
        assert found["flattest"] == pytest.approx(np.log1p(lowest.mean()), rel=1e-5)
        assert found["zeros"] == pytest.approx((values == 0).mean(), rel=1e-5)
    signed = (x[:-1, :-1] - x[:-1, 1:] - x[1:, :-1] + x[1:, 1:]).reshape(-1, 3)
    np.testing.assert_allclose(alike, np.corrcoef(signed.T)[[0, 0, 1], [1, 2, 2]], rtol=1e-4)


def test_shading_has_no_grain_and_noise_of_one_level_has():
    y, x = np.mgrid[:40, :40]
    shaded = np.repeat((2 * x + 3 * y)[..., None], 3, axis=2).astype(np.uint8)
    plain, alike = of_grain(shaded)
    assert all(channel["mean"] == 0 and channel["zeros"] == 1 for channel in plain) and not alike.any()
    noise = np.random.default_rng(0).normal(0, 1, (40, 40, 3))
    noisy, alike = of_grain(np.clip(np.rint(shaded + noise), 0, 255).astype(np.uint8))
    assert all(channel["mean"] > 0.8 for channel in noisy) and np.abs(alike).max() < 0.1


def test_levels_are_what_plain_counting_gives():
    rgb = motif(1)
    for found, values in zip(of_levels(rgb), rgb.reshape(-1, 3).T, strict=True):
        for name in LEVELS[:9]:
            expected = np.quantile(values, float(name[1:]), method="inverted_cdf")
            assert found[name] == pytest.approx(expected / 255, abs=1e-6)
        assert found["many"] == pytest.approx(np.log(len(np.unique(values))), rel=1e-5)
        assert found["black"] == pytest.approx((values == 0).mean())
        assert found["white"] == pytest.approx((values == 255).mean())


def test_stretching_leaves_gaps_and_squeezing_roughness():
    rgb = motif(2, 96)
    as_it_was, stretched, squeezed = (
        of_levels(np.clip(np.rint(128 + (rgb - 128.0) * factor), 0, 255).astype(np.uint8)) for factor in (1, 1.15, 0.85)
    )
    for before, more, less in zip(as_it_was, stretched, squeezed, strict=True):
        assert more["gaps"] > before["gaps"] + 0.05
        assert less["rough"] > before["rough"] + 0.5 < more["rough"]


def test_a_border_that_is_repeated_wrapped_or_blackened_stands_out():
    rgb = motif(3)
    inside = borders(rgb)
    assert np.abs(inside[:8]).max() < 1  # of all sides nearly alike
    repeated = borders(np.concatenate([rgb[:1], rgb[:-1]]))
    assert repeated[0] < inside[0] - 1
    wrapped = borders(np.roll(rgb, 1, axis=0))
    assert wrapped[0] > inside[0] + 1 and wrapped[8] < inside[8] - 1
    black = rgb.copy()
    black[:, -1] = 0
    assert borders(black)[6] > inside[6] + 1
    np.testing.assert_allclose(borders(rgb[::-1])[:2], inside[2:4], rtol=1e-5)
    np.testing.assert_allclose(borders(rgb.transpose(1, 0, 2))[4:6], inside[:2], rtol=1e-5)


def test_a_thumbnail_is_grey_and_small():
    flat = np.full((50, 20, 3), (10, 200, 30), np.uint8)
    assert set(thumbnail(flat)) == {round(0.299 * 10 + 0.587 * 200 + 0.114 * 30)}
    assert thumbnail(motif(side=32)).dtype == np.uint8 and thumbnail(motif(side=32)).shape == (1024,)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (3, 3), (300, 500)])
@pytest.mark.parametrize("kind", ["flat", "random"])
def test_any_picture_has_finite_numbers_of_fixed_length(shape, kind):
    rgb = np.zeros((*shape, 3), np.uint8)
    if kind == "random":
        rgb = np.random.default_rng(0).integers(0, 256, rgb.shape, dtype=np.uint8)
    for look, length in ((thumbnail, 1024), (grain, 33), (levels, 42), (borders, 10)):
        assert look(rgb).shape == (length,) and np.isfinite(look(rgb)).all()


@pytest.mark.parametrize("side", [1, 2, 5, 6, 7, 31, 48])
def test_fringes_of_the_mirror_image_have_the_other_sign(side):
    rgb = np.random.default_rng(side).integers(0, 256, (side, side, 3)).astype(np.uint8)
    np.testing.assert_allclose(fringes(rgb[:, ::-1].copy()), -fringes(rgb), atol=1e-6)


def test_a_channel_that_lies_to_one_side_leaves_fringes_and_grey_pictures_have_none():
    grey = np.repeat(motif()[..., :1], 3, axis=2)
    np.testing.assert_allclose(fringes(grey), 0, atol=1e-9)
    blue = grey.copy()
    blue[:, 1:, 2] = grey[:, :-1, 2]
    red_there, blue_there = fringes(blue).reshape(3, 2).T
    np.testing.assert_allclose(red_there, 0, atol=1e-9)
    assert np.abs(blue_there[1:]).min() > 0.2, "noise hides it in the picture as it is"
    assert (np.sign(blue_there[1:]) == np.sign(blue_there[1])).all()
