"""Mirror images of one another are found, other pictures are not taken for them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from trainedon.evidence import FeatureTable, sign_flip_test
from trainedon.evidence.table import mirrored_copies as module
from trainedon.evidence.table.mirrored_copies import handed_by_jpeg, mirrored_by_exif, mirrored_copies
from trainedon.pictures.traces import thumbnail


def pictures(n, seed=0, side=64):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC) for one in small]


def compressed(image):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=60)
    return Image.open(out).convert("RGB")


def table(images):
    keys = [("suspect", str(i)) for i in range(len(images))]
    rows = {key: thumbnail(np.asarray(image)) for key, image in zip(keys, images, strict=True)}
    return FeatureTable("layout", {}, {"thumbnail": rows}), keys


@pytest.mark.parametrize(
    "changed", [lambda x: x, compressed, lambda x: x.resize((40, 40))], ids=["as is", "JPEG", "size"]
)
@pytest.mark.parametrize("rows", [256, 3])
def test_a_mirrored_copy_is_found_and_another_picture_is_not(monkeypatch, changed, rows):
    monkeypatch.setattr(module, "ROWS", rows)
    some = pictures(8)
    images = [*some, changed(ImageOps.mirror(some[2])), changed(ImageOps.mirror(some[5])), some[6].rotate(180)]
    np.testing.assert_array_equal(mirrored_copies(*table(images)), [0, 1, 2, 3, 4, 5, 6, 7, 2, 5, 10])


def test_a_copy_of_the_mirror_image_belongs_to_both():
    one = pictures(1)[0]
    images = [*pictures(3, seed=1), one, ImageOps.mirror(one), compressed(one)]
    np.testing.assert_array_equal(mirrored_copies(*table(images)), [0, 1, 2, 3, 3, 3])


def test_pictures_without_edges_are_no_copies():
    flat = [Image.new("RGB", (20, 20), (level, level, level)) for level in (10, 10, 200)]
    np.testing.assert_array_equal(mirrored_copies(*table(flat)), [0, 1, 2])


def test_pictures_that_nobody_described_are_no_copies():
    some = pictures(3)
    features, keys = table([some[0], ImageOps.mirror(some[0])])
    everyone = [("suspect", "unknown"), *keys, ("unseen", "0")]
    np.testing.assert_array_equal(mirrored_copies(features, everyone), [0, 1, 1, 3])
    np.testing.assert_array_equal(mirrored_copies(None, everyone), [0, 1, 2, 3])
    np.testing.assert_array_equal(mirrored_copies(FeatureTable("layout", {}), everyone), [0, 1, 2, 3])


def test_both_ways_round_they_cancel_as_units_of_the_sign_test():
    some = pictures(6)
    features, keys = table([*some, *map(ImageOps.mirror, some)])
    differences = np.concatenate([np.arange(1.0, 7), -np.arange(1.0, 7)])
    test = sign_flip_test(differences, units=mirrored_copies(features, keys))
    assert (test.n, test.p_value) == (0, 1.0)


def test_what_exif_mirrors_is_counted():
    rows = [
        {"set": name, "picture": str(i), "sha256": f"{i:064x}", "reason": reason, "orientation": orientation}
        for i, (name, reason, orientation) in enumerate(
            [
                ("suspect", None, 2),
                ("suspect", None, 5),
                ("suspect", None, 6),
                ("suspect", None, None),
                ("suspect", "empty file", 4),
                ("unseen", None, 7),
            ]
        )
    ]
    assert (mirrored_by_exif(rows), mirrored_by_exif(rows, "unseen"), mirrored_by_exif(rows, "member")) == (2, 1, 0)


def test_jpeg_grids_that_differ_from_those_of_mirror_images_are_counted():
    kinds = [
        ("JPEG", 64, 70),  # 8 divides the width
        ("JPEG", 70, 64),
        ("JPEG", 67, 500),  # as narrow as two models
        ("JPEG", 500, 67),
        ("JPEG", 501, 300),  # much larger than the model
        ("PNG", 70, 64),
        ("JPEG", 30, 30),  # enlarged
    ]
    rows = [
        {"set": "suspect", "picture": str(i), "sha256": f"{i:064x}", "reason": None}
        | dict(zip(("format", "width", "height"), kind, strict=True))
        for i, kind in enumerate(kinds)
    ]
    assert handed_by_jpeg(rows, (32, 32)) == 1
    assert handed_by_jpeg(rows, (64, 64)) == 4
    assert handed_by_jpeg(rows, (64, 64), "unseen") == 0
    assert handed_by_jpeg([], (64, 64)) == 0
