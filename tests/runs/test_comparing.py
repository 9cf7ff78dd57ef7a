"""Two runs on the same pictures: what changed, what is beyond chance, and what cannot be compared."""

import csv
import json

import numpy as np
import pytest
from commandline import call
from jsonschema import Draft202012Validator

import trainedon as to
from trainedon.cli.terminal import out_console
from trainedon.evidence import schemas
from trainedon.evidence.statistics.paired_rates import rate_change

# Of each picture, alike in all runs.
EASY = [np.random.default_rng([7, number]).normal() for number in range(2000)]


def write_run(folder, name, attacks, *, asked="member", n=80, unseen=80, seed=0, first=0):
    """A run from a table of scores. attacks: name -> how far members lie above unseen pictures."""
    rng, table = np.random.default_rng(seed), folder / f"{name}.csv"
    with table.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["picture", "set", "attack", "score"])
        for attack, shift in attacks.items():
            for set_name, far, start, count in ((asked, 1, first, n), ("unseen", 0, 1000, unseen)):
                for i in range(start, start + count):
                    score = EASY[i] + 0.3 * rng.normal() + far * shift
                    writer.writerow([f"{set_name}-{i}", set_name, attack, score])
    done = call("report", table, "--out", folder / name)
    assert done.returncode == 0, done.stderr
    return folder / name


def test_a_model_that_was_made_to_forget_is_told_from_one_that_was_not(tmp_path):
    before = write_run(tmp_path, "before", {"loss": 0.6, "pia": 0.6, "old": 0.1})
    after = write_run(tmp_path, "after", {"loss": 0.2, "pia": 0.6, "new": 0.1}, seed=1)
    done = call("compare", before, after, "--out", tmp_path / "compare.json")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "compare.json").read_text())
    assert Draft202012Validator(json.loads(schemas()["compare"])).is_valid(document)
    loss, pia = document["attacks"]
    assert loss["change"] < 0 and loss["change_ci"][1] < 0 and loss["p_value_holm"] < 0.001
    assert pia["p_value_holm"] > 0.05 and loss["p_value_holm"] == pytest.approx(2 * loss["p_value"])
    # each interval alone says nothing: they overlap
    assert loss["after_ci"][1] > loss["before_ci"][0]
    assert document["sentence"] == "After against before, beyond chance: less is told by loss."
    assert [(one["attack"], one["called"]) for one in document["not_compared"]] == [("old", "old"), ("new", "new")]
    assert "not compared: old (the second run does not have it)" in done.stdout
    assert "n < 598" in done.stdout and not loss["tpr_1"]["estimable"]
    found = to.compare_runs(before, after)
    assert found.attacks[0].change == loss["change"]


def test_a_run_against_itself_shows_nothing(tmp_path):
    run = write_run(tmp_path, "run", {"loss": 0.5})
    (attack,) = to.compare_runs(run, run).attacks
    assert attack.change == 0 and attack.p_value == 1 and attack.change_ci is None
    assert to.compare_runs(run, run).sentence.startswith("No change is shown")


def test_only_pictures_of_both_are_compared_and_the_others_are_named(tmp_path):
    before = write_run(tmp_path, "before", {"loss": 0.5}, n=30)
    after = write_run(tmp_path, "after", {"loss": 0.5}, n=30, first=10, seed=1)
    found = to.compare_runs(before, after)
    members = found.sets[0]
    assert (members.both, members.before_only, members.after_only) == (20, 10, 10)
    assert members.before_examples[0] == "member-0" and found.attacks[0].n_asked == 20
    done = call("compare", before, after)
    assert f"member: 20 pictures in both runs; 10 only in {before} (member-0, member-1, member-2, ...)" in done.stdout


@pytest.fixture(scope="module")
def long_named(tmp_path_factory):
    """Two runs of an attack whose name takes room."""
    folder = tmp_path_factory.mktemp("long-named")
    return [write_run(folder, name, {"a_name_of_some_length": far, "pia": 0.5}, n=40, seed=seed)
            for name, far, seed in (("a", 0.6, 0), ("b", 0.2, 1))]  # fmt: skip


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_number_is_cut_however_narrow_the_terminal(columns, long_named, monkeypatch):
    runs = long_named
    monkeypatch.setattr(out_console, "_width", columns)
    printed = call("compare", *runs).stdout
    for one in to.compare_runs(*runs).attacks:
        assert one.name in printed
        for value, ends in ((one.before, one.before_ci), (one.after, one.after_ci)):
            assert f"{value:.4f} ({ends[0]:.3f} to {ends[1]:.3f})" in printed
        assert f"{one.change:+.4f} ({one.change_ci[0]:+.3f} to {one.change_ci[1]:+.3f})" in printed
    assert ("AUC before     0." in printed) == (columns < 200)


