"""Training: the recipe alone decides the weights, a killed one goes on, and what comes out is a model to audit."""

import csv
import importlib
import math
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from forked import Forked
from safetensors.torch import load_file

from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.reading import read_json
from trainedon.targets import load_target
from trainedon.training import Recipe, train
from trainedon.training.families.augment import colour, crop
from trainedon.training.families.lesson import noised_batch, regression_target

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


class Stop(Exception):
    """Stands for whatever ends a training from outside."""


def stop_at(monkeypatch, step: int) -> None:
    """The learning rate of that step is never told: training ends there, its optimiser step undone."""
    module = importlib.import_module("trainedon.training.train")
    told = module.learning_rate

    def tell(recipe, now, steps):
        if now == step:
            raise Stop
        return told(recipe, now, steps)

    monkeypatch.setattr(module, "learning_rate", tell)


@pytest.fixture(scope="module")
def undisturbed(pictures, recipe, tmp_path_factory) -> Path:
    return train(pictures, tmp_path_factory.mktemp("training") / "m", recipe, checkpoint_every=2)


@pytest.fixture
def whole(undisturbed, tmp_path) -> Path:
    """The folder of a training that nothing disturbed, for the test to do with as it likes."""
    return Path(shutil.copytree(undisturbed, tmp_path / "whole"))


def assert_same(one: Path, other: Path) -> None:
    assert (one / WEIGHTS).read_bytes() == (other / WEIGHTS).read_bytes()
    assert (one / "log.csv").read_bytes() == (other / "log.csv").read_bytes()
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in other.iterdir())


def test_the_folder_is_a_model_to_audit(whole, pictures, recipe):
    assert {path.name for path in whole.iterdir()} == {
        *("model_index.json", "unet", "scheduler", "recipe.json", "log.csv"),
    }
    target = load_target(whole)
    assert target.shape == (3, 8, 8) and target.timesteps == 1000 and target.identity.notes == ()
    assert torch.isfinite(target.denoise(pictures, 100).clean).all()
    start = recipe.unet().state_dict()
    moved = [name for name, value in target.network.state_dict().items() if not torch.equal(value, start[name])]
    assert len(moved) > 0.9 * len(start), "training must move the weights"


