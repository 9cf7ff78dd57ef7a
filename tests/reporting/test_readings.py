"""Page one: a sentence for each reader, and every control with its verdict."""

import json

import pytest

from trainedon.cli.printing import print_audit
from trainedon.evidence import Scores, audit_table, evaluate_table, to_json
from trainedon.reporting.control_table import controls
from trainedon.reporting.readings import CONDITIONS, readings
from trainedon.reporting.run_folder import read


@pytest.fixture
def found(new_run):
    """`found(**changes)` -> the builder of an audit of 30 against 120, its document by the real protocol."""
    import numpy as np

    def make(shift=2.5, attacks=("drc", "loss"), lead="first", kind="audit", cluster=False):
        build, asked = new_run(kind), "suspect" if kind == "audit" else "member"
        rng = np.random.default_rng(1)
        for name, n, by in ((asked, 30, shift), ("unseen", 120, 0.0)):
            for i in range(n):
                for attack in attacks:
                    build.score(f"{name}-{i}.png", name, float(rng.normal(by)), attack)
                    if cluster:
                        build.rows[-1]["cluster"] = f"c{i}" if i < 2 else None
        build.inventory = []
        scores = Scores.from_rows(build.rows)
        build.document = json.loads(
            to_json(audit_table(scores, lead=lead) if kind == "audit" else evaluate_table(scores))
        )
        return build

    return make


def told(build, level=None):
    if level is not None:
        build.document["claim"]["level"] = level
    return dict(readings(read(build.write())))


def test_each_reader_finds_a_sentence(found):
    build = found()
    said = told(build)
    assert list(said) == ["For whoever made the pictures", "For a lawyer", "For a statistician"]
    named = build.document["n_named"]
    assert said["For whoever made the pictures"].startswith(f"{named} of your 30 pictures stand out")
    assert "They are different, perhaps not by training." in said["For whoever made the pictures"]
    assert "Claim level 2 of 4, because the p-value of the set is 0.00003" in said["For a lawyer"]
    statistician = said["For a statistician"]
    assert "30 suspects against 120 unseen pictures" in statistician
    assert "p = 1.0e−5 (99\u202f999 permutations; 3.0e−5 after Holm's correction for 3 tests)" in statistician
    assert "All attacks together (CDI): AUC" in statistician
    assert "suspects would reach p < 0.01 in 80\u00a0% of cases" in statistician


@pytest.mark.parametrize("level", range(5))
def test_every_level_has_its_condition(found, level):
    said = told(found(), level)
    assert CONDITIONS[level] in said["For a lawyer"]
    assert ("By estimate" in said["For whoever made the pictures"]) is (level > 2)


def test_nothing_found_is_said_plainly(found):
    build = found(shift=0, attacks=("drc",))
    assert build.document["n_named"] == 0
    assert told(build)["For whoever made the pictures"] == (
        "Your pictures together show no sign of training; that does not show that they were not used. None of them "
        "stands out by itself either."
    )
    build.document["n_named"] = None
    assert "nothing to compare your pictures with" in told(build)["For whoever made the pictures"]


def test_controls_and_their_verdicts(found):
    rows = {one.question: one for one in controls(read(found().write()))}
    assert rows["Can the sets be told apart without the model?"].verdict == "not run"
    assert rows["Does a picture count twice?"].verdict == "not run"
    assert rows["Do unseen pictures differ from unseen pictures?"].verdict == "passed"
    build = found(cluster=True)
    rows = {one.question: one for one in controls(read(build.write()))}
    assert rows["Does a picture count twice?"].finding == "2 near-duplicates left out; 2 groups in both sets"
    assert rows["Does a picture count twice?"].verdict == "noted"
    build.document["attacks"][0]["unseen_control"] = {"p_value": 0.0002, "level": 0.001, "finds": True}
    build.document["blind"] |= {"separates": True, "auc": 0.9, "auc_ci": [0.8, 0.95], "p_value": 0.001}
    build.document["blind"] |= {"codec_mismatch": True, "resolution_mismatch": False}
    build.document["randomised"] = {"commitment": "0", "n_included": 15, "n_held_out": 15}
    verdicts = [one.verdict for one in controls(read(build.write()))]
    assert verdicts == ["failed", "failed", "passed", "failed", "noted", "passed"]


