"""Taking stock: reasons, duplicates, statistics."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from trainedon.pictures import (
    Inventory,
    Item,
    Rendering,
    cross_duplicates,
    read_inventory,
    scan,
    take_inventory,
    write_inventory,
)
from trainedon.pictures.appearance import detail, jpeg_trace, perceptual_hash
from trainedon.pictures.taking_inventory import restated

LATER = ["phash", "jpeg_trace", "detail"]


def test_every_picture_is_listed_with_its_reason(folder, encoded):
    path = folder("a.png", "2/b.png")
    (path / "cut.jpg").write_bytes(encoded("JPEG")[:-40])
    (path / "text.png").write_text("no picture")
    (path / "zero.gif").write_bytes(b"")
    (path / "copy.png").write_bytes((path / "a.png").read_bytes())
    (path / "more.png").write_bytes((path / "a.png").read_bytes())
    (path / "also cut.jpg").write_bytes((path / "cut.jpg").read_bytes())
    items = take_inventory(scan(path), "suspect")
    assert [(item.picture, item.reason) for item in items] == [
        ("2/b.png", None),
        ("a.png", None),
        ("also cut.jpg", "truncated: the file ends too early"),
        ("copy.png", "exact duplicate of a.png"),
        ("cut.jpg", "truncated: the file ends too early"),
        ("more.png", "exact duplicate of a.png"),
        (
            "text.png",
            "not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or JPEG 2000 picture, or its header is damaged; it seems to "
            "be: text file",
        ),
        ("zero.gif", "empty file"),
    ]
    assert [item.picture for item in items] == [entry.name for entry in scan(path)]
    assert {item.set for item in items} == {"suspect"} and items[0].label == 2 and items[1].label is None
    assert items[6].sha256 == hashlib.sha256(b"no picture").hexdigest()  # read, if not understood
    assert items[6].format is None and items[6].sharpness is None
    assert [getattr(items[6], name) for name in LATER] == [None] * 3
    entry = scan(path)[1].read()
    assert items[1].sha256 == entry.sha256
    assert {name: getattr(items[1], name) for name in entry.facts} == entry.facts


def test_limit_and_progress(folder):
    path = folder("a.png", "b.png", "c.png")
    seen = []
    items = take_inventory(scan(path, 2), "unseen", progress=lambda done, total: seen.append((done, total)))
    assert [item.picture for item in items] == ["a.png", "b.png"] and seen == [(1, 2), (2, 2)]


def test_the_same_bytes_under_a_broken_name_are_no_duplicates(folder):
    path = folder("a.png")
    for name in ("x.png", "y.png"):
        (path / name).symlink_to(path / "nowhere")
    items = take_inventory(scan(path), "suspect")
    assert [item.sha256 for item in items[1:]] == [None, None]
    assert all(item.reason.startswith("cannot be read") for item in items[1:])


def test_colour_statistics_equal_numpy(tmp_path, encoded):
    rgb = np.random.default_rng(0).integers(0, 256, (37, 23, 3), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(encoded("PNG", rgb))
    item = take_inventory(scan(tmp_path), "member")[0]
    scaled = rgb.reshape(-1, 3).astype(np.float64) / 255
    np.testing.assert_allclose([item.mean_r, item.mean_g, item.mean_b], scaled.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose([item.std_r, item.std_g, item.std_b], scaled.std(axis=0), rtol=1e-10)


def test_sharpness_by_hand(tmp_path, encoded):
    dot = np.zeros((5, 5, 3), np.uint8)
    dot[2, 2] = 100  # Laplacian: -400 once, +100 four times, 0 elsewhere
    flat = np.full((3, 300, 3), 90, np.uint8)
    for name, rgb in (("dot.png", dot), ("flat.png", flat), ("one.png", np.zeros((1, 1, 3), np.uint8))):
        (tmp_path / name).write_bytes(encoded("PNG", rgb))
    items = take_inventory(scan(tmp_path), "member")
    assert [item.sharpness for item in items] == [(400**2 + 4 * 100**2) / 25, 0, 0]


def test_sharpness_falls_with_blur_and_is_taken_at_256_pixels(tmp_path, encoded):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blurred = noise.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3)).repeat(2, 0).repeat(2, 1).astype(np.uint8)
    large = noise.repeat(16, 0).repeat(8, 1)  # 1024 x 512 pixels
    for name, rgb in (("blurred.png", blurred), ("large.png", large), ("sharp.png", noise)):
        (tmp_path / name).write_bytes(encoded("PNG", rgb))
    items = {item.picture: item.sharpness for item in take_inventory(scan(tmp_path), "member")}
    assert items["blurred.png"] < items["sharp.png"] / 2
    at_256 = Image.fromarray(large).resize((128, 256), Image.Resampling.LANCZOS)
    (tmp_path / "256.png").write_bytes(encoded("PNG", at_256))
    expected = take_inventory(scan(tmp_path / "256.png"), "member")[0].sharpness
    assert items["large.png"] == pytest.approx(expected, rel=0.01)


def test_looks_are_those_of_the_pixels(tmp_path, encoded):
    rgb = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    for name, pixels in (("a.png", rgb), ("flat.png", np.full_like(rgb, 90))):
        (tmp_path / name).write_bytes(encoded("PNG", pixels))
    item, flat = take_inventory(scan(tmp_path), "member")
    assert (item.phash, item.jpeg_trace, item.detail) == (perceptual_hash(rgb), jpeg_trace(rgb), detail(rgb))
    assert item.phash is not None and flat.phash is None and flat.reason is None


def test_unseen_pictures_that_were_given_are_set_aside():
    def item(name, sha, group, reason=None):
        return Item(name, sha, group, None, reason)

    items = [
        item("a", "1", "suspect"),
        item("b", "2", "unseen"),
        item("c", "1", "unseen"),
        item("d", "3", "member"),
        item("e", "3", "unseen"),
        item("f", "1", "unseen", "exact duplicate of c"),
        item("g", None, "suspect", "cannot be read"),
        item("h", None, "unseen", "cannot be read"),
        item("i", "2", "unseen", "exact duplicate of b"),
    ]
    marked = cross_duplicates(items)
    assert [one.reason for one in marked] == [
        None,
        None,
        "also among the suspects",
        None,
        "also among the members",
        "exact duplicate of c",
        "cannot be read",
        "cannot be read",
        "exact duplicate of b",
    ]
    assert [replace(one, reason=None) for one in marked] == [replace(one, reason=None) for one in items]
    assert cross_duplicates(marked) == marked


def test_real_faces_pass_through_untouched(shared):
    items = take_inventory(scan(shared / "data" / "celeba32" / "members", 20), "member")
    assert [item.reason for item in items] == [None] * 20
    assert {(item.format, item.width, item.height) for item in items} == {("PNG", 32, 32)}
    assert all(0 < item.mean_r < 1 and item.sharpness > 0 for item in items)


def test_copies_are_told_by_all_of_their_digest(monkeypatch):
    items = Inventory.of([Item(str(i), str(i % 5), "unseen" if i % 2 else "member", None) for i in range(20)])
    marked = cross_duplicates(items)
    monkeypatch.setattr("trainedon.pictures.listing.columns.hash", lambda text: 7, raising=False)  # all numbers collide
    assert cross_duplicates(items) == marked
    assert {item.reason for item in marked if item.set == "unseen"} == {"also among the members"}
    apart = [Item(str(i), str(i), "unseen" if i % 2 else "member", None) for i in range(20)]
    assert cross_duplicates(apart) == apart


def test_what_can_be_read_in_several_ways_is_told(tmp_path, encoded, rgb):
    exif = Image.Exif()
    exif[274] = 6
    files = {
        "clear.png": encoded("PNG", np.dstack([rgb, np.zeros((12, 16), np.uint8)])),
        "plain.png": encoded("PNG", rgb),
        "turned.jpg": encoded("JPEG", exif=exif),
        "zero.png": b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    entries = scan(tmp_path)
    items = take_inventory(entries, "member")
    assert [item.alpha for item in items] == [True, False, False, None]
    assert [item.orientation for item in items] == [None, None, 6, None]
    assert items[0].mean_r == 1 and (items[2].width, items[2].height) == (12, 16)
    other = Rendering(alpha="black", orientation="stored")
    black = restated(items, entries, [0, 2], other)
    assert black == take_inventory(entries, "member", rendering=other)
    assert black[0].mean_r == 0 and (black[2].width, black[2].height) == (16, 12)
    write_inventory(black, tmp_path / "pictures.parquet")
    assert read_inventory(tmp_path / "pictures.parquet") == black