def test_of_what_is_below_chance_in_both_runs_it_is_not_said_that_more_is_told(tmp_path):
    runs = [write_run(tmp_path, name, {"loss": far}, n=200, unseen=200) for name, far in (("a", -1.5), ("b", -0.5))]
    for way, pair in (("rose", runs), ("fell", runs[::-1])):
        assert to.compare_runs(*pair).sentence == (
            f"After against before, beyond chance: the AUC {way}, but is shown above .5 in neither run, under loss."
        )
    above = write_run(tmp_path, "c", {"loss": 0.5}, n=200, unseen=200)
    assert to.compare_runs(runs[0], above).sentence.endswith("beyond chance: more is told by loss.")
    assert to.compare_runs(above, runs[0]).sentence.endswith("beyond chance: less is told by loss.")


def test_named_is_only_what_interval_and_p_value_both_support(tmp_path):
    """The largest p-value of three is halfway: below .05 by Holm's correction, not by that of intervals."""
    found = []
    before = write_run(tmp_path, "before", {"loss": 1.2, "pia": 1.2, "drc": 0.6})
    for far in (0.5, 0.45, 0.4):
        after = write_run(tmp_path, f"after{far:.3f}", {"loss": 0.1, "pia": 0.1, "drc": far}, seed=1)
        document = to.compare_runs(before, after)
        drc = document.attacks[2]
        shown = drc.p_value_holm <= 0.05 and not drc.change_ci[0] <= 0 <= drc.change_ci[1]
        assert ("drc" in document.sentence) == shown
        found.append(drc.p_value_holm <= 0.05 and drc.change_ci[0] <= 0 <= drc.change_ci[1])
    assert found == [False, True, False], "at the second the two corrections part"


def test_two_settings_of_one_attack_are_told_apart(tmp_path):
    runs = [write_run(tmp_path, name, {"loss(t=50)": 0.5, "loss(t=100)": 0.5}) for name in ("a", "b")]
    for run in runs:
        record = json.loads((run / "run.json").read_text())
        record["labels"] = dict.fromkeys(("loss(t=50)", "loss(t=100)"), "loss")
        (run / "run.json").write_text(json.dumps(record))
    assert [one.called for one in to.compare_runs(*runs).attacks] == ["loss(t=50)", "loss(t=100)"]
    record["labels"]["loss(t=50)"] = "early loss"
    (runs[0] / "run.json").write_text(json.dumps(record))
    assert [one.called for one in to.compare_runs(*runs).attacks] == ["early loss", "loss"]
    assert "early loss\n  AUC before" in call("compare", *runs).stdout


def test_audits_are_compared_by_how_far_suspects_stand_out(tmp_path):
    runs = [write_run(tmp_path, name, {"loss": shift}, asked="suspect") for name, shift in (("a", 0.7), ("b", 0.1))]
    found = to.compare_runs(*runs)
    assert (
        found.kind == "audit" and found.attacks[0].change < 0 and found.meaning.startswith("A change is one of how far")
    )


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path):
    run = write_run(tmp_path, "run", {"loss": 0.5}, n=20)
    cases = {
        "give two of one kind": write_run(tmp_path, "audit", {"loss": 0.5}, asked="suspect", n=20),
        "no attack is in both runs": write_run(tmp_path, "other", {"pia": 0.5}, n=20),
        "no member picture is in both runs": write_run(tmp_path, "far", {"loss": 0.5}, n=20, first=500),
        "is not a run folder": tmp_path,
    }
    for says, other in cases.items():
        done = call("compare", run, other)
        assert done.returncode == 2 and says in done.stderr, done.stderr


def test_intervals_of_a_change_of_rates_hold_what_is_true():
    inside, rounds = 0, 60
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        sides = [rng.normal(size=n) for n in (150, 300)]
        first, second = ([side + 0.6 * rng.normal(size=len(side)) + (1.5, 0)[i] for i, side in enumerate(sides)]
                         for _ in range(2))  # fmt: skip
        found = rate_change(tuple(first), tuple(second), rate="0.01", seed=seed, replicates=300)
        inside += found.interval[0] <= 0 <= found.interval[1]
    assert inside >= 0.9 * rounds, "both remember alike"
    assert rate_change((np.ones(3), np.ones(50)), (np.ones(3), np.ones(50)), rate="0.01") is None