def test_an_evaluation_has_controls_and_no_readings(found, page):
    build = found(kind="evaluate")
    assert told(build) == {}
    assert "Controls, in which nothing should be found" in page(build).text


def test_the_bound_of_coins_is_told(found, page):
    build = found(kind="evaluate")
    bound = {"epsilon": 1.234, "delta": 1e-5, "confidence": 0.95, "guesses": 40, "correct": 38}
    bound |= {"tried": [40], "n_included": 30, "n_held_out": 120}
    build.document["attacks"][0]["one_run"] = bound
    assert "not differentially private with an epsilon below 1.23" in page(build).text
    build.document["attacks"][0]["one_run"] = bound | {"epsilon": 0.0, "correct": 20}
    assert "no leak was shown: 20 of 40 guesses were right" in page(build).text


def test_a_suspect_that_another_stands_for_says_so(found, page):
    build = found(attacks=("drc",))
    build.document["pictures"][0] |= {"near": "its-twin.png", "p_value": None, "q_value": None}
    text = page(build).text
    assert "Note: its-twin.png looks like it and counts in its place." in text
    assert "of your 29 pictures stand" in text


def test_of_one_picture_nothing_follows_where_the_claim_says_nothing(found):
    build = found(attacks=("drc",))
    build.document["pictures"] = build.document["pictures"][:1]
    build.document["claim"] |= {"level": 0, "because": "no outcome could give a p-value below 0.01"}
    build.document["n_named"] = 1
    said = told(build)["For whoever made the pictures"]
    assert said.startswith("Nothing follows for your picture, because no outcome could give a p-value below 0.01.")
    assert "stands out" not in said and "by itself is no sign of training" in said


def test_pictures_that_stand_out_together_are_not_said_to_be_ordinary(found):
    build = found(attacks=("drc",))
    build.document["n_named"] = 0
    build.document["set"]["part"] = {"estimate": 0.95, "ci": [0.52, 1.0]}
    said = told(build, 3)["For whoever made the pictures"]
    assert said.startswith("Together your pictures stand out from those that the model never saw.")
    assert "By estimate 95\u00a0% of all score higher" in said and "is at least 52\u00a0%: a lower limit" in said
    assert "None of your pictures stands out" not in said
    assert "Which ones cannot be said, because no single score is far enough out for that." in said
    build.document["attacks"][0]["n_unseen"] = 12
    assert "because 12 unseen pictures are too few to name any" in told(build, 3)["For whoever made the pictures"]


def test_pictures_that_stand_out_where_nothing_was_found_carry_no_claim(found):
    said = told(found(attacks=("drc",)), 1)["For whoever made the pictures"]
    assert said.startswith("Your pictures together show no sign of training;")
    assert "which by itself is no sign of training" in said and "stand out" not in said


@pytest.mark.parametrize(("level", "doubted"), [(0, True), (1, True), (2, False), (3, False)])
def test_failed_controls_stay_in_a_headline_that_found_nothing(found, page, level, doubted):
    build = found(attacks=("drc",))
    build.document["claim"]["level"] = level
    build.document["blind"] |= {"separates": True, "auc": 0.9, "auc_ci": [0.8, 0.95], "p_value": 0.001}
    text = page(build).text
    assert ("1 control failed, so the comparison itself is in doubt" in text) is doubted


@pytest.mark.parametrize(("detectable", "told"), [(1.0, True), (0.9, False)])
def test_the_terminal_says_too_which_control_had_too_few_pictures_to_fail(found, capsys, detectable, told):
    build = found()
    build.document["blind"] |= {"separates": False, "detectable": detectable}
    print_audit(read(build.write()).document)
    printed = "too few pictures to say whether the sets can be told apart without the model"
    assert (printed in " ".join(capsys.readouterr().out.split())) == told
