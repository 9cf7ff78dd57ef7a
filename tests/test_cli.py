"""The command line as a user meets it."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path
from signal import SIGINT

import numpy as np
import pyarrow.parquet as pq
import pytest
from commandline import call
from forked import UNENDING, Forked
from slowly import slowly

from trainedon import stopping
from trainedon.cli.printing import print_audit
from trainedon.cli.terminal import Bars
from trainedon.errors import UserError
from trainedon.evidence import Scores, audit_table
from trainedon.runs import Plan, conclude, run, verify
from trainedon.runs.scoring import engine
from trainedon.runs.scoring.scorer import Scorer
from trainedon.sweeps.grid import plan
from trainedon.targets import load_target

# A model that does not exist: what is refused here is refused before anything is loaded.
NOWHERE = ["audit", "nowhere", "{pictures}", "--out", "{out}"]
SWEEP = ["sweep", "nowhere", "--members", "{pictures}", "--unseen", "{pictures}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit", "nowhere", "{pictures}", "--out", "{out}"], "nowhere does not exist"),
        (["audit", "{model}", "nothing-here", "--out", "{out}"], "nothing-here"),
        (
            ["audit", "{model}", "{pictures}", "--out", "{pictures}", "--attacks", "loss"],
            "not empty and is no run folder",
        ),
        (["audit", "{model}", "{pictures}", "--out", "{out}", "--attacks", "magic"], "unknown attack 'magic'"),
        (["audit", "{model}", "{pictures}", "--out", "{out}", "--device", "abacus"], "device 'abacus' cannot be used"),
        ([*NOWHERE, "--attacks", "loss, drcfast"], "unknown attack 'drcfast' (did you mean drc-fast?): choose from"),
        ([*NOWHERE, "--drawn", "coins.json"], "coins.json cannot be read"),
        ([*NOWHERE, "--unseen", "not-here"], "not-here does not exist"),
        (["audit", "nowhere", "{pictures}", "--out", "{pictures}/run"], "where its pictures would be found"),
        ([*NOWHERE, "--engine", "steam"], "there is no engine 'steam': choose local or ray"),
        ([*NOWHERE, "--address", "auto"], "--address is of the engine ray: add --engine ray"),
        (["audit", "{model}", "{pictures}", "--out", "{out}", "--precision", "float8"], "float8"),
        ([*NOWHERE, "--attacks", "calibrated(loss)"], "needs a reference model, which never saw"),
        ([*NOWHERE, "--attacks", "lira"], "lira needs shadow models: give --shadows DIR"),
        ([*NOWHERE, "--attacks", "secmi-nn"], "secmi-nn needs pictures whose membership is known"),
        ([*NOWHERE, "--attacks", "symmetric(loss, symmetries=mirror+mirror)"], "mirror stands there twice"),
        ([*NOWHERE, "--attacks", "quantile"], "quantile needs unseen pictures: give --unseen DIR"),
        ([*NOWHERE, "--shadows", "{pictures}"], "no finished shadow models"),
        ([*SWEEP, "--out", "{out}"], "nothing is to be varied: give --vary NAME=V1,V2,... or --question (mask-ratio,"),
        ([*SWEEP, "--out", "{out}", "--vary", "size=1"], "has no parameter 'size' to vary: choose from roi"),
        ([*SWEEP, "--out", "{out}", "--question", "why"], "there is no question 'why': choose from mask-ratio"),
        ([*SWEEP, "--out", "{out}", "--attack", "drc-hide(roi=full)", "--vary", "mask-ratio=0.1"], "has no mask ratio"),
        ([*SWEEP, "--out", "{out}", "--vary", "steps=5,5"], "names a setting twice: steps=5 and steps=5"),
        (["report", "{pictures}"], "is not a run folder"),
        (["train", "{pictures}", "--out", "{out}", "--betas", "steep"], "betas 'steep' are not known: choose one of"),
        (["train", "{pictures}", "--out", "{out}", "--prediction", "future"], "prediction 'future' is not known"),
        (["train", "{pictures}", "--out", "{out}", "--size", "30"], "3 widths need a size that 4 divides, not 30"),
        (["train", "{pictures}", "--out", "{out}", "--zero-snr"], "cannot be learnt from the noise alone"),
        (["train", "{pictures}", "--out", "{out}", "--draw", "99"], "99 members cannot be drawn from 24"),
        (["train", "{pictures}", "--out", "{out}", "--shadows", "2", "--snapshot", "3"], "give one of the two"),
        (["plan", "nowhere", "half"], "N takes a whole number from 1 to 1e+15, such as 1000000"),
        (["plan", "nowhere", "10", "--attacks", "lira"], "lira needs shadow models: give --shadows DIR"),
        (["plan", "{model}", "10", "--gpus", "0"], "10 pictures on 0 devices: give 1 or more of each"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, target_folders, toy_pictures, tmp_path):
    places = {"model": target_folders["epsilon"], "pictures": toy_pictures["members"], "out": tmp_path / "out"}
    result = call(*(argument.format(**places) for argument in arguments))
    assert result.returncode == 2
    assert message in result.stderr and "Traceback" not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("trainedon: ")


def test_audit_prints_the_claim_and_report_prints_it_again(target_folders, toy_pictures, tmp_path):
    arguments = [target_folders["epsilon"], toy_pictures["members"], "--unseen", toy_pictures["unseen"]]
    arguments += ["--attacks", "loss", "--limit", 12, "--caption", "a cat"]
    result = call("audit", *arguments, "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert "Claim level" in result.stdout
    assert json.loads((tmp_path / "run" / "run.json").read_text())["choices"]["caption"] == "a cat"
    again = call("report", tmp_path / "run")
    assert again.returncode == 0 and again.stdout == result.stdout


def test_a_run_of_an_earlier_version_is_still_reported(target_folders, toy_pictures, tmp_path):
    """Runs from before attacks had labels and figures of papers have neither in run.json."""
    sets = ["--members", toy_pictures["members"], "--unseen", toy_pictures["unseen"]]
    options = ["--attacks", "loss", "--caption", "a cat", "--out", tmp_path / "run"]
    result = call("evaluate", target_folders["epsilon"], *sets, *options)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["choices"].pop("caption") == "a cat"
    del record["labels"], record["reported"], record["choices"]["dataset"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    again = call("report", tmp_path / "run")
    assert again.returncode == 0 and again.stdout == result.stdout, again.stderr


def test_plan_says_what_a_run_would_take_as_text_and_as_json(target_folders, toy_pictures):
    arguments = ["plan", target_folders["epsilon"], "1_000", "--gpus", 2, "--attacks", "loss, drc-fast"]
    result = call(*arguments, "--batch-size", 8, "--bytes-per-picture", "100k")
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["loss", "1", "0", "1", "000"] in [row[:5] for row in rows]
    assert ["drc-fast", "48", "0", "48", "000"] in [row[:5] for row in rows]
    assert ["together", "49", "0", "49", "000"] in [row[:5] for row in rows]
    assert "Read: 200 MB, every picture twice" in result.stdout
    assert "for 1 000 pictures on 2 devices" in result.stdout and "It rests on:" in result.stdout
    again = call(*arguments, "--batch-size", 8, "--pictures", toy_pictures["members"], "--json")
    document = json.loads(again.stdout)
    assert (document["pictures"], document["devices"], document["together"]["passes"]) == (1000, 2, 49_000)
    assert document["sample"]["pictures"] == 24 and document["wall_hours"] > 0


def test_attacks_lists_each_with_its_paper_and_defaults():
    result = call("attacks")
    assert result.returncode == 0
    assert "drc" in result.stdout and "2403.08487" in result.stdout and "draws=1" in result.stdout


def test_one_attack_tells_all_that_it_declares_as_text_and_as_json():
    told = call("attacks", "drc")
    assert (
        told.stdout.startswith("drc@2: ") and "  degradation: one or several degradations, joined by +" in told.stdout
    )
    document = json.loads(call("attacks", "class-discrepancy", "--json").stdout)
    assert document["needs"] == ["classes"] and "L(c_i) - L(c)" in document["about"]
    others = document["parameters"][1]
    assert others["means"].startswith("how many other classes")
    told = {"name": "others", "takes": "a whole number", "default": "4", "choices": None}
    assert others == told | {"means": others["means"], "example": "class-discrepancy(others=8)"}
    every = json.loads(call("attacks", "--json").stdout)
    assert {one["name"] for one in every if one["works_around"]} >= {"symmetric", "flip", "repeat"}
    unknown = call("attacks", "magic")
    assert unknown.returncode == 2 and "unknown attack 'magic'" in unknown.stderr


def test_what_is_given_and_not_used_is_said(target_folders, toy_pictures, tmp_path):
    sets = ["--members", toy_pictures["members"], "--unseen", toy_pictures["unseen"], "--limit", 4]
    given = ["--caption", "a cat", "--reference", target_folders["epsilon"], "--attacks", "loss"]
    done = call("evaluate", target_folders["epsilon"], *sets, *given, "--out", tmp_path / "run")
    assert "note: --reference is not used" in done.stderr and "note: --caption is not used" in done.stderr
    twins = call("twins", toy_pictures["members"], "--out", tmp_path / "twins", "--fit", "pad")
    assert twins.returncode == 2 and "leave out --fit and --resample" in twins.stderr
    named = call("attacks", "drc", "--markdown")
    assert named.returncode == 2 and "leave out the name" in named.stderr


def test_the_table_of_attacks_in_the_docs_is_the_generated_one():
    page = (Path(__file__).parents[1] / "docs" / "attacks.md").read_text("utf-8")
    assert call("attacks", "--markdown").stdout in page, "put the output of `trainedon attacks --markdown` there"


def test_train_makes_a_model_that_can_be_audited(toy_pictures, tmp_path):
    options = ["--size", 16, "--widths", "8,16", "--passes", 2, "--draw", 10, "--batch-size", 5]
    result = call("train", toy_pictures["members"], "--out", tmp_path / "model", *options)
    assert result.returncode == 0, result.stderr
    run = ["--members", toy_pictures["members"], "--unseen", toy_pictures["unseen"], "--attacks", "loss"]
    result = call("evaluate", tmp_path / "model", *run, "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert "AUC" in result.stdout


@pytest.mark.usefixtures("forgotten")
def test_an_attack_of_another_package_is_found_and_runs(target_folders, toy_pictures, tmp_path, monkeypatch):
    """`sample_package` lies as an installed package does: a module, and beside it what pip would have written."""
    assert "flatness" not in call("attacks").stdout
    monkeypatch.syspath_prepend(Path(__file__).parent / "sample_package")
    listed = call("attacks")
    assert "flatness: Flatness of the picture (none)" in listed.stdout, listed.stderr
    run = [target_folders["epsilon"], "--members", toy_pictures["members"], "--unseen", toy_pictures["unseen"]]
    result = call("evaluate", *run, "--attacks", "flatness, loss", "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert "flatness" in result.stdout
    monkeypatch.syspath_prepend(Path(__file__).parent / "broken_package")
    listed = call("attacks")
    broken = "the attack missing of another package cannot be loaded (ModuleNotFoundError"
    assert listed.returncode == 0 and "flatness: Flatness" in listed.stdout
    assert f"left out: {broken}" in listed.stdout and "left out: the region nowhere" in listed.stdout
    assert f"note: {broken}" in listed.stderr


def test_a_table_of_scores_gives_a_page_that_verifies_until_it_is_changed(tmp_path):
    lines = [f"{i},{name},{i + 30 * (name == 'suspect')}" for name in ("suspect", "unseen") for i in range(40)]
    (tmp_path / "scores.csv").write_text("picture,set,score\n" + "\n".join(lines) + "\n")
    result = call("report", tmp_path / "scores.csv", "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert "Claim level 2" in result.stdout
    checked = call("verify", tmp_path / "run")
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "This run tells what follows from its scores.")
    text = (tmp_path / "run" / "audit.json").read_text()
    (tmp_path / "run" / "audit.json").write_text(text.replace('"level": 2', '"level": 3', 1))
    checked = call("verify", tmp_path / "run")
    assert checked.returncode == 1
    assert "FAILED: the statistics follow from the scores" in checked.stdout
    refused = call("report", tmp_path / "scores.csv")
    assert (refused.returncode, "say with --out DIR" in refused.stderr) == (2, True)


def test_draw_says_what_to_do_with_the_pictures(toy_pictures, tmp_path):
    result = call("draw", toy_pictures["members"], "--out", tmp_path / "draw", "--secret", "s")
    assert result.returncode == 0, result.stderr
    included = len(list((tmp_path / "draw" / "included").iterdir()))
    assert f"Included: {included} pictures" in result.stdout
    assert json.loads((tmp_path / "draw" / "draw.json").read_text())["commitment"] in result.stdout


def test_the_test_that_is_printed_is_the_one_that_the_claim_speaks_of(capsys):
    rng = np.random.default_rng(0)
    rows = [
        {"picture": f"{side}-{i}.png", "set": side, "attack": name, "repr": name, "score": rng.normal() + shift}
        for name, shift in (("tells-nothing", 0.0), ("tells", 5.0))
        for side, shift in (("suspect", shift), ("unseen", 0.0))
        for i in range(20)
    ]
    document = audit_table(Scores.from_rows(rows), lead="cdi")
    print_audit(document)
    assert document.cdi.effect > 0.9 > document.set.effect
    assert f"by all attacks (CDI): AUC {document.cdi.effect:.4f}" in capsys.readouterr().out


@pytest.mark.slow
def test_cdi_leads_the_claim_when_it_is_asked_for(target_folders, toy_pictures, tmp_path):
    arguments = [target_folders["epsilon"], toy_pictures["members"], "--unseen", toy_pictures["unseen"]]
    result = call("audit", *arguments, "--attacks", "cdi", "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    document = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert (document["lead"], len(document["cdi"]["attacks"])) == ("cdi", 15)
    assert f"{document['cdi']['p_value_holm']:.2g}" in document["claim"]["because"]
    alone = call("audit", *arguments[:2], "--attacks", "cdi", "--limit", 4, "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    assert json.loads((tmp_path / "alone" / "audit.json").read_text())["lead"] == "mirror-cdi"
    none = [*arguments[:2], "--attacks", "cdi", "--null-view", "none", "--out", tmp_path / "none"]
    assert "give --unseen DIR" in call("audit", *none).stderr


def test_peaks_are_measured_and_told(target_folders, toy_pictures, tmp_path):
    arguments = ["--members", toy_pictures["members"], "--unseen", toy_pictures["unseen"], "--limit", 8]
    result = call("peaks", target_folders["epsilon"], *arguments, "--caption", "a cat", "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["choices"]["caption"] == "a cat"
    document = json.loads((tmp_path / "run" / "peaks.json").read_text())
    assert len(document["measurements"]) == 14
    assert document["sentence"] in result.stdout
    assert 'id="peaks"' in (tmp_path / "run" / "report.html").read_text()
    assert call("verify", tmp_path / "run").returncode == 0


@pytest.fixture(scope="module")
def swept(target_folders, toy_pictures, tmp_path_factory):
    """(command without --out, run folder, what was printed): nine settings, of which two questions share one."""
    command = ["sweep", target_folders["epsilon"], "--members", toy_pictures["members"]]
    command += ["--unseen", toy_pictures["unseen"], "--attack", "drc-hide(steps=2, restorations=1)", "--limit", 8]
    command += ["--vary", "mask-ratio=0.1,0.25,0.5", "--question", "restorer", "--caption", "a cat"]
    out = tmp_path_factory.mktemp("sweep") / "run"
    result = call(*command, "--out", out)
    assert result.returncode == 0, result.stderr
    return command, out, result.stdout


def test_a_sweep_is_printed_drawn_reported_and_verified(swept, tmp_path):
    _, finished, printed = swept
    out = shutil.copytree(finished, tmp_path / "run")
    document, record = (json.loads((out / name).read_text()) for name in ("sweep.json", "run.json"))
    assert [len(group["points"]) for group in document["groups"]] == [3, 7]
    assert record["choices"]["caption"] == "a cat"
    assert len(record["choices"]["attacks"]) == 9, "the attack as given answers both questions, and is run once"
    assert document["groups"][0]["points"][1] | {"setting": 0, "behind": 0} == (
        document["groups"][1]["points"][6] | {"setting": 0, "behind": 0}
    )
    costs = {cost["attack"]: cost for cost in record["costs"]}
    for group in document["groups"]:
        assert group["sentence"] in printed and group["title"] in printed
        for point in group["points"]:
            cost = costs[point["repr"]]
            assert point["passes"] == cost["forward_per_picture"] + 2 * cost["backward_per_picture"]
            assert f"{point['auc']:.4f}" in printed
    assert 'id="sweep"' in (out / "report.html").read_text()
    before = {name: (out / name).read_bytes() for name in ("sweep.json", "report.html")}
    conclude(out)
    assert before == {name: (out / name).read_bytes() for name in before}
    assert {check.ok for check in verify(out)} == {True}
    document["groups"][0]["points"][0]["auc"] = 0.99
    (out / "sweep.json").write_text(json.dumps(document))
    checked = call("verify", out)
    assert checked.returncode == 1 and "sweep.json: groups[0].points[0].auc is 0.99" in checked.stdout


@pytest.mark.slow
def test_a_sweep_that_was_killed_goes_on_and_ends_as_if_it_had_not(swept, tmp_path, monkeypatch):
    command, finished, printed = swept
    out = tmp_path / "killed"
    code = "import trainedon.runs.scoring.engine as e; e.SHARD = 4; from trainedon.cli import main; main()"
    process = Forked(UNENDING + code, [*command, "--out", out], tmp_path)
    process.until(lambda: len(list(out.glob("shards/*/*.parquet"))) >= 3)
    process.kill()
    assert not (out / "scores.parquet").exists()
    done = {path: path.stat().st_mtime_ns for path in out.glob("shards/*/*.parquet")}
    monkeypatch.setattr("trainedon.runs.scoring.engine.SHARD", 4)
    again = call(*command, "--out", out)
    assert again.returncode == 0, again.stderr
    assert done and again.stdout.replace(str(out), str(finished)) == printed
    assert (out / "sweep.json").read_bytes() == (finished / "sweep.json").read_bytes()
    tables = [pq.read_table(run / "scores.parquet").drop_columns(["seconds"]) for run in (out, finished)]
    assert tables[0] == tables[1]


def test_a_sweep_is_not_gone_on_with_under_another_question(target_folders, toy_pictures, tmp_path):
    """The same attack can answer several: what a folder says must be what was asked."""
    target = load_target(target_folders["epsilon"])
    sets = {"member": toy_pictures["members"], "unseen": toy_pictures["unseen"]}

    def swept_over(vary):
        chosen = plan("loss", [vary], (), ("gradients", "unseen", "labels"))
        asked = Plan("evaluate", sets, chosen.attacks, limit=4, sweep=chosen.entry())
        return run(target, asked, tmp_path / "run", lambda what, done, total: None)

    swept_over("draws=1")
    before = (tmp_path / "run" / "sweep.json").read_bytes()
    swept_over("draws=1")
    with pytest.raises(UserError, match=r"other choices \(sweep was \['draws'\], is \['seed'\]"):
        swept_over("seed=0")
    assert (tmp_path / "run" / "sweep.json").read_bytes() == before


LINE = "trainedon: stopped; the same command goes on from here"


def interrupted_in_a_process_of_its_own(command, tmp_path, capfd):
    code = """
