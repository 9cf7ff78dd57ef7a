"""The front door says what the command line says, and keeps nothing where nothing is to be kept."""

import json
import logging
import pickle
import shutil
from pathlib import Path

import pytest
from commandline import call

import trainedon as to
from trainedon import evidence
from trainedon.attacks import parse_attacks
from trainedon.errors import UserError

FEW = to.Choices(limit=8)
CPU = to.Machine(device="cpu", batch_size=8)


def told(folder: Path, name: str = "audit.json") -> dict:
    """A document without what a clock said."""
    document = json.loads((folder / name).read_text())
    for attack in document["attacks"]:
        del attack["seconds_per_picture"]
    return document


@pytest.fixture(scope="module")
def audited(target_folders, toy_pictures, tmp_path_factory):
    """(what was returned, progress that was told) of an audit that was kept."""
    steps = []
    found = to.audit(
        target_folders["epsilon"],
        toy_pictures["members"],
        unseen=toy_pictures["unseen"],
        attacks="loss, pia",
        out=tmp_path_factory.mktemp("audit") / "run",
        choices=FEW,
        machine=CPU,
        progress=lambda what, done, total: steps.append((what, done, total)),
    )
    return found, steps


def test_an_audit_is_that_of_the_command_line(audited, target_folders, toy_pictures, tmp_path):
    found, steps = audited
    command = ["audit", target_folders["epsilon"], toy_pictures["members"], "--unseen", toy_pictures["unseen"]]
    command += ["--attacks", "loss, pia", "--limit", 8, "--device", "cpu", "--batch-size", 8]
    assert call(*command, "--out", tmp_path / "run").returncode == 0
    assert told(found.folder) == told(tmp_path / "run")
    assert ("reading suspect", 8, 8) in steps and ("pia", 16, 16) in steps
    record = json.loads((found.folder / "run.json").read_text())
    assert record["command"] == "trainedon.audit(...)"
    assert all(check.ok is not False for check in to.verify(found.folder))


def test_an_audit_can_be_copied_to_another_process(audited):
    found, _ = audited
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 (our own)


def test_an_empty_place_is_refused(target_folders, toy_pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="out is empty: give the folder of the run, or None to keep nothing"):
        to.audit(target_folders["epsilon"], toy_pictures["members"], attacks="loss", out="", choices=FEW, machine=CPU)
    assert not [*tmp_path.iterdir()]


def test_the_same_call_goes_on_and_statistics_can_be_had_again(audited, target_folders, toy_pictures):
    found, _ = audited
    before = (found.folder / "scores.parquet").stat().st_mtime_ns
    sets = {"unseen": toy_pictures["unseen"], "out": found.folder, "choices": FEW, "machine": CPU}
    again = to.audit(target_folders["epsilon"], toy_pictures["members"], attacks="loss, pia", **sets)
    assert again.attacks == found.attacks and (found.folder / "scores.parquet").stat().st_mtime_ns == before
    concluded = to.report(found.folder)
    assert isinstance(concluded, evidence.Audit) and concluded.claim == found.claim
    with pytest.raises(UserError, match="holds a run with other choices"):
        to.audit(target_folders["epsilon"], toy_pictures["members"], attacks="loss", **sets)


