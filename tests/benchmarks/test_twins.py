"""The benchmark of twins: scores that owe nothing to coins, and the whole way at a tiny size."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import twins
from benchmarks.twins import BEGIN, CELLS, END, ahead_by, main, models, p_of, unlearnt
from trainedon.training import Recipe


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, _, _ in CELLS))
def test_every_copy_is_as_likely_to_be_the_highest(kind):
    rng = np.random.default_rng(0)
    scores = np.concatenate([unlearnt(kind, 20, 3, rng) for _ in range(200)])
    assert scores.shape == (4000, 4)
    assert np.isnan(scores).sum() == (400 if kind == "missing" else 0), "a tenth of the pictures"
    if kind not in ("missing", "ties"):
        assert abs((scores[:, 0] > scores[:, 1:].max(axis=1)).mean() - 0.25) < 0.03


def test_a_published_copy_that_lies_higher_is_preferred_as_often_as_is_said():
    scores = np.random.default_rng(0).normal(size=(20_000, 4))
    scores[:, 0] += ahead_by(0.7, 3)
    assert abs((scores[:, 0] > scores[:, 1:].max(axis=1)).mean() - 0.7) < 0.02
    assert p_of(scores[:100]) < 0.01


@pytest.mark.slow
def test_the_whole_way_at_a_tiny_size(tmp_path, monkeypatch):
    monkeypatch.setattr(twins, "OTHERS", 1)
    faces = [tmp_path / f"{i}.png" for i in range(16)]
    rng = np.random.default_rng(0)
    for path in faces:
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(path)
    tiny = Recipe(size=8, widths=(8,), passes=1)
    lines = models(faces, tmp_path / "out", tiny, n=8)
    assert [line.split(" | ")[:3] for line in lines[2:]] == [
        [f"| {kept}", whose, "8"] for kept in (1, 3) for whose in ("used", "never seen")
    ]


def test_the_page_has_the_tables(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before {BEGIN} {END} after")
    main(["--out", str(tmp_path), "--sets", "4", "--page", str(page)])
    text = page.read_text()
    assert text.startswith("before") and text.endswith("after")
    assert "| near-duplicates | 3 | 40 |" in text and "| 9 | 0 | 100 | 0 | - |" in text
