"""Attacks that are added to a run bring controls of their own alone: none of the others can go or come."""

import json

import pyarrow.parquet as pq
import pytest

import trainedon as to
from trainedon.errors import UserError

CPU = to.Machine(device="cpu", batch_size=8)
FEW = to.Choices(limit=8)


@pytest.fixture
def mirror(target_folders, toy_pictures, tmp_path):
    """An audit without unseen pictures, whose only controls are those of a control model."""

    def mirror(attacks, **asked):
        asked = {"choices": FEW, "machine": CPU, "out": tmp_path / "run"} | asked
        return to.audit(target_folders["epsilon"], toy_pictures["members"], attacks=attacks, **asked)

    return mirror


@pytest.fixture
def evaluate(target_folders, toy_pictures, tmp_path):
    def evaluate(attacks, **asked):
        sets = {"members": toy_pictures["members"], "unseen": toy_pictures["unseen"]}
        asked = {"choices": FEW, "machine": CPU, "out": tmp_path / "run"} | sets | asked
        return to.evaluate(target_folders["epsilon"], attacks=attacks, **asked)

    return evaluate


def kept(out):
    return (out / "run.json").read_bytes(), pq.read_table(out / "scores.parquet")


def test_a_run_without_controls_grows_too(evaluate, mirror, tmp_path):
    assert len(evaluate("loss").attacks) == 1
    assert [one.name for one in evaluate("loss, pia").attacks] == ["loss", "pia"]
    assert all(check.ok is not False for check in to.verify(tmp_path / "run"))
    mirror("loss", out=tmp_path / "mirror")
    found = mirror("loss, loss(t=50)", out=tmp_path / "mirror")
    assert len(found.attacks) == 2 and found.attacks[1].mirror
    (flag,) = [flag for flag in found.flags if flag.code == "attacks-added"]
    record = json.loads((tmp_path / "mirror" / "run.json").read_text())
    label = record["labels"][found.attacks[1].repr]
    assert "loss" in label and flag.raised_because == f"Added to a run that was complete: {label}."
    assert "controls" not in record["identity"]
    assert all(check.ok is not False for check in to.verify(tmp_path / "mirror"))


def test_the_control_model_stays_and_is_asked_about_what_is_added(mirror, other, target_folders, tmp_path):
    first = mirror("loss", control=other)
    before = kept(tmp_path / "run")
    for control in (None, target_folders["learned variance"]):
        with pytest.raises(UserError, match="made with a control model, which stays: give the same --control again"):
            mirror("loss, loss(t=50)", control=control)
        assert kept(tmp_path / "run") == before
    longer = mirror("loss, loss(t=50)", control=other)
    assert longer.mirror.odds_from == first.mirror.odds_from == "control model"
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [entry["of"] for entry in record["controls"].values()] == record["identity"]["attacks"]
    assert all(check.ok is not False for check in to.verify(tmp_path / "run"))


def test_no_control_model_comes_with_an_attack(mirror, evaluate, other, tmp_path):
    for asked in (mirror, evaluate):
        out = tmp_path / asked.__name__
        asked("loss", out=out)
        before = kept(out)
        with pytest.raises(UserError, match="made without this control model, and none can be added after scores"):
            asked("loss, pia", control=other, out=out)
        assert kept(out) == before
