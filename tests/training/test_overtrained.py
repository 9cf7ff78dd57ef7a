"""The stored model that other tests audit is what its recipe makes of the toy pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from trainedon.attacks import Loss
from trainedon.pictures import load_pictures
from trainedon.targets import load_target
from trainedon.training import Recipe, draw_members, read_members, train

SETTINGS = {"size": 16, "widths": (16, 32), "passes": 500, "batch_size": 24}
SETTINGS |= {"learning_rate": 3e-3, "warmup": 20, "ema": 0.98}


def losses(folder: Path, toy_pictures: dict[str, Path]) -> torch.Tensor:
    """Of members and unseen pictures, float64 (2, 24)."""
    target = load_target(folder)
    scores = [
        Loss(t=100, draws=8).score(target, load_pictures(toy_pictures[name], target)) for name in ("members", "unseen")
    ]
    return -torch.tensor(np.array(scores))


def told_apart(loss: torch.Tensor) -> float:
    """The share of pairs in which the member has the lower loss."""
    return (loss[0][:, None] < loss[1]).double().mean().item()


def test_it_knows_the_toy_members(overtrained, toy_pictures):
    assert told_apart(losses(overtrained, toy_pictures)) > 0.8


@pytest.mark.slow
def test_its_recipe_makes_a_model_that_knows_them_as_well(overtrained, toy_pictures, tmp_path):
    manifest = draw_members(toy_pictures["members"], tmp_path, draw=None, seed=0)
    pixels, _ = read_members(toy_pictures["members"], manifest, 16, 3)
    train(pixels, tmp_path, Recipe(**SETTINGS))
    assert json.loads((tmp_path / "recipe.json").read_text()) == json.loads((overtrained / "recipe.json").read_text())
    anew = losses(tmp_path, toy_pictures)
    assert told_apart(anew) > 0.8
    torch.testing.assert_close(losses(overtrained, toy_pictures).mean(1), anew.mean(1), rtol=0.2, atol=0)
