"""Shadow models: random parts of one pool, on record, that survive a kill."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commandline import call
from forked import Forked
from PIL import Image

from trainedon.attacks.core.answers import silent
from trainedon.errors import UserError
from trainedon.pictures import Batch, scan
from trainedon.targets import Shadows, load_target
from trainedon.training import train_shadows
from trainedon.training.shadows import splits

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def make_pictures(folder: Path, classes: int = 0) -> Path:
    """Ten pictures of several sizes, a copy of one of them, and a file that is none."""
    rng = np.random.default_rng(0)
    for number in range(10):
        place = folder / str(number % classes) if classes else folder
        place.mkdir(parents=True, exist_ok=True)
        shape = [(8, 8, 3), (20, 13, 3), (5, 9, 3)][number % 3]
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(place / f"{number}.png")
    (place / "copy.png").write_bytes((place / "9.png").read_bytes())
    (place / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def folder(source, recipe, tmp_path_factory) -> Path:
    """Four shadow models; no test changes them."""
    out = tmp_path_factory.mktemp("shadows") / "out"
    train_shadows(source, out, recipe, models=4, progress=silent)
    return out


def content(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("pictures", [2, 9, 600])
def test_each_picture_is_in_one_model_of_each_pair(pictures):
    members = splits(pictures, 6, None, seed=1)
    assert members.shape == (6, pictures) and (members.sum(1) == pictures // 2).all()
    pairs = members[0::2].astype(int) + members[1::2]
    assert (pairs <= 1).all() and (pairs.sum(1) == pictures - pictures % 2).all()


def test_a_smaller_or_larger_draw_takes_both_ends_of_one_order():
    few, many = splits(10, 2, 3, seed=1), splits(10, 2, 8, seed=1)
    assert (few.sum(1) == 3).all() and not (few[0] & few[1]).any()
    assert (many.sum(1) == 8).all() and (many[0] & many[1]).sum() == 6
    assert (few <= many).all()


def test_splits_are_random_and_depend_on_the_seed_alone():
    assert np.array_equal(splits(40, 4, None, seed=1), splits(40, 4, None, seed=1))
    rows = np.concatenate([splits(40, 40, None, seed) for seed in range(10)])
    assert len(np.unique(rows, axis=0)) == 400
    assert np.array_equal(rows[:2], splits(40, 2, None, 0)), "more models leave the first as they are"
    together = (rows[:, :1] == rows[:, 1:]).mean(0)
    assert abs(together.mean() - 19 / 39) < 0.02, "two pictures fall together as chance has it"


@pytest.mark.parametrize(("models", "draw"), [(1, None), (2, 0), (2, 10), (2, 11)])
def test_splits_that_say_nothing_are_refused(models, draw):
    with pytest.raises(UserError, match="take 2 models or more, and fewer pictures"):
        splits(10, models, draw, seed=0)


def test_the_folder_holds_models_their_members_and_the_pool_as_they_saw_it(folder, source, recipe):
    shadows = Shadows.open(folder)
    assert shadows.models == ("000", "001", "002", "003") and shadows.members.shape == (4, 10)
    assert (shadows.members.sum(0) == 2).all()
    entries = [entry for entry in scan(source) if entry.name not in ("broken.png", "copy.png")]
    seen = Batch.from_pictures([entry.read() for entry in entries], (8, 8), 3)
    again = shadows.batch(range(10))
    assert torch.equal(again.pixels, seen.pixels), "8 bits hold what the models saw"
    assert again.sha256 == seen.sha256 and again.labels is None
    for name, members in zip(shadows.models, shadows.members, strict=True):
        rows = json.loads((folder / name / "manifest.json").read_text())["pictures"]
        assert [row["sha256"] for row in rows] == list(shadows.sha256)
        assert [row["member"] for row in rows] == members.tolist()
    assert len({(folder / name / WEIGHTS).read_bytes() for name in shadows.models}) == 4
    seeds = {json.loads((folder / name / "recipe.json").read_text())["seed"] for name in shadows.models}
    assert len(seeds) == 4 and recipe.seed not in seeds
    shadows.check(load_target(folder / "000"))


def test_models_of_a_pool_with_classes_are_class_conditional(recipe, tmp_path):
    source = make_pictures(tmp_path / "pool", classes=3)
    train_shadows(source, tmp_path / "out", replace(recipe, passes=1), models=2, progress=silent)
    shadows = Shadows.open(tmp_path / "out")
    assert load_target(tmp_path / "out" / "001").classes == 3
    assert shadows.batch([0, 5, 9]).labels.tolist() == [0, 1, 2]


KILLED = """
import os, signal, sys
from pathlib import Path
from trainedon.training import Recipe, train_shadows
recipe = Recipe(size=8, widths=(8, 8), attention=False, passes=3, batch_size=5, warmup=2, learning_rate=1e-3)
def kill(what, done, steps):
    if what.startswith("model 2 of 4, loss") and done == steps:
        os.kill(os.getpid(), signal.SIGKILL)
