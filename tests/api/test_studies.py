"""Sweeps, peaks, plans, draws, models and seals from Python."""

import json

import pytest

import trainedon as to
from trainedon.errors import UserError
from trainedon.runs.checking.seal import read_seal

FEW = to.Choices(limit=3)


def test_a_sweep_takes_values_as_they_are(target_folders, toy_pictures, tmp_path):
    sets = (target_folders["epsilon"], toy_pictures["members"], toy_pictures["unseen"])
    found = to.sweep(*sets, attack="loss", vary={"draws": [1, 2], "t": (50, 100)}, out=tmp_path / "run", choices=FEW)
    (group,) = found.groups
    assert [point.setting for point in group.points] == [
        {"draws": draws, "t": t} for draws in (1, 2) for t in (50, 100)
    ]
    assert [attack.repr for attack in found.evaluation.attacks] == [point.repr for point in group.points]
    again = to.sweep(*sets, attack="loss", vary=["draws=1,2", "t=50,100"], out=tmp_path / "run", choices=FEW)
    assert again.groups == found.groups
    parts = to.sweep(*sets, attack=to.DRC(steps=1, restorations=1), vary={"roi": [to.roi.Center(0.5)]}, choices=FEW)
    assert [point.setting for point in parts.groups[0].points] == [{"roi": "center:0.5"}]
    with pytest.raises(UserError, match="nothing is to be varied"):
        to.sweep(*sets, attack="loss")


def test_a_sweep_of_drc_in_latents_says_which_one_it_varies(target_folders, toy_pictures, caplog):
    sets = (target_folders["latent, VQ"], toy_pictures["members"], toy_pictures["unseen"])
    to.sweep(*sets, attack="drc(degradation=diffuse:100)", vary=["restorations=1"], choices=to.Choices(limit=2))
    assert "on a model in latents drc means drc-latent, and this sweep varies drc@2" in caplog.text


def test_peaks_are_measured(target_folders, toy_pictures):
    found = to.peaks(target_folders["epsilon"], toy_pictures["members"], toy_pictures["unseen"], choices=FEW)
    assert len(found.measurements) == 14 == len(found.evaluation.attacks)
    assert found.sentence and 'id="peaks"' in found.page


def test_a_plan_is_an_estimate(target_folders):
    found = to.plan(target_folders["epsilon"], 1000, gpus=2, attacks="loss", machine=to.Machine(batch_size=8))
    assert (found.pictures, found.devices, found.together.passes) == (1000, 2, 1000)


def test_a_draw_a_model_of_it_and_a_seal(toy_pictures, tmp_path):
    drawn = to.draw(toy_pictures["members"], tmp_path / "draw", "secret")
    included = sum(picture.included for picture in drawn.pictures)
    recipe = to.recipe_of("pixel", size=16, widths=(8, 16), passes=1, batch_size=8)
    manifest = to.train(tmp_path / "draw" / "included", tmp_path / "model", recipe)
    assert manifest["members"] == included
    sources = (tmp_path / "draw" / "included", tmp_path / "draw" / "held-out")
    draw = tmp_path / "draw" / "draw.json"
    found = to.evaluate(tmp_path / "model", *sources, attacks="loss", drawn=draw, out=tmp_path / "run")
    assert found.randomised is not None
    seal = to.seal(tmp_path / "run")
    assert read_seal(seal).public_key is None and seal == tmp_path / "run" / "seal.json"
    assert all(check.ok is not False for check in to.verify(tmp_path / "run", sealed=True))
    (tmp_path / "run" / "evaluation.json").write_text("{}")
    assert any(check.ok is False for check in to.verify(tmp_path / "run", sealed=True))


def test_shadow_models_are_of_use_to_attacks(toy_pictures, tmp_path):
    recipe = to.recipe_of("pixel", size=16, widths=(8, 16), passes=1, batch_size=8)
    shadows = to.train_shadows(toy_pictures["members"], tmp_path / "shadows", recipe, models=2)
    assert len(json.loads((shadows / "shadows.json").read_text())["models"]) == 2
    to.train(toy_pictures["members"], tmp_path / "model", recipe, draw=12)
    sets = (toy_pictures["members"], toy_pictures["unseen"])
    found = to.evaluate(tmp_path / "model", *sets, attacks="rmia", shadows=shadows, choices=FEW)
    assert [attack.name for attack in found.attacks] == ["rmia"]
