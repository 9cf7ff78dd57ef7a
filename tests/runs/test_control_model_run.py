"""A control model in a run: its attacks are scored beside the others, recorded, resumed, verified, and kept apart."""

import hashlib
import json
import shutil

import pyarrow.parquet as pq
import pytest

import trainedon as to
from trainedon.errors import UserError

FEW, CPU = to.Choices(limit=8), to.Machine(device="cpu", batch_size=8)


@pytest.fixture
def audit(target_folders, toy_pictures, tmp_path):
    def audit(**asked):
        model, suspects, unseen = target_folders["epsilon"], toy_pictures["members"], toy_pictures["unseen"]
        asked = {"attacks": "loss, pia", "choices": FEW, "machine": CPU, "out": tmp_path / "run"} | asked
        return to.audit(model, suspects, unseen=unseen, **asked)

    return audit


def test_a_run_makes_every_attack_on_its_control_model_too(audit, other, tmp_path):
    found, out = audit(control=other), tmp_path / "run"
    record = json.loads((out / "run.json").read_text())
    loss, pia = record["identity"]["attacks"]
    digest = record["control_model"]["digest"]
    asked = [{"of": loss, "model": digest}, {"of": pia, "model": digest}, {"of": loss, "change": "mirror"}]
    assert list(record["controls"].values()) == asked
    assert record["identity"]["controls"] == [*record["controls"]]
    assert [digest[:16] in name for name in record["controls"]] == [True, True, False]
    assert [attack.repr for attack in found.attacks] == [loss, pia]
    assert [one.of for one in found.control_models][:2] == [loss, pia]
    assert len(pq.read_table(out / "scores.parquet")) == 5 * 16
    alone = audit(out=None)
    assert [one.set for one in alone.attacks] == [one.set for one in found.attacks], "a control enters no correction"
    assert all(check.ok is not False for check in to.verify(out))


def test_the_same_run_goes_on_wherever_its_control_model_lies(audit, other, tmp_path):
    first = audit(control=other)
    shutil.copytree(other, tmp_path / "copy")
    assert audit(control=tmp_path / "copy").control_models == first.control_models
    with pytest.raises(UserError, match="other choices"):
        audit()


def test_what_the_record_says_of_the_control_model_is_checked(audit, other, tmp_path):
    audit(control=other)
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    record["control_model"]["digest"] = "0" * 64
    path.write_text(json.dumps(record))
    failed = [check.name for check in to.verify(tmp_path / "run") if check.ok is False]
    assert failed == ["the record agrees with itself", "the page shows what follows from the scores"]


def test_a_control_model_that_has_seen_the_pictures_is_refused(audit, other, toy_pictures, tmp_path):
    shutil.copytree(other, tmp_path / "seen")
    rows = [
        {"picture": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "member": True}
        for path in sorted(toy_pictures["unseen"].iterdir())[:3]
    ]
    (tmp_path / "seen" / "manifest.json").write_text(json.dumps({"pictures": rows}))
    with pytest.raises(UserError, match="was trained on 3 of these pictures"):
        audit(control=tmp_path / "seen")
    assert not (tmp_path / "run").exists()


def test_a_run_of_now_that_says_to_be_of_the_first_protocol_contradicts_itself(audit, tmp_path):
    audit()
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    del record["identity"]["protocol"]
    path.write_text(json.dumps(record))
    to.report(tmp_path / "run")
    failed = [check for check in to.verify(tmp_path / "run") if check.ok is False]
    assert [check.name for check in failed] == ["the record agrees with itself"]
    assert "the protocol is standard-2" in failed[0].detail
