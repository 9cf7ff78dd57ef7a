"""A run over many small files: what is made up differs, and phases add up."""

from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from benchmarks import pipeline
from trainedon.errors import UserError


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (70, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


def test_the_files_all_differ_and_are_dealt_in_halves(source, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "FOLDER", 10)
    pipeline.made_up(source, tmp_path / "made", 50)
    files = sorted((tmp_path / "made").rglob("*.jpg"))
    assert len({sha256(path.read_bytes()).digest() for path in files}) == 50
    assert len([*(tmp_path / "made" / "unseen").rglob("*.jpg")]) == 25
    assert len([*(tmp_path / "made" / "members").iterdir()]) == 3
    with Image.open(files[0]) as picture:
        assert picture.size == (64, 64)
    with pytest.raises(UserError, match="no PNG files"):
        pipeline.made_up(tmp_path / "made", tmp_path / "again", 2)


def test_phases_last_until_the_next_and_add_up():
    told = [("a", 0.0, 0.0), ("b", 2.0, 1.0), ("a", 3.0, 1.5), ("end", 7.0, 2.0)]
    assert pipeline.seconds(told) == {"a": (6.0, 1.5), "b": (1.0, 0.5)}


@pytest.mark.slow
def test_a_whole_run_is_measured(source):
    found = pipeline.measured(source, 60, 2)
    assert {"imports", "reading member", "reading unseen", "looking at pictures", "loss"} <= {*found["phases"]}
    assert 50 < found["peak_mib"] < 5000
    assert "60 pictures: " in pipeline.table([found])
