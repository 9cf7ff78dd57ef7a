"""Models beside a target: known by what they are, counted with it, refused when they do not fit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainedon.attacks.core.answers import silent
from trainedon.errors import UserError
from trainedon.targets import Reference, Shadows, load_target
from trainedon.training import Recipe, train_shadows

RECIPE = Recipe(size=8, widths=(8, 8), attention=False, passes=1, batch_size=6, warmup=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two shadow models of six pictures, 8 x 8; no test changes them."""
    root = tmp_path_factory.mktemp("shadows")
    (root / "pool").mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "pool" / f"{number}.png")
    train_shadows(root / "pool", root / "out", RECIPE, models=2, progress=silent)
    return root / "out"


@pytest.fixture
def audited(folder):
    """A model of the same kind, which is none of the two."""
    target = load_target(folder / "000")
    target.identity = replace(target.identity, digest="0" * 64)
    return target


def test_a_folder_is_known_by_its_digest_not_by_its_place(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "elsewhere")
    here, there = Shadows.open(folder), Shadows.open(tmp_path / "elsewhere")
    assert here == there and hash(here) == hash(there) and repr(here) == repr(there)
    assert "elsewhere" not in repr(there) and repr(here).startswith("Shadows(2 models, ")
    assert here != replace(here, digest="1" * 64)


def test_who_was_trained_on_what(folder):
    shadows = Shadows.open(folder)
    asked = [shadows.sha256[4], "f" * 64, shadows.sha256[0]]
    seen = shadows.trained_on(asked)
    assert np.array_equal(seen[:, [0, 2]], shadows.members[:, [4, 0]])
    assert not seen[:, 1].any(), "outside the pool no model was trained on it"


def test_pictures_of_the_pool(folder):
    batch = Shadows.open(folder).batch([5, 0])
    assert batch.pixels.shape == (2, 3, 8, 8) and batch.pixels.dtype == torch.float32 and batch.labels is None
    original = np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert torch.equal(batch.pixels[0], torch.from_numpy(original / np.float32(127.5) - 1).permute(2, 0, 1))


def test_models_are_loaded_once_counted_with_the_target_and_share_its_memo(folder, audited):
    shadows = Shadows.open(folder)
    models = shadows.targets(audited)
    assert all(a is b for a, b in zip(models, shadows.targets(audited), strict=True))
    pixels = shadows.batch([0, 1]).pixels
    with audited.counted() as spent, audited.sharing(), torch.no_grad():
        for _ in range(2):
            answers = [model.denoise(pixels, 100).noise for model in shadows.targets(audited)]
        assert models[0].memo is audited.memo
    assert spent.forward == 8 and spent.spared > 0
    assert not torch.equal(*answers), "equal inputs of two models are not confused"


def test_the_reference_is_counted_with_the_target(folder, audited):
    reference = Reference.open(folder / "001")
    reference.check(audited)
    with audited.counted() as spent, torch.no_grad():
        reference.target(audited).denoise(torch.zeros(3, 3, 8, 8), 100)
    assert spent.forward == 3 and reference.target(audited) is reference.target(audited)


def test_models_that_take_other_pictures_are_refused(folder, target):
    with pytest.raises(UserError, match=r"the shadow models take pictures of \(3, 8, 8\) and no classes"):
        Shadows.open(folder).check(target)
    with pytest.raises(UserError, match=r"the reference model takes pictures of \(3, 8, 8\)"):
        Reference.open(folder / "000").check(target)


def test_the_audited_model_is_no_reference_of_itself(folder):
    with pytest.raises(UserError, match="is the audited model itself"):
        Reference.open(folder / "000").check(load_target(folder / "000"))


@pytest.mark.parametrize("changed", ["a model", "the pool"])
def test_a_folder_that_changed_after_training_is_refused(changed, folder, audited, tmp_path):
    shutil.copytree(folder, tmp_path / "out")
    if changed == "a model":
        shutil.rmtree(tmp_path / "out" / "001")
        shutil.copytree(folder / "000", tmp_path / "out" / "001")
    else:
        arrays = dict(np.load(folder / "pool.npz"))
        np.savez(tmp_path / "out" / "pool.npz", **arrays | {"members": ~arrays["members"]})
    with pytest.raises(UserError, match="changed after its shadow models were trained"):
        Shadows.open(tmp_path / "out").check(audited)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"models": []}', '{"models": "000", "digest": "0"}', '{"models": ["000"], "digest": 1}']
)
def test_a_damaged_record_is_refused(text, tmp_path):
    (tmp_path / "shadows.json").write_text(text)
    with pytest.raises(UserError, match="is damaged"):
        Shadows.open(tmp_path)


def test_a_folder_without_finished_models_is_refused(folder, tmp_path):
    for place in (tmp_path, tmp_path / "nowhere", folder / "pool.npz"):
        with pytest.raises(UserError, match="holds no finished shadow models: make them with `trainedon train"):
            Shadows.open(place)


@pytest.mark.parametrize("damage", [None, b"", b"PK\x03\x04half", b"text"])
def test_a_damaged_pool_is_refused(damage, tmp_path):
    (tmp_path / "shadows.json").write_text(json.dumps({"models": ["000"], "digest": "0" * 64}))
    if damage is not None:
        (tmp_path / "pool.npz").write_bytes(damage)
    with pytest.raises(UserError, match=r"pool\.npz cannot be read"):
        len(Shadows.open(tmp_path).sha256)


def test_a_pool_that_holds_objects_is_never_unpickled(tmp_path):
    (tmp_path / "shadows.json").write_text(json.dumps({"models": ["000"], "digest": "0" * 64}))
    np.savez(
        tmp_path / "pool.npz", pixels=np.array([{}], dtype=object), sha256=np.array(["a"]), members=np.array([[1]])
    )
    with pytest.raises(UserError, match=r"pool\.npz cannot be read"):
        len(Shadows.open(tmp_path).sha256)
