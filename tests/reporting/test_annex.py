"""The annex for an expert: what the record holds is told, and what it does not hold is said not to be recorded."""

from __future__ import annotations

import pytest

from trainedon.reporting.annex import annex
from trainedon.reporting.control_table import controls
from trainedon.reporting.languages import catalogue
from trainedon.reporting.run_folder import read

LISTED = {"at": "2025-03-01T09:59:00+00:00", "suspects": "ab" * 32, "unseen": "cd" * 32, "asked": 2, "kept": 5}


def told(build):
    run = read(build.write())
    return {entry.title: " ".join(entry.lines) for entry in annex(run, controls(run))}


def test_an_audit_tells_its_hypothesis_its_choices_and_its_digests(audit):
    audit.run["listed"] = LISTED | {"left_out": 7}
    audit.run["identity"] = {"pictures": {"suspect": "ab" * 32}}
    audit.run["files"] = {"scores.parquet": "ef" * 32}
    said = told(audit)
    assert "suspects and unseen pictures are exchangeable" in said["Hypothesis"]
    assert "p < 0.01, one-sided, of one test" in said["Hypothesis"]
    assert "settled 1 March 2025, 09:59 UTC, before any of them was scored" in said["Who chose what, and when"]
    assert "2 earlier runs" in said["Who chose what, and when"] and "7 that are not" in said["Who chose what, and when"]
    digests = said["Digests (SHA-256)"]
    assert "ab" * 32 in digests and f"scores.parquet: {'ef' * 32}" in digests and "0123456789abcdef0123" in digests
    assert "trainedon audit model suspects --unseen unseen --out run" in said["To do it again"]


def test_what_was_not_recorded_is_said_not_to_be(audit):
    for field in ("command", "model", "started", "finished"):
        del audit.run[field]
    said = told(audit)
    assert "The command is not recorded." in said["To do it again"]
    assert "When the lists of pictures were settled is not recorded." in said["Who chose what, and when"]
    assert "Begun not recorded" in said["Who chose what, and when"]
    assert said["Digests (SHA-256)"] == "Not recorded."


def test_error_rates_are_those_of_the_controls_of_this_run(audit, evaluation):
    errors = "Error rates, measured on this run’s own controls"
    assert "0 of these found something" in told(audit)[errors]
    audit.document["blind"]["separates"] = True
    assert "1 of these found something" in told(audit)[errors]
    assert "Noted in the table" not in told(audit)[errors]
    audit.document["duplicates"] = {"sought": True, "n_exact": 0, "n_near": 2, "n_across": 1}
    assert "Noted in the table of controls, without lowering the claim: 1." in told(audit)[errors]
    rate = {"tpr": 0.7, "tpr_ci": [0.5, 0.8], "fpr": 0.02, "fpr_ci": [0.0, 0.1], "threshold": 0.9, "estimable": True}
    evaluation.path = evaluation.path.parent / "other"
    evaluation.document["attacks"][0]["tpr_at_fpr"] |= {"0.05": rate}
    said = told(evaluation)[errors]
    assert "Of the strongest attack, drc." in said
    assert "At a threshold for 5\u00a0%: 2\u00a0% of 30 unseen pictures" in said
    assert "At a rate of 0.1\u00a0%: too few" in said


def test_a_control_that_could_not_fail_is_not_counted_among_those_that_were_run(audit):
    audit.document["blind"]["detectable"] = 1.0
    run = read(audit.write())
    blind = controls(run)[0]
    assert blind.verdict == "too few to say" and "would have been found" not in blind.finding
    said = {entry.title: entry.lines for entry in annex(run, controls(run))}
    (counted, *_) = said["Error rates, measured on this run’s own controls"]
    assert "1 were run" in counted and "too few pictures to say: 1" in counted
    audit.document["blind"]["detectable"] = 0.9
    assert controls(read(audit.write()))[0].verdict == "passed"


@pytest.mark.parametrize("language", ["de", "fr"])
@pytest.mark.parametrize(("asked", "kept", "left_out"), [(0, 0, 0), (1, 0, 3), (2, 1, 0), (2, 5, 7)])
def test_earlier_runs_are_told_in_every_language_and_none_is_said_to_be_none(audit, language, asked, kept, left_out):
    audit.run["listed"] = LISTED | {"asked": asked, "kept": kept, "left_out": left_out}
    run = read(audit.write())
    lines = next(entry.lines for entry in annex(run, controls(run)) if entry.title == "Who chose what, and when")
    (line,) = [line for line in lines if "as far as known" in line]
    assert line.startswith(("No earlier run on", "1 earlier run on", "2 earlier runs on")[asked])
    assert ("none of them had been scored before" in line) == (kept == 0) and "0" not in line
    assert catalogue(language).paragraph(line)[1] == []


@pytest.mark.parametrize(("lead", "hypothesis"), [("first", "exchangeable"), ("mirror", "ahead of their")])
def test_the_hypothesis_is_that_of_the_test(audit, lead, hypothesis):
    audit.document["lead"] = lead
    audit.run["choices"]["lead"] = lead
    assert hypothesis in told(audit)["Hypothesis"]


def test_a_level_that_was_not_reached_says_why(audit):
    audit.document["claim"] |= {"level": 1, "because": "the p-value of the set is 0.4, not below 0.01"}
    assert "This run ended at claim level 1: the p-value of the set is 0.4" in told(audit)["What would have refuted it"]


def test_of_a_table_it_is_not_said_when_scores_were_made_or_the_test_chosen(audit):
    assert "as chosen before scoring." in told(audit)["Who chose what, and when"]
    audit.run["identity"] = {"kind": "audit", "table": "ab" * 32}
    said = told(audit)["Who chose what, and when"]
    assert ", as chosen" not in said and "last score written" not in said
    assert "Made of a table of scores 1 March 2025, 10:00 UTC; when these were made is not recorded." in said
    assert "whether that was chosen before scoring is not recorded" in said


def test_attacks_that_were_added_later_are_named(audit):
    audit.run["added"] = [{"attacks": ["Loss(t=100)"], "at": "2025-03-02T08:00:00+00:00"}]
    said = told(audit)["Who chose what, and when"]
    assert "Added 2 March 2025, 08:00 UTC, when the scores of the others could be seen: Loss(t=100)." in said
