"""An attack is added to a run that is complete: the others are not scored again, and the run says so."""

import json
import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from trainedon.attacks import parse_attacks
from trainedon.attacks.core.answers import silent
from trainedon.errors import UserError
from trainedon.runs import Plan, conclude, run, verify
from trainedon.runs.checking.seal import seal
from trainedon.runs.comparing.compare_runs import compare_runs
from trainedon.targets import load_target

FIRST, LONGER = "loss", "loss, pia, loss(t=50)"


def plan(pictures, attacks, kind="audit", **changes):
    asked = {"audit": "suspect", "evaluate": "member"}[kind]
    sets = {asked: pictures["members"], "unseen": pictures["unseen"]}
    return Plan(kind=kind, sets=sets, attacks=parse_attacks(attacks), **({"limit": 12} | changes))


@pytest.fixture(scope="module")
def model(target_folders):
    return target_folders["epsilon"]


@pytest.fixture(scope="module")
def first(model, toy_pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("added") / "run"
    run(load_target(model), plan(toy_pictures, FIRST), out, silent)
    return out


@pytest.fixture
def copy(first, tmp_path):
    return shutil.copytree(first, tmp_path / "run")


def scores(out):
    return pq.read_table(out / "scores.parquet").drop_columns(["seconds"]).to_pylist()


def test_what_is_there_is_not_scored_again_and_the_table_is_that_of_a_run_with_all(copy, model, toy_pictures, tmp_path):
    run(load_target(model), plan(toy_pictures, LONGER), tmp_path / "at-once", silent)
    before = pq.read_table(copy / "scores.parquet")["seconds"].to_pylist()
    target = load_target(model)
    document = run(target, plan(toy_pictures, LONGER), copy, silent)
    assert scores(copy) == scores(tmp_path / "at-once")
    assert set(before) <= set(pq.read_table(copy / "scores.parquet")["seconds"].to_pylist())
    assert [attack.name for attack in document.attacks] == ["loss", "pia", "loss"]
    (flag,) = [flag for flag in document.flags if flag.code == "attacks-added"]
    assert flag.raised_because == "Added to a run that was complete: pia, loss(t=50)."
    record = json.loads((copy / "run.json").read_text())
    assert record["status"] == "complete" and len(record["added"][0]["attacks"]) == 2
    page = (copy / "report.html").read_text()
    assert "when scores of the other attacks had been seen: pia, loss(t=50)" in page
    assert not [check for check in verify(copy) if check.ok is False]
    # corrected again for all of them
    alone = json.loads((tmp_path / "at-once" / "audit.json").read_text())
    assert document.set.p_value_holm == alone["set"]["p_value_holm"] > document.set.p_value
    again = load_target(model)
    run(again, plan(toy_pictures, LONGER), copy, silent)
    assert again.evaluations.forward == 0


def test_stopped_while_it_is_added_it_goes_on_and_no_half_is_reported(copy, model, toy_pictures):
    def stop(what, done, total):
        if what.startswith("pia") and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(load_target(model), plan(toy_pictures, "loss, pia"), copy, stop)
    assert "pia" not in {row["attack"] for row in scores(copy)}
    with pytest.raises(UserError, match="is not finished"):
        conclude(copy)
    run(load_target(model), plan(toy_pictures, "loss, pia"), copy, silent)
    assert {"loss", "pia"} < {row["attack"] for row in scores(copy)}, "and the control on mirrored pictures"
    assert not [check for check in verify(copy) if check.ok is False]


def stopped(what_begins):
    def stop(what, done, total):
        if what.startswith(what_begins) and done:
            raise KeyboardInterrupt

    return stop


def files(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_while_it_is_added_the_command_of_before_takes_the_run_back(copy, model, toy_pictures):
    before = files(copy)
    asked = replace(plan(toy_pictures, "loss, drc(steps=2, restorations=1)"), command="audit with drc")
    with pytest.raises(KeyboardInterrupt):
        run(load_target(model), asked, copy, stopped("drc"))
    assert files(copy)["before.json"] == before["run.json"]
    for left in ("shards/01-drc/0.parquet", f"restored/{'0' * 16}/picture.png"):
        (copy / left).parent.mkdir(parents=True, exist_ok=True)
        (copy / left).write_bytes(b"of the attack that is being added")
    says = r"drc.* is being added to the run in .*: its command goes on \(`audit with drc`\), and the command of before"
    for refused in (conclude, lambda out: compare_runs(out, out)):
        with pytest.raises(UserError, match=says):
            refused(copy)
    (check,) = verify(copy)
    assert check.ok is False and "takes the run back; nothing of the earlier scores is lost" in check.detail
    for other in ("loss, pia", "loss, drc(steps=2, restorations=1), pia"):
        with pytest.raises(UserError, match="without it, takes the run back"):
            run(load_target(model), plan(toy_pictures, other), copy, silent)
    again = load_target(model)
    run(again, plan(toy_pictures, FIRST), copy, silent)
    assert again.evaluations.forward == 0
    assert files(copy) == before
    run(load_target(model), plan(toy_pictures, "loss, pia"), copy, silent)
    assert not (copy / "before.json").exists()
    assert not [check for check in verify(copy) if check.ok is False]


def test_it_is_taken_back_where_its_scores_are_in_the_table_already(copy, model, toy_pictures, monkeypatch):
    before = scores(copy), json.loads((copy / "run.json").read_text())

    def fails(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("trainedon.runs.scoring.exhibit_files.digests", fails)
        with pytest.raises(RuntimeError, match="killed"):
            run(load_target(model), plan(toy_pictures, LONGER), copy, silent)
    assert len(scores(copy)) > len(before[0])
    run(load_target(model), plan(toy_pictures, FIRST), copy, silent)
    record = json.loads((copy / "run.json").read_text())
    assert scores(copy) == before[0]
    assert record | {"files": None} == before[1] | {"files": None}
    assert not [check for check in verify(copy) if check.ok is False]


def test_what_was_added_before_stays_when_a_further_one_is_taken_back(copy, model, toy_pictures):
    run(load_target(model), plan(toy_pictures, "loss, pia"), copy, silent)
    before = files(copy)
    with pytest.raises(KeyboardInterrupt):
        run(load_target(model), plan(toy_pictures, LONGER), copy, stopped("loss(t=50)"))
    with pytest.raises(UserError, match="without it, takes the run back"):
        run(load_target(model), plan(toy_pictures, FIRST), copy, silent)
    run(load_target(model), plan(toy_pictures, "loss, pia"), copy, silent)
    assert files(copy) == before


@pytest.mark.parametrize(
    ("attacks", "changes", "says"),
    [
        ("pia, loss", {}, "new attacks stand after those that are there"),
        ("loss, pia", {"limit": 11}, "the pictures of the set suspect are others"),
        ("loss, pia", {"lead": "cdi"}, "lead was None, is 'cdi'"),
    ],
)
def test_other_pictures_choices_or_an_attack_that_would_lead_are_refused(
    copy, model, toy_pictures, attacks, changes, says
):
    before = scores(copy)
    with pytest.raises(UserError, match=says):
        run(load_target(model), plan(toy_pictures, attacks, **changes), copy, silent)
    assert scores(copy) == before and json.loads((copy / "run.json").read_text())["status"] == "complete"


def test_another_model_and_a_sealed_run_are_refused(copy, model, target_folders, toy_pictures):
    with pytest.raises(UserError, match="model was"):
        run(load_target(target_folders["learned variance"]), plan(toy_pictures, LONGER), copy, silent)
    seal(copy)
    with pytest.raises(UserError, match="is sealed"):
        run(load_target(model), plan(toy_pictures, LONGER), copy, silent)


def test_where_the_claim_speaks_of_all_attacks_none_can_be_added(model, toy_pictures, tmp_path):
    run(load_target(model), plan(toy_pictures, "loss, pia", lead="cdi"), tmp_path / "run", silent)
    with pytest.raises(UserError, match="speaks of all attacks together"):
        run(load_target(model), plan(toy_pictures, "loss, pia, loss(t=50)", lead="cdi"), tmp_path / "run", silent)