train_shadows(Path(sys.argv[1]), Path(sys.argv[2]), recipe, models=4, progress=kill)
"""


@pytest.mark.slow
def test_killed_and_gone_on_is_as_if_never_killed(folder, source, recipe, tmp_path):
    out = tmp_path / "killed"
    killed = Forked(KILLED, [source, out], tmp_path).end()
    assert killed.returncode == -signal.SIGKILL
    assert (out / "001" / "checkpoint.safetensors").exists() and not (out / "001" / "model_index.json").exists()
    with pytest.raises(UserError, match="no finished shadow models"):
        Shadows.open(out)
    first = (out / "000" / WEIGHTS).stat().st_mtime_ns
    told = []
    train_shadows(source, out, recipe, models=4, progress=lambda *args: told.append(args))
    assert (out / "000" / WEIGHTS).stat().st_mtime_ns == first, "a finished model is left alone"
    goes_on = {"reading pictures", "model 2 of 4", "model 3 of 4", "model 4 of 4"}  # the second from its last step
    assert {what.partition(",")[0] for what, _, _ in told} == goes_on
    assert content(out) == content(folder)


@pytest.mark.parametrize(
    ("options", "changes"),
    [({"models": 6}, {}), ({"models": 4, "draw": 3}, {}), ({"models": 4}, {"seed": 1}), ({"models": 4}, {"passes": 4})],
)
def test_other_models_are_refused_and_nothing_is_lost(options, changes, folder, source, recipe):
    before = content(folder)
    with pytest.raises(UserError, match="choose another --out") as caught:
        train_shadows(source, folder, replace(recipe, **changes), **options, progress=silent)
    assert "\n" not in str(caught.value) and content(folder) == before


def unfinished(folder: Path, out: Path) -> Path:
    """The folder as it is before the last model is done."""
    for path, data in content(folder).items():
        if path.parts[0] not in ("003", "shadows.json"):
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_bytes(data)
    return out


@pytest.mark.parametrize(
    ("options", "changes"),
    [({"models": 6}, {}), ({"models": 4, "draw": 3}, {}), ({"models": 4}, {"seed": 1}), ({"models": 4}, {"passes": 4})],
)
def test_unfinished_models_go_on_with_the_same_choice_alone(options, changes, folder, source, recipe, tmp_path):
    out = unfinished(folder, tmp_path / "out")
    before = content(out)
    with pytest.raises(UserError, match="choose another --out"):
        train_shadows(source, out, replace(recipe, **changes), **options, progress=silent)
    assert content(out) == before


def test_other_pictures_are_refused(folder, recipe, tmp_path):
    other = make_pictures(tmp_path / "other")
    (other / "3.png").unlink()
    before = content(folder)
    with pytest.raises(UserError, match="choose another --out"):
        train_shadows(other, folder, recipe, models=4, progress=silent)
    assert content(folder) == before


def test_a_folder_of_something_else_is_left_as_it_is(source, recipe, tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds no shadow models \(but model_index\.json\): choose another --out"):
        train_shadows(source, tmp_path, recipe, models=2, progress=silent)
    assert [path.name for path in tmp_path.iterdir()] == ["model_index.json"]


@pytest.mark.parametrize(("name", "message"), [("pool.npz", "cannot be read"), ("shadows.json", "is damaged")])
@pytest.mark.parametrize("data", [b"", b"PK\x03\x04half", b"[]"])
def test_damaged_records_are_refused(name, message, data, folder, source, recipe, tmp_path):
    out = unfinished(folder, tmp_path / "out")
    (out / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        train_shadows(source, out, recipe, models=4, progress=silent)


def test_the_command_line_trains_shadow_models(source, tmp_path):
    options = ["--size", 8, "--widths", "8,8", "--no-attention", "--passes", 1, "--shadows", 2, "--draw", 4]
    done = call("train", source, "--out", tmp_path / "s", *options)
    assert done.returncode == 0 and "--shadows" in done.stdout, done.stderr
    assert Shadows.open(tmp_path / "s").members.sum(1).tolist() == [4, 4]
