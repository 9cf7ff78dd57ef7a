"""The chirality control on what a run stores: each description is mirrored as the picture is, and text is found."""

import numpy as np
import pytest
from looked_at import blurred, stored
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import binom
from sklearn.datasets import load_digits

from trainedon.evidence import FeatureTable
from trainedon.evidence.protocol.chirality_control import LEVEL, chirality, handed_views, mirrored_layout
from trainedon.evidence.statistics import chirality as statistic
from trainedon.evidence.table.clusters import ENCODER
from trainedon.pictures.appearance import layout


def digit(image):
    """A written digit of scikit-learn, (8, 8) in [0, 16], as uint8 (32, 32, 3)."""
    large = Image.fromarray(np.clip(image * 16, 0, 255).astype(np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
    return np.asarray(large.convert("RGB"))


def written(rng):
    """Some words in Pillow's own font, uint8 (96, 96, 3)."""
    image = Image.new("RGB", (96, 96), "white")
    lines = "\n".join(
        " ".join(rng.choice(["the", "of", "and", "to", "in", "that", "for", "it", "was", "with"], 6)) for _ in range(8)
    )
    ImageDraw.Draw(image).text(tuple(rng.uniform(-20, 0, 2)), lines, "black", ImageFont.load_default(14))
    return np.asarray(image)


STORED_BEFORE = ["place", "composition", "which way lines lean", "which way lines bend", "borders"]


def views(pictures):
    rows, features = stored(pictures)
    return handed_views(features, [(row["set"], row["picture"]) for row in rows])


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    return [blurred(rng) for _ in range(60)]


def test_a_mirrored_picture_has_the_opposite_differences(blobs):
    here, there = views(blobs), views([picture[:, ::-1].copy() for picture in blobs])
    assert [*here] == [*STORED_BEFORE, "which way they lie or are lit", "fringes"]
    for name, view in here.items():
        off = np.abs(view + there[name]).max(axis=0) / np.sqrt((view**2).mean(axis=0) + 1e-12)
        assert np.median(off) < 0.1, name


def test_the_layout_of_a_mirror_image(blobs):
    there = np.stack([layout(picture[:, ::-1].copy()) for picture in blobs])
    np.testing.assert_allclose(mirrored_layout(np.stack([*map(layout, blobs)])), there, atol=0.02)


def test_what_bends_and_leans_is_the_same_wherever_it_lies():
    rng = np.random.default_rng(1)
    figure = np.zeros((32, 32, 3), np.uint8)
    figure[8:20, 10:18] = rng.integers(0, 256, (12, 8, 3))
    moved = np.roll(figure, (3, 4), axis=(0, 1))
    one, other = (views([picture])["which way lines bend"][0] for picture in (figure, moved))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("kind", ["digits", "text"])
def test_what_is_written_is_found(kind):
    rng = np.random.default_rng(2)
    digits = rng.permutation(load_digits().images)[:60]
    found = chirality(
        *stored([digit(one) for one in digits] if kind == "digits" else [written(rng) for _ in range(60)])
    )
    assert found.n == 60 and found.finds and found.p_value <= 0.01
    assert max(view.share for view in found.views) > found.detectable


def red_moved(picture):
    """Grey, with red half a pixel to the right of green and blue."""
    grey = picture.mean(axis=2).astype(np.uint8)
    red = grey.copy()
    red[:, 1:] = (grey[:, 1:].astype(int) + grey[:, :-1]) // 2
    return np.stack([red, grey, grey], axis=2)


def lit(picture):
    """A fifth brighter at the left edge than in the middle."""
    return np.clip(picture * np.linspace(1.2, 0.8, picture.shape[1])[:, None], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change, view", [(red_moved, "fringes"), (lit, "which way they lie or are lit")])
def test_what_scans_and_light_leave_is_found_by_a_view_of_its_own(blobs, change, view):
    found = chirality(*stored([change(picture) for picture in blobs[:40]]))
    seen = {one.name: one.p_value for one in found.views}
    assert found.finds and seen[view] <= 0.002
    assert seen[view] == min(seen.values())


def test_runs_that_stored_no_fringes_are_looked_at_as_they_were(blobs):
    rows, features = stored(blobs)
    before = FeatureTable("layout", features.vectors, {k: v for k, v in features.looks.items() if k != "fringes"})
    assert [view.name for view in chirality(rows, before).views] == STORED_BEFORE


def test_blobs_are_not(blobs):
    found = chirality(*stored(blobs))
    assert not found.finds and found.p_value > LEVEL
    assert 0.6 < found.detectable < 0.9


def test_false_alarms_are_as_rare_as_stated(blobs, monkeypatch):
    monkeypatch.setattr(statistic, "FLIPS", 99)
    rng, alarms = np.random.default_rng(3), 0
    rows, features = stored([blurred(rng) for _ in range(40)])
    keys = [(row["set"], row["picture"]) for row in rows]
    every = handed_views(features, keys)
    for _ in range(60):
        coins = rng.choice((-1.0, 1.0), (40, 1))
        alarms += statistic.chirality_test([view * coins for view in every.values()])[1] <= LEVEL
    assert alarms <= binom.isf(1e-4, 60, LEVEL)


def test_the_order_of_the_pictures_says_nothing(blobs):
    rows, features = stored(blobs)
    turned = FeatureTable(
        features.encoder,
        dict(reversed(features.vectors.items())),
        {column: dict(reversed(vectors.items())) for column, vectors in features.looks.items()},
    )
    assert chirality(rows[::-1], turned) == chirality(rows, features)


def test_only_those_that_are_asked_about_count_and_of_near_duplicates_one(blobs):
    rows, features = stored(blobs)
    rows[0]["set"], rows[1]["reason"] = "unseen", "empty file"
    for row in rows[2:5]:
        row |= {"phash": "0f" * 8, "mean_r": 0.5, "mean_g": 0.5, "mean_b": 0.5}
    assert chirality(rows, features).n == 60 - 2 - 2


def test_an_encoder_that_saw_the_mirror_images_is_a_view_of_its_own(blobs):
    rows, features = stored(blobs)
    rng = np.random.default_rng(4)
    keys = [*features.vectors]
    vectors, there = (dict(zip(keys, rng.normal(0, 1, (60, 8)).astype(np.float32), strict=True)) for _ in range(2))
    handed = {key: there[key] + np.float32(2) for key in keys}
    for mirrored, finds in ((there, False), (handed, True)):
        table = FeatureTable(ENCODER, vectors, features.looks, mirrored)
        found = chirality(rows, table)
        assert [view.name for view in found.views][-1] == "what they show"
        assert found.finds is finds


def test_nothing_is_said_of_nothing(blobs):
    rows, features = stored(blobs[:4])
    assert chirality(rows, features) is None
    assert chirality(rows, None) is None and chirality(None, features) is None
    assert chirality(rows, FeatureTable("layout", features.vectors)) is None