import os, signal
import trainedon.runs.scoring.engine as e
from trainedon.cli import main
from trainedon.cli.terminal import Bars
e.SHARD = 12
Bars.__call__ = lambda self, what, done, total: what == "loss" and done == 24 and os.kill(os.getpid(), signal.SIGINT)
main()
"""
    return Forked(code, command, tmp_path).end()


def interrupted_here(command, tmp_path, capfd):
    """In the process of the tests, which outlives it: no timer ends it, and signals mean what they did."""
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "SHARD", 12)
        patch.setattr(stopping, "GRACE", threading.TIMEOUT_MAX)
        patch.setattr(
            Bars, "__call__", lambda _, what, done, total: (what, done) == ("loss", 24) and signal.raise_signal(SIGINT)
        )
        signal.signal(SIGINT, signal.default_int_handler)  # also where tests run in the background and ignore it
        try:
            ended = call(*command)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    ended.stderr += capfd.readouterr().err
    return ended


@pytest.mark.parametrize("interrupted", [interrupted_here, *slowly(interrupted_in_a_process_of_its_own)])
def test_an_interrupt_ends_a_run_with_130_and_the_same_command_goes_on(
    interrupted, target_folders, toy_pictures, tmp_path, monkeypatch, capfd
):
    out = tmp_path / "run"
    command = ["evaluate", target_folders["epsilon"], "--members", toy_pictures["members"]]
    command += ["--unseen", toy_pictures["unseen"], "--attacks", "loss", "--out", out]
    ended = interrupted(command, tmp_path, capfd)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (130, LINE) and "Traceback" not in ended.stderr
    assert not (out / "scores.parquet").exists() and not list(out.rglob(".*.tmp"))
    assert len(list(out.glob("shards/*/*.parquet"))) == 2
    monkeypatch.setattr(engine, "SHARD", 12)
    scored = []
    monkeypatch.setattr(Scorer, "__call__", _recorded(Scorer.__call__, scored))
    assert call(*command).returncode == 0
    assert len(scored) == 2


def _recorded(score, tasks):
    return lambda self, task, *rest: (tasks.append(task), score(self, task, *rest))[1]


@pytest.mark.slow
def test_two_signals_end_a_training_with_143_and_no_traceback(toy_pictures, tmp_path):
    command = [sys.executable, "-m", "trainedon", "train", toy_pictures["members"], "--size", 16]
    command = [*map(str, [*command, "--out", tmp_path / "m"])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "m" / ".lock").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
    _, error = process.communicate()
    assert (process.returncode, error.splitlines()[-1]) == (143, LINE) and "Traceback" not in error


def test_a_signal_that_meets_code_which_cannot_fail_is_not_lost():
    code = """