def test_without_a_folder_nothing_is_kept(audited, target_folders, toy_pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    target = to.load_target(target_folders["epsilon"], rows=8)
    attacks = parse_attacks("loss, pia")
    found = to.audit(target, toy_pictures["members"], unseen=toy_pictures["unseen"], attacks=attacks, choices=FEW)
    assert not list(tmp_path.iterdir()) and found.folder is None
    assert found.claim == audited[0].claim and found.pictures == audited[0].pictures
    assert found.page.startswith("<!DOCTYPE html>") and found.claim.sentence[:40] in found.page
    document = json.loads(evidence.to_json(found))
    assert [row["picture"] for row in document["pictures"]] == [row.picture for row in audited[0].pictures]
    assert document.keys() == json.loads((audited[0].folder / "audit.json").read_text()).keys()
    assert audited[0].page == (audited[0].folder / "report.html").read_text("utf-8")


def test_a_result_says_what_its_run_assumed_and_passed_over(target_folders, toy_pictures, tmp_path):
    suspects = tmp_path / "suspects"
    shutil.copytree(toy_pictures["members"], suspects)
    (suspects / "notes.txt").write_text("no picture")
    found = to.audit(target_folders["epsilon"], suspects, attacks=["loss"], choices=FEW, machine=CPU)
    assert isinstance(found, to.AuditRun) and found.folder is None
    assert [(one.set, one.n, one.names) for one in found.passed_over] == [("suspect", 1, ["notes.txt"])]
    kept = to.audit(target_folders["epsilon"], suspects, attacks="loss", choices=FEW, machine=CPU, out=tmp_path / "run")
    assert kept.passed_over == found.passed_over == to.report(kept.folder).passed_over
    assert list(kept.run_notes) == json.loads((kept.folder / "run.json").read_text())["notes"] == list(found.run_notes)


@pytest.mark.slow
def test_drc_set_leads_the_claim_and_level_3_takes_a_control_model(target_folders, toy_pictures):
    sets = (toy_pictures["members"], toy_pictures["unseen"])
    found = to.audit(target_folders["epsilon"], sets[0], unseen=sets[1], attacks="drc-set", machine=CPU)
    assert (found.lead, len(found.cdi.attacks), found.claim.level < 3) == ("cdi", 2, True)
    assert any("give --control" in note for note in found.run_notes)
    assert f"{found.cdi.p_value_holm:.2g}" in found.claim.because


def test_named_are_those_that_stand_out(tmp_path):
    lines = [f"{i},{name},{i + 100 * (name == 'suspect')}" for name in ("suspect", "unseen") for i in range(40)]
    (tmp_path / "scores.csv").write_text("picture,set,score\n" + "\n".join(lines) + "\n")
    found = to.report(tmp_path / "scores.csv", tmp_path / "run")
    assert len(found.named) == found.n_named == 40 and found.named[0] == "39"
    assert found.folder == tmp_path / "run"


def test_an_evaluation_has_its_attacks_and_its_run(target_folders, toy_pictures):
    sets = (toy_pictures["members"], toy_pictures["unseen"])
    found = to.evaluate(target_folders["epsilon"], *sets, attacks=[to.Loss(t=100), to.Loss()], choices=FEW, machine=CPU)
    attack = found.attacks[0]
    assert len(found.attacks) == 2 == len(found.agreement.attacks) and not list(found.agreement.pictures)
    assert (attack.name, attack.n_members, attack.n_unseen) == ("loss", 8, 8)
    assert attack.auc_ci[0] <= attack.auc <= attack.auc_ci[1] and "<svg" in found.page


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"suspects": "not-here"}, "not-here does not exist"),
        ({"attacks": "magic"}, "unknown attack 'magic'"),
        ({"attacks": []}, "no attack is given"),
        ({"attacks": [to.Loss(), to.Loss()]}, "given twice"),
        ({"attacks": parse_attacks("quantile")}, "quantile needs unseen pictures"),
        ({"attacks": "cdi", "null_view": "none"}, "cdi compares with unseen pictures"),
        ({"shadows": "not-here"}, "no finished shadow models"),
        ({"machine": to.Machine(engine="steam")}, "there is no engine 'steam'"),
        ({"machine": to.Machine(address="auto")}, "of the engine ray"),
        ({"model": "nowhere"}, "nowhere does not exist"),
        ({"reading": to.Reading(fit="stretch")}, "--fit 'stretch' is not known"),
        ({"choices": to.Choices(labels="guess")}, "labels"),
        ({"drawn": "coins.json"}, "coins.json cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changed, says, target_folders, toy_pictures):
    given = {"model": target_folders["epsilon"], "suspects": toy_pictures["members"], "attacks": "loss"} | changed
    with pytest.raises(UserError, match=says):
        to.audit(**given)


def test_a_loaded_model_is_not_loaded_with_options(target_folders, toy_pictures):
    target = to.load_target(target_folders["epsilon"])
    with pytest.raises(UserError, match="the model is loaded already"):
        to.audit(target, toy_pictures["members"], machine=CPU)
    with pytest.raises(UserError, match="workers open the model themselves"):
        to.audit(target, toy_pictures["members"], machine=to.Machine(engine="ray"))


@pytest.mark.parametrize("options", [lambda: to.Choices(limit=0), lambda: to.Machine(batch_size=0)])
def test_numbers_below_one_are_refused(options):
    with pytest.raises(UserError, match="give 1 or more"):
        options()


def test_what_is_odd_but_possible_is_logged(target_folders, toy_pictures, tmp_path, caplog):
    for name, source in (("holdout", "members"), ("members", "unseen")):
        (tmp_path / name).symlink_to(toy_pictures[source])
    with caplog.at_level(logging.INFO, "trainedon"):
        to.audit(
            target_folders["epsilon"],
            tmp_path / "holdout",
            unseen=tmp_path / "members",
            attacks="loss",
            choices=to.Choices(limit=2),
        )
    said = [record.getMessage() for record in caplog.records]
    assert any("given the wrong way round" in text for text in said)
    assert any(text.startswith("device: ") for text in said)
