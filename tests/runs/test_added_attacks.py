"""An attack is added to a run that is complete: the others are not scored again, and the run says so."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from trainedon.attacks import parse_attacks
from trainedon.attacks.core.answers import silent
from trainedon.errors import UserError
from trainedon.runs import Plan, conclude, run, verify
from trainedon.runs.checking.seal import seal
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