def test_the_log(whole):
    rows = list(csv.DictReader((whole / "log.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert all(0 < float(row["loss"]) < 3 for row in rows)
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates[0] == 1e-3 and rates == sorted(rates, reverse=True)


def test_progress_is_told(pictures, recipe, tmp_path):
    told = []
    train(pictures, tmp_path / "m", recipe, checkpoint_every=4, progress=lambda *args: told.append(args))
    assert [args[:2] for args in told] == [(done, 6) for done in range(7)], "at once, and after every step"
    assert [math.isfinite(args[2]) for args in told] == [False] + 6 * [True]


@pytest.mark.parametrize("steps", [(0,), (1,), (2,), (3,), (5,), (1, 1, 3, 4)])
def test_stopped_and_gone_on_is_as_if_never_stopped(whole, pictures, recipe, tmp_path, monkeypatch, steps):
    out = tmp_path / "stopped"
    for step in steps:
        with monkeypatch.context() as patch, pytest.raises(Stop):
            stop_at(patch, step)
            train(pictures, out, recipe, checkpoint_every=2)
        assert not (out / "model_index.json").exists()
    train(pictures, out, recipe, checkpoint_every=2)
    assert_same(out, whole)


def test_a_snapshot_is_a_model_of_its_own_and_does_not_disturb(whole, pictures, recipe, tmp_path, monkeypatch):
    out = tmp_path / "m"
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_at(patch, 5)
        train(pictures, out, recipe, checkpoint_every=2, snapshots=(2,))
    with pytest.raises(UserError, match="without its snapshot after 1 passes"):
        train(pictures, out, recipe, checkpoint_every=2, snapshots=(1,))
    train(pictures, out, recipe, checkpoint_every=2, snapshots=(2,))
    assert load_target(out / "after-2-passes").shape == (3, 8, 8)
    assert (out / "after-2-passes" / WEIGHTS).read_bytes() != (out / WEIGHTS).read_bytes()
    with pytest.raises(UserError, match="without its snapshot after 1 passes"):
        train(pictures, out, recipe, snapshots=(1,))
    with pytest.raises(UserError, match="lies outside a training of 3"):
        train(pictures, out, recipe, snapshots=(3,))
    shutil.rmtree(out / "after-2-passes")
    assert_same(out, whole)


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from trainedon.training import Recipe, train
pictures = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
recipe = Recipe(size=8, widths=(8, 8), attention=False, passes=3, batch_size=5, warmup=2, learning_rate=1e-3)
kill = lambda done, steps, loss: done == 4 and os.kill(os.getpid(), signal.SIGKILL)
train(pictures, Path(sys.argv[1]), recipe, checkpoint_every=2, progress=kill)
"""


@pytest.mark.slow
def test_killed_and_gone_on_is_as_if_never_killed(whole, pictures, recipe, tmp_path):
    out = tmp_path / "killed"
    killed = Forked(KILLED, [out], tmp_path).end()
    assert killed.returncode == -signal.SIGKILL
    assert (out / "checkpoint.safetensors").exists() and not (out / "model_index.json").exists()
    (out / "checkpoint.safetensors.tmp").write_bytes(b"half a checkp")
    with (out / "log.csv").open("a") as log:
        log.write("6,0.1")  # a line that was begun
    train(pictures, out, recipe, checkpoint_every=2)
    (out / "checkpoint.safetensors.tmp").unlink(missing_ok=True)
    assert_same(out, whole)


def test_a_finished_model_is_left_alone(whole, pictures, recipe):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.safetensors")}
    train(pictures, whole, recipe, checkpoint_every=2)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.safetensors")} == before


def test_another_recipe_is_refused_and_nothing_overwritten(whole, pictures, recipe):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="passes was 3, is 4; seed was 0, is 1") as caught:
        train(pictures, whole, replace(recipe, passes=4, seed=1))
    assert "choose another --out" in str(caught.value) and "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_a_model_of_someone_else_is_not_taken_for_a_trained_one(whole, pictures, recipe):
    (whole / "recipe.json").unlink()
    with pytest.raises(UserError, match="choose another --out"):
        train(pictures, whole, recipe)
    assert not (whole / "recipe.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_damaged_recipe_is_refused(whole, pictures, recipe, text):
    (whole / "recipe.json").write_text(text)
    with pytest.raises(UserError, match=r"recipe\.json is .*damaged") as caught:
        train(pictures, whole, recipe)
    assert "\n" not in str(caught.value)


def test_divergence_is_said(pictures, recipe, tmp_path):
    with pytest.raises(UserError, match=r"diverged at step .*smaller --learning-rate") as caught:
        train(pictures, tmp_path / "m", replace(recipe, learning_rate=1e30, warmup=0), checkpoint_every=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m/model_index.json").exists()


def test_the_seed_decides(whole, pictures, recipe, tmp_path):
    other = train(pictures, tmp_path / "other", replace(recipe, seed=1), checkpoint_every=2)
    assert (other / WEIGHTS).read_bytes() != (whole / WEIGHTS).read_bytes()
    torch.manual_seed(123)
    again = train(pictures, tmp_path / "again", recipe, checkpoint_every=2)
    assert_same(again, whole)


def test_the_checkpoint_interval_changes_nothing_but_the_log(whole, pictures, recipe, tmp_path):
    rare = train(pictures, tmp_path / "rare", recipe)
    assert (rare / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"channels": 1, "prediction": "sample", "betas": "scaled_linear"}, (1, 8, 8)),
        ({"classes": 2, "prediction": "v_prediction", "zero_snr": True, "attention": True}, (3, 8, 8)),
    ],
)
def test_other_kinds_of_model(pictures, recipe, tmp_path, changes, shape):
    recipe = replace(recipe, passes=1, **changes)
    labels = torch.arange(8) % 2 if recipe.classes else None
    target = load_target(train(pictures[:, : shape[0]], tmp_path / "m", recipe, labels=labels))
    assert (target.shape, target.prediction, target.classes) == (shape, recipe.prediction, recipe.classes)
    scheduler = recipe.scheduler()
    torch.testing.assert_close(target.path.alphas**2, scheduler.alphas_cumprod, rtol=0, atol=1e-6)


def test_the_averaged_weights_are_saved(pictures, recipe, tmp_path):
    """One step of decay 0.1: ten per cent the start, ninety the first step (Adam moves each weight by its rate)."""
    recipe = replace(recipe, passes=1, batch_size=8, warmup=1)
    out = train(pictures, tmp_path / "m", recipe)
    start, saved = recipe.unet().state_dict(), load_file(out / WEIGHTS)
    largest = max((saved[name] - start[name]).abs().max().item() for name in start)
    assert largest == pytest.approx(0.9e-3, rel=0.01)


def test_what_is_predicted_is_what_diffusers_understands(pictures, recipe):
    scheduler, noise, t = recipe.scheduler(), pictures.flip(0), torch.arange(8) * 120
    aims = {"epsilon": noise, "sample": pictures, "v_prediction": scheduler.get_velocity(pictures, noise, t)}
    for prediction, aim in aims.items():
        ab = scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
        torch.testing.assert_close(regression_target(prediction, pictures, noise, ab), aim)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_training_lowers_the_error_of_what_is_predicted(pictures, tmp_path, prediction):
    """Mean squared error of noise, picture and velocity, by the same algebra as `Target.denoise`."""
    recipe = Recipe(
        size=8,
        widths=(8, 8),
        attention=False,
        prediction=prediction,
        passes=40,
        batch_size=8,
        learning_rate=5e-3,
        warmup=2,
        ema=0.8,
    )
    early = train(pictures, tmp_path / "early", replace(recipe, passes=1))
    late = train(pictures, tmp_path / "late", recipe)
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1))
    errors = []
    for folder in (early, late):
        target = load_target(folder)
        noisy = target.noised(pictures, 400, noise)
        errors.append((target.denoise(noisy, 400).clean - pictures).square().mean().item())
    assert errors[1] < 0.8 * errors[0], errors


def test_flipped_training_mirrors_by_coins_and_says_so(whole, pictures, recipe, tmp_path):
    flipped = replace(recipe, flip=True)
    out = train(pictures, tmp_path / "m", flipped, checkpoint_every=2)
    assert (out / WEIGHTS).read_bytes() != (whole / WEIGHTS).read_bytes()
    assert read_json(out / "recipe.json", 2**20)["flip"] is True
    assert "flip" not in read_json(whole / "recipe.json", 2**20)  # as in recipes of before
    with pytest.raises(UserError, match="flip was True, is None"):
        train(pictures, out, recipe)


def test_each_row_of_a_step_is_mirrored_or_not(recipe):
    clean = torch.rand(40, 3, 8, 8) * 2 - 1
    pace = replace(recipe, batch_size=40)
    plain, flipped = (noised_batch(pace, clean, recipe.scheduler(), 3, flip=flip) for flip in (False, True))
    assert torch.equal(plain[0], flipped[0]) and torch.equal(plain[1], flipped[1])
    moved = (plain[2] - flipped[2]).abs().amax((1, 2, 3)) > 1e-6
    assert 8 <= moved.sum() <= 32
    scheduler = recipe.scheduler()
    mirrored = torch.where(moved.view(-1, 1, 1, 1), clean[plain[0]].flip(-1), clean[plain[0]])
    expected = scheduler.add_noise(mirrored, flipped[3], flipped[1])
    torch.testing.assert_close(flipped[2], expected, rtol=0, atol=1e-5)


def test_pictures_changed_at_random_are_on_record_and_a_stop_changes_nothing(
    whole, pictures, recipe, tmp_path, monkeypatch
):
    changed = replace(recipe, augment=("crop", "colour"))
    out = train(pictures, tmp_path / "m", changed, checkpoint_every=2)
    assert (out / WEIGHTS).read_bytes() != (whole / WEIGHTS).read_bytes()
    assert read_json(out / "recipe.json", 2**20)["augment"] == ["crop", "colour"]
    assert "augment" not in read_json(whole / "recipe.json", 2**20)  # as in recipes of before
    with pytest.raises(UserError, match=r"augment was \['crop', 'colour'\], is None"):
        train(pictures, out, recipe)
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_at(patch, 3)
        train(pictures, tmp_path / "stopped", changed, checkpoint_every=2)
    assert_same(train(pictures, tmp_path / "stopped", changed, checkpoint_every=2), out)


def test_a_crop_is_a_window_of_the_picture_at_its_size():
    """Of a picture whose levels are its coordinates, levels rise by what the window's side is of the picture's."""
    ramp = torch.linspace(-0.9, 0.9, 33)
    pixels = torch.stack([ramp.expand(33, 33), ramp[:, None].expand(33, 33)]).expand(200, 2, 33, 33)
    cut = crop(pixels, generator("crop"))
    inner = cut[:, :, 8:25, 8:25]  # away from the edge, which is repeated
    across, down = inner[:, 0].diff(dim=-1), inner[:, 1].diff(dim=-2)
    step = across.mean((1, 2)) / (ramp[1] - ramp[0])
    assert step.min() >= 0.8 - 1e-4 and step.max() <= 1 + 1e-4 and step.min() < 0.85 and step.max() > 0.95
    torch.testing.assert_close(down.mean((1, 2)), across.mean((1, 2)), rtol=0, atol=1e-5)
    assert (across - across.mean((1, 2), keepdim=True)).abs().max() < 1e-4
    middle = cut[:, :, 16, 16].abs().amax(1) / ((1 - step) * 33 / 2 * (ramp[1] - ramp[0])).clamp(min=1e-3)
    assert middle.max() < 1.1 and middle.max() > 0.8  # anywhere, and never beyond the picture


def test_colours_change_by_a_tenth_at_most_each():
    grey = torch.linspace(-1, 1, 64).view(1, 1, 8, 8).expand(300, 3, 8, 8)
    changed = (colour(grey, generator("colour")) + 1) / 2
    assert (changed.amax(1) - changed.amin(1)).max() < 1e-5  # grey stays grey, whatever its saturation
    bright = changed.mean((1, 2, 3)) / 0.5
    assert 0.88 < bright.min() < 0.93 and 1.04 < bright.max() < 1.1
    even = torch.tensor([0.3, 0.5, 0.4]).view(1, 3, 1, 1).expand(300, 3, 8, 8) * 2 - 1
    moved = (colour(even, generator("colour")) + 1) / 2
    saturated = (moved[:, 1] - moved[:, 0])[:, 0, 0] / moved.mean((1, 2, 3)) / (0.2 / 0.4)
    assert 0.75 < saturated.min() < 0.9 and 1.1 < saturated.max() < 1.25
    one = colour(grey[:, :1], generator("colour"))
    torch.testing.assert_close(one.expand(-1, 3, -1, -1), colour(grey, generator("colour")), rtol=0, atol=1e-5)


@pytest.mark.parametrize("given", [{"augment": ("crop", "blur")}, {"augment": ("crop", "crop")}])
def test_an_augmentation_that_is_not_known_is_refused(given):
    with pytest.raises(UserError, match="choose from crop, colour, each once"):
        Recipe(**given)