import os, signal
from trainedon.stopping import stoppable
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(9))
with stoppable():
    del [Last()][0]
    while True:
        pass
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (143, f"{LINE}\n")


def test_a_signal_that_was_ignored_from_the_start_is_ignored_still():
    """A shell starts so what a script puts into the background: Ctrl-C is for what is in the foreground."""
    code = """
import os, signal
from trainedon.stopping import stoppable
with stoppable():
    os.kill(os.getpid(), signal.SIGINT)
    print("goes on", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
"""
    command = ["sh", "-c", '"$0" -c "$1" & wait $!', sys.executable, code]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "goes on\n", f"{LINE}\n")


def test_folders_that_seem_swapped_are_suspected_before_and_after(target_folders, toy_pictures, tmp_path):
    holdout = shutil.copytree(toy_pictures["members"], tmp_path / "holdout")
    members = shutil.copytree(toy_pictures["unseen"], tmp_path / "members")
    command = [target_folders["epsilon"], "--attacks", "loss", "--out", tmp_path / "run"]
    result = call("audit", command[0], holdout, "--unseen", members, *command[1:])
    assert result.returncode == 0
    doubt = "the suspects are called 'holdout' and the unseen pictures are called 'members'"
    assert f"note: {doubt}: were the folders given the wrong way round?" in result.stderr.replace("\n", " ")
    notes = json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    (note,) = (note for note in notes if "wrong way round" in note)
    assert note.startswith(f"T{doubt[1:]}") and note in (tmp_path / "run" / "report.html").read_text().replace(
        "&#39;", "'"
    )


