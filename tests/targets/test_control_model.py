"""A control model is any model but the audited one: refused with a clear word where it cannot serve."""

import json
import pickle
import shutil

import pytest
import tiny
from diffusers import DDPMPipeline, DDPMScheduler
from safetensors.torch import load_file, save_file

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.targets import ControlModel, Reference, load_target


@pytest.fixture(scope="module")
def target(target_folders):
    return load_target(target_folders["epsilon"])


def test_the_audited_model_itself_is_refused_in_whatever_form(target, target_folders, tmp_path):
    with pytest.raises(UserError, match="is the audited model itself"):
        ControlModel.open(target_folders["epsilon"]).check(target)
    shutil.copytree(target_folders["epsilon"], tmp_path / "half")
    weights = next((tmp_path / "half" / "unet").glob("*.safetensors"))
    save_file({name: value.half() for name, value in load_file(weights).items()}, weights)
    with pytest.raises(UserError, match="same weights as the audited model"):
        ControlModel.open(tmp_path / "half").check(target)


def test_one_of_other_channels_or_other_classes_is_refused(target, target_folders):
    with pytest.raises(UserError, match="pictures of 1 channels, the audited model of 3"):
        ControlModel.open(target_folders["grey"]).check(target)
    with pytest.raises(UserError, match="conditioned on 3 classes, the audited model on none"):
        ControlModel.open(target_folders["class-conditional"]).check(target)
    ControlModel.open(target_folders["epsilon"]).check(load_target(target_folders["class-conditional"]))


def test_one_that_moved_is_told(target, other, tmp_path):
    shutil.copytree(other, tmp_path / "moving")
    control = ControlModel.open(tmp_path / "moving")
    (tmp_path / "moving").rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"the control model .*moving is no longer there: put it back"):
        control.check(target)
    assert ControlModel.open(tmp_path / "moved") == control


def test_an_attack_on_it_is_the_attack_on_the_model_alone(target, other, batch_of):
    """Of another family, path and size: as if that one were audited, with pictures resampled to its size."""
    (attack,) = parse_attacks("on-control(loss(t=50))", control=ControlModel.open(other))
    batch = batch_of(3)
    there = load_target(other)
    assert attack.score(target, batch).tolist() == attack.attack.score(there, batch).tolist()
    assert attack.score(target, batch).tolist() != attack.attack.score(target, batch).tolist()


def test_a_worker_gets_it_with_the_attack(target, other, batch_of):
    (attack,) = parse_attacks("on-control(loss)", control=ControlModel.open(other))
    again = pickle.loads(pickle.dumps(attack))  # noqa: S301 (our own)
    assert again == attack and again.score(target, batch_of(2)).tolist() == attack.score(target, batch_of(2)).tolist()


def test_pictures_are_fitted_to_the_control_models_size(target, batch_of, tmp_path):
    larger = DDPMPipeline(unet=tiny.unconditional(sample_size=24), scheduler=DDPMScheduler())
    larger.save_pretrained(tmp_path / "larger")
    control = ControlModel.open(tmp_path / "larger")
    fitted = control.fitted(batch_of(2), target)
    assert tuple(fitted.pixels.shape) == (2, 3, 24, 24) and fitted.sha256 == batch_of(2).sha256
    assert fitted.pixels.abs().max() <= 1
    (attack,) = parse_attacks("on-control(loss)", control=control)
    there = attack.attack.score(load_target(tmp_path / "larger"), fitted)
    assert attack.score(target, batch_of(2)).tolist() == there.tolist()


def test_of_a_difference_to_it_the_part_that_is_subtracted_is_asked(target, other, batch_of):
    beside = {"control": ControlModel.open(other), "reference": Reference.open(other)}
    difference, there, here = (
        parse_attacks(spec, **beside)[0].score(target, batch_of(3))
        for spec in ("calibrated(loss)", "on-control(calibrated(loss))", "loss")
    )
    assert difference.tolist() == (here - there).tolist()


def test_what_a_training_here_was_given_is_known(tmp_path):
    rows = [{"picture": "a", "sha256": "1" * 64, "member": True}, {"picture": "b", "sha256": "2" * 64, "member": False}]
    (tmp_path / "manifest.json").write_text(json.dumps({"pictures": rows}))
    assert ControlModel("0" * 64, str(tmp_path)).known_members() == {"1" * 64}
    (tmp_path / "manifest.json").write_text("[]")
    assert ControlModel("0" * 64, str(tmp_path)).known_members() == frozenset()
