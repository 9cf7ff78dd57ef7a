"""Who is a member is drawn at random, put on record, and kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainedon.errors import UserError
from trainedon.training import draw_members, read_members


@pytest.fixture
def source(tmp_path) -> Path:
    """Ten pictures, a copy of one of them, and a file that is none."""
    folder = tmp_path / "source"
    (folder / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(10):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("deeper" if number % 2 else ".") / f"{number}.png")
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def members(manifest: dict) -> list[str]:
    return [row["picture"] for row in manifest["pictures"] if row["member"]]


def test_the_draw_is_on_record(source, tmp_path):
    manifest = draw_members(source, tmp_path / "out", draw=4, seed=3)
    assert json.loads((tmp_path / "out/manifest.json").read_text()) == manifest
    assert manifest["seed"] == 3 and manifest["members"] == 4 and len(members(manifest)) == 4
    assert len(manifest["pictures"]) == 10, "exact duplicates and broken files take no part"
    assert all(len(row["sha256"]) == 64 for row in manifest["pictures"])


def test_the_draw_depends_on_the_seed_alone(source, tmp_path):
    draws = {seed: members(draw_members(source, tmp_path / str(seed), draw=4, seed=seed)) for seed in range(8)}
    assert members(draw_members(source, tmp_path / "again", draw=4, seed=0)) == draws[0]
    assert len({tuple(draw) for draw in draws.values()}) > 5


def test_every_picture_is_drawn_as_often(source, tmp_path):
    counts = dict.fromkeys(range(10), 0)
    for seed in range(60):
        manifest = draw_members(source, tmp_path / str(seed), draw=5, seed=seed)
        for i, row in enumerate(manifest["pictures"]):
            counts[i] += row["member"]
    assert min(counts.values()) > 15 and max(counts.values()) < 45  # 30 each, +- 4 standard deviations


def test_all_are_members_when_no_number_is_given(source, tmp_path):
    assert draw_members(source, tmp_path / "out", draw=None, seed=0)["members"] == 10


def test_the_same_draw_goes_on_and_another_is_refused(source, tmp_path):
    out = tmp_path / "out"
    manifest = draw_members(source, out, draw=4, seed=3)
    assert draw_members(source, out, draw=4, seed=3) == manifest
    before = (out / "manifest.json").read_bytes()
    for draw, seed in ((4, 4), (5, 3), (None, 3)):
        with pytest.raises(UserError, match="choose another --out"):
            draw_members(source, out, draw=draw, seed=seed)
    (source / "2.png").unlink()
    with pytest.raises(UserError, match="other pictures"):
        draw_members(source, out, draw=4, seed=3)
    assert (out / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("draw", [11, 0, -1])
def test_too_few_pictures(source, tmp_path, draw):
    with pytest.raises(UserError, match="cannot be drawn from 10 pictures"):
        draw_members(source, tmp_path / "out", draw=draw, seed=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "{"])
def test_a_damaged_manifest_is_refused(source, tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json is .*damaged"):
        draw_members(source, tmp_path, draw=4, seed=3)
    assert (tmp_path / "manifest.json").read_text() == text


def test_members_are_read_and_no_one_else(source, tmp_path):
    manifest = draw_members(source, tmp_path / "out", draw=4, seed=3)
    pixels, labels = read_members(source, manifest, 8, 3)
    assert pixels.shape == (4, 3, 8, 8) and pixels.dtype == torch.float32 and labels is None
    expected = [np.asarray(Image.open(source / name)) / 127.5 - 1 for name in members(manifest)]
    torch.testing.assert_close(pixels, torch.tensor(np.stack(expected)).permute(0, 3, 1, 2).float())
    assert read_members(source, manifest, 16, 1)[0].shape == (4, 1, 16, 16)
