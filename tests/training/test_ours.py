"""A training writes to new folders and its own, and nothing of anybody else's is touched."""

import json

import pytest
import torch

from trainedon.errors import UserError
from trainedon.training import Recipe, check_ours, check_shadows_folder, train

RECIPE = Recipe(size=8, widths=(8, 8), attention=False, passes=2, batch_size=4)


@pytest.fixture
def pictures():
    return torch.rand(4, 3, 8, 8) * 2 - 1


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["log.csv", "unet/weights.safetensors", "notes.txt", "checkpoint.safetensors.tmp"])
def test_somebodys_folder(pictures, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = everything(tmp_path)
    for check in (check_ours, check_shadows_folder, lambda out: train(pictures, out, RECIPE)):
        with pytest.raises(UserError, match="is not empty"):
            check(tmp_path)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["manifest.json", "recipe.json"])
@pytest.mark.parametrize("value", [{"name": "an app"}, []])
def test_somebodys_json_of_the_same_name(pictures, tmp_path, name, value):
    (tmp_path / name).write_text(json.dumps(value))
    before = everything(tmp_path)
    for check in (check_ours, lambda out: train(pictures, out, RECIPE)):
        with pytest.raises(UserError, match=r"choose another --out"):
            check(tmp_path)
    assert everything(tmp_path) == before


def test_a_lock_of_somebody_else(tmp_path):
    (tmp_path / ".lock").write_text("pid 7")
    for check in (check_ours, check_shadows_folder):
        with pytest.raises(UserError, match="no lock of this program"):
            check(tmp_path)


def test_links_in_a_training_are_not_followed(pictures, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.txt").write_text("mine")
    train(pictures, out, RECIPE)
    for name in ("unet", "model_index.json", "log.csv"):
        path = out / name
        (path.rename(tmp_path / f"before-{name}"))
        path.symlink_to(elsewhere / "kept.txt" if path.suffix else elsewhere)
    (out / "model_index.json").unlink()  # so that it is trained again
    (out / ".unfinished").symlink_to(elsewhere)
    train(pictures, out, RECIPE)
    assert everything(elsewhere) == {elsewhere / "kept.txt": b"mine"}
    assert not (out / "unet").is_symlink() and (out / "unet" / "config.json").exists()


def test_a_damaged_checkpoint(pictures, tmp_path):
    train(pictures, tmp_path, RECIPE)
    (tmp_path / "model_index.json").unlink()
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\0" * 50)
    with pytest.raises(UserError, match="damaged or of another training"):
        train(pictures, tmp_path, RECIPE)
