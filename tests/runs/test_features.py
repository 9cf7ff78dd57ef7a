"""Features of a run's pictures: which pictures, by which encoder, and the file."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from trainedon.errors import UserError
from trainedon.evidence import read_features
from trainedon.evidence.table.clusters import ENCODER
from trainedon.formats.arrow_schemas import LOOKS, SIDES
from trainedon.pictures import Item, scan, take_inventory
from trainedon.pictures.appearance import layout
from trainedon.runs import features as module
from trainedon.runs.features import MOST, write_features


@pytest.fixture
def stock(toy_pictures):
    """Items and entries of 11 members and 24 unseen pictures, one of them unusable."""
    items, entries = [], []
    for name, limit in (("member", 11), ("unseen", 24)):
        listed = scan(toy_pictures[name + "s" if name == "member" else name], limit)
        items += take_inventory(listed, name)
        entries += listed
    items[3] = replace(items[3], reason="also among the suspects")
    return items, entries


@pytest.fixture
def built_in(monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", ("a_package_that_is_not_installed",))


@pytest.fixture
def installed():
    for package in module.PACKAGES:
        pytest.importorskip(package, reason="the EfficientNet packages are not installed")


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


def test_every_usable_picture_of_each_set_by_the_built_in_descriptor(stock, built_in, tmp_path):
    items, entries = stock
    seen = []
    write_features(items, entries, tmp_path, lambda *progress: seen.append(progress))
    assert {what for what, _, _ in seen} == {"looking at pictures"} and seen[-1][1:] == (34, 34)
    features = read_features(tmp_path / "looks.parquet")
    usable = [item for item in items if item.reason is None]
    assert features.encoder == "layout" and set(features.vectors) == {(item.set, item.picture) for item in usable}
    for item, entry in zip(items, entries):
        if item.reason is not None:
            continue
        row = features.vectors[item.set, item.picture]
        assert row.dtype == np.float32
        np.testing.assert_array_equal(row, layout(entry.read().rgb))
    table = pq.read_table(tmp_path / "looks.parquet")
    assert table.column_names == ["set", "picture", "sha256", "features", *LOOKS.names, *SIDES.names]
    digests = {(item.set, item.picture): item.sha256 for item in usable}
    assert all(digests[r["set"], r["picture"]] == r["sha256"] for r in table.select([0, 1, 2]).to_pylist())
    assert [path.name for path in tmp_path.iterdir()] == ["looks.parquet"]


def test_of_more_pictures_the_first_by_digest_are_taken(stock, built_in, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 5)
    items, entries = stock
    write_features(items[::-1], entries[::-1], tmp_path, quiet)
    features = read_features(tmp_path / "looks.parquet").vectors
    for name in ("member", "unseen"):
        usable = sorted((i for i in items if i.set == name and i.reason is None), key=lambda item: item.sha256)
        assert {key for key in features if key[0] == name} == {(name, item.picture) for item in usable[:5]}
    assert MOST == 1024


def test_a_picture_looks_the_same_whatever_its_neighbours(stock, installed, tmp_path):
    items, entries = stock
    write_features(items, entries, tmp_path, quiet)
    features = read_features(tmp_path / "looks.parquet")
    assert features.encoder == ENCODER and all(row.shape == (1280,) for row in features.vectors.values())
    assert {name for name, _ in features.mirrored} == {"member"} and len(features.mirrored) == 10
    (tmp_path / "few").mkdir()
    write_features(items[-3:], entries[-3:], tmp_path / "few", quiet)
    few = read_features(tmp_path / "few" / "looks.parquet").vectors
    assert len(few) == 3
    for key, row in few.items():
        np.testing.assert_array_equal(row, features.vectors[key])


def test_a_larger_copy_looks_like_the_picture_and_another_does_not(shared, installed, tmp_path):
    items, entries = [], []
    for name, size in (("member", 64), ("suspect", 32)):  # the same faces
        source = shared / "data" / f"celeba{size}" / "unseen"
        listed = scan(source, 8)
        items += take_inventory(listed, name)
        entries += listed
    write_features(items, entries, tmp_path, quiet)
    features = read_features(tmp_path / "looks.parquet").vectors
    rows = {
        name: np.stack([features[i.set, i.picture] for i in items if i.set == name]) for name in ("member", "suspect")
    }
    unit = {name: row / np.linalg.norm(row, axis=1, keepdims=True) for name, row in rows.items()}
    cosine = unit["member"] @ unit["suspect"].T
    assert (cosine.argmax(axis=1) == np.arange(8)).mean() > 0.7


def test_the_mirror_image_is_seen_as_if_the_file_had_been_mirrored(installed, toy_pictures, tmp_path):
    for name in ("as they are", "mirrored"):
        (tmp_path / name).mkdir()
    for path in sorted(toy_pictures["members"].iterdir())[:5]:
        with Image.open(path) as image:
            image.save(tmp_path / "as they are" / path.name)
            ImageOps.mirror(image).save(tmp_path / "mirrored" / path.name)
    features = {}
    for name in ("as they are", "mirrored"):
        entries = scan(tmp_path / name)
        write_features(take_inventory(entries, "suspect"), entries, tmp_path / name, quiet)
        features[name] = read_features(tmp_path / name / "looks.parquet")
    for key, row in features["as they are"].mirrored.items():
        np.testing.assert_allclose(row, features["mirrored"].vectors[key], atol=0.02)
        assert np.abs(row - features["as they are"].vectors[key]).max() > 0.1
    assert len(features["as they are"].mirrored) == 5


def test_what_is_there_is_not_done_again(stock, built_in, tmp_path):
    items, entries = stock
    write_features(items, entries, tmp_path, quiet)
    before = (tmp_path / "looks.parquet").stat()
    write_features(items, [], tmp_path, quiet)  # would fail if it read a picture
    assert (tmp_path / "looks.parquet").stat().st_mtime_ns == before.st_mtime_ns


def test_a_picture_that_changed_or_went_is_named_and_nothing_is_left(built_in, toy_pictures, tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    for path in sorted(toy_pictures["members"].iterdir())[:3]:
        (source / path.name).write_bytes(path.read_bytes())
    entries = scan(source)
    items = take_inventory(entries, "suspect")
    (source / "01.png").write_bytes((source / "02.png").read_bytes())
    with pytest.raises(UserError, match=r"01\.png changed during the run"):
        write_features(items, entries, tmp_path, quiet)
    (source / "01.png").unlink()
    with pytest.raises(UserError, match=r"01\.png could be read at first"):
        write_features(items, entries, tmp_path, quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_no_usable_picture_no_features(tmp_path):
    write_features([Item("a", None, "suspect", None, "empty file")], [], tmp_path, quiet)
    assert read_features(tmp_path / "looks.parquet").vectors == {}


def test_a_file_that_is_missing_or_foreign(tmp_path):
    assert read_features(tmp_path / "looks.parquet") is None
    (tmp_path / "text.parquet").write_text("hello")
    pq.write_table(pa.table({"set": ["a"]}), tmp_path / "other.parquet")
    pq.write_table(pa.table({"set": ["a"]}).replace_schema_metadata({"encoder": "x"}), tmp_path / "columns.parquet")
    for name in ("text.parquet", "other.parquet", "columns.parquet"):
        with pytest.raises(UserError, match="not a list of features"):
            read_features(tmp_path / name)