def test_scores_that_run_the_wrong_way_are_told(tmp_path):
    lines = [f"{i},{name},{i - 60 * (name == 'suspect')}" for name in ("suspect", "unseen") for i in range(40)]
    (tmp_path / "scores.csv").write_text("picture,set,score\n" + "\n".join(lines) + "\n")
    result = call("report", tmp_path / "scores.csv", "--out", tmp_path / "run")
    assert "the two folders may have been given the wrong way round" in result.stdout.replace("\n", " ")
    assert call("verify", tmp_path / "run").returncode == 0


def test_where_no_device_is_named_one_is_chosen_said_and_kept(target_folders, toy_pictures, tmp_path):
    command = ["audit", target_folders["epsilon"], toy_pictures["members"], "--attacks", "loss", "--limit", 2]
    result = call(*command, "--out", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert f"device: {record['choices']['device']}\n" in result.stderr
    assert record["identity"]["device"] == load_target(target_folders["epsilon"], device="auto").device.type
    begun = json.dumps(record | {"identity": record["identity"] | {"device": "abacus"}})
    (tmp_path / "run" / "run.json").write_text(begun)
    assert "device 'abacus' cannot be used here" in call(*command, "--out", tmp_path / "run").stderr


def test_the_version_is_said():
    assert call("--version").stdout == f"trainedon {version('trainedon')}\n"


def test_schema_prints_what_is_published():
    published = Path(__file__).parents[1] / "docs" / "schemas"
    assert call("schema", "audit").stdout == (published / "audit-2.json").read_text()
    assert call("schema", "novel").returncode == 2


def test_colons_are_no_emoji(capsys):
    """`own:100:mid_block` is an encoder, and :100: a picture to the terminal library unless it is told."""
    from rich.table import Table

    from trainedon.cli.terminal import out_console, say

    say("own:100:mid_block")
    table = Table("own:100:up_blocks.2")
    out_console.print(table)
    printed = capsys.readouterr().out
    assert "own:100:mid_block" in printed and "own:100:up_blocks.2" in printed
