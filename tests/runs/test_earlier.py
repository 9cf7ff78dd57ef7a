"""Runs that version 0.1.0 wrote, as it left them: they verify, conclude and go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commandline import call

from trainedon.attacks import DRC, parse_attacks
from trainedon.embedded.demo import model_folder
from trainedon.runs.checking.verify import verify
from trainedon.runs.conclusion import conclude
from trainedon.runs.spelling import in_full

RUNS = Path(__file__).parents[1] / "data" / "runs"
SWEEP = (
    *("--limit", "6", "--device", "cpu", "--attack", "drc@1(restorations=1,degradation=diffuse:100)"),
    *("--vary", "symmetries=none,mirror,all", "--vary", "roi=full,center:0.25,inverted(center:0.25)"),
)
ATTACKS = (
    "drc-hide(steps=3, restorations=1), drc@1(settle=2, restorations=4), drc-fast(restorations=2), loss(t=100), "
    "fremia(pia), repeat(loss, n=2)"
)

# Attacks with parameters that version 1 left out of their texts: where they had their defaults, and where not.
LEFT_OUT = (
    "drc-latent, drc-latent(share=1.0), drc@1(settle=2, restorations=3), "
    "flip(drc-hide(steps=2, restorations=1, share=0.5, symmetries=mirror)), rank-average(drc-latent, loss)"
)


def earlier(name: str, tmp_path: Path) -> Path:
    """A copy of a stored run, which may be written to."""
    return Path(shutil.copytree(RUNS / name, tmp_path / name))


@pytest.mark.parametrize("name", ["audit", "evaluate"])
def test_verifies(name, tmp_path):
    checks = verify(earlier(name, tmp_path))
    assert not [check for check in checks if check.ok is False]
    (page,) = [check for check in checks if check.name.startswith("the page")]
    assert page.ok or "`trainedon report` writes it anew" in page.detail


@pytest.mark.parametrize(("name", "document"), [("audit", "audit.json"), ("evaluate", "evaluation.json")])
def test_concludes_as_it_did(name, document, tmp_path):
    run = earlier(name, tmp_path)
    before = json.loads((run / document).read_text("utf-8"))
    (run / document).unlink()
    conclude(run)
    assert json.loads((run / document).read_text("utf-8")) == before


def test_a_complete_run_is_given_back_to_its_command(tmp_path):
    run = earlier("audit", tmp_path)
    before = (run / "scores.parquet").read_bytes()
    sets = (RUNS / "suspects", "--unseen", RUNS / "unseen")
    done = call("audit", model_folder(), *sets, "--attacks", ATTACKS, "--out", run, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert (run / "scores.parquet").read_bytes() == before


def test_a_stopped_run_goes_on_to_the_same_scores(tmp_path):
    run = earlier("stopped", tmp_path)
    kept = {path: pq.read_table(path) for path in (run / "shards").glob("*/*.parquet")}
    assert kept, "the stored run holds shards to go on from"
    sets = ("--members", RUNS / "members", "--unseen", RUNS / "unseen")
    done = call("sweep", model_folder(), *sets, *SWEEP, "--out", run)
    assert done.returncode == 0, done.stderr
    scores, expected = pq.read_table(run / "scores.parquet"), pq.read_table(RUNS / "stopped-scores.parquet")
    measured = ["score", "seconds"]  # another processor may round the last digits of what was left otherwise
    assert scores.drop_columns(measured).equals(expected.drop_columns(measured))
    np.testing.assert_allclose(scores["score"].to_numpy(), expected["score"].to_numpy(), rtol=1e-5, atol=1e-6)
    seconds = {value for table in kept.values() for value in table["seconds"].to_pylist()}
    assert seconds <= set(scores["seconds"].to_pylist()), "what was scored before was scored again"


def test_parameters_that_version_1_left_out_stay_left_out_in_its_runs(tmp_path):
    run = earlier("unmerged", tmp_path)
    texts = json.loads((run / "run.json").read_text("utf-8"))["choices"]["attacks"]
    shards = [pq.read_table(next(folder.glob("*.parquet"))) for folder in sorted((run / "shards").iterdir())]
    sets = (RUNS / "suspects", "--unseen", RUNS / "unseen", "--limit", "4")
    done = call("audit", model_folder(), *sets, "--attacks", LEFT_OUT, "--out", run, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    record, scores = json.loads((run / "run.json").read_text("utf-8")), pq.read_table(run / "scores.parquet")
    assert record["schema_version"] == 1 and record["identity"]["attacks"] == texts
    assert list(dict.fromkeys(scores["attack_repr"].to_pylist())) == texts
    known = [value for shard in shards[:-1] for value in shard["seconds"].to_pylist()]  # the last one learns
    assert scores["seconds"].to_pylist()[: len(known)] == known, "what was scored before was scored again"
    assert not [check for check in verify(run) if check.ok is False]


def test_another_value_of_such_a_parameter_is_another_run(tmp_path):
    run = earlier("unmerged", tmp_path)
    sets = (RUNS / "suspects", "--unseen", RUNS / "unseen", "--limit", "4")
    other = LEFT_OUT.replace("drc-latent,", "drc-latent(share=0.7),", 1)
    done = call("audit", model_folder(), *sets, "--attacks", other, "--out", run, "--device", "cpu")
    assert done.returncode == 2 and "holds a run with other choices" in done.stderr


def test_texts_of_version_1_and_of_now():
    texts = json.loads((RUNS / "unmerged" / "run.json").read_text("utf-8"))["choices"]["attacks"]
    attacks = parse_attacks(LEFT_OUT)
    assert [in_full(attack, 1) for attack in attacks] == texts
    assert [in_full(attack, 2) for attack in attacks] == [*map(repr, attacks)]
    assert all("share=" in repr(attack) and "pivot=" in repr(attack) for attack in attacks)
    assert in_full(DRC(), 1).endswith("seed=0)") and repr(DRC()).endswith("seed=0, share=1.0, settle=0.0, pivot=0.0)")


def test_a_command_that_names_a_newer_version_is_told_the_one_of_the_run(tmp_path):
    run = earlier("audit", tmp_path)
    sets = (RUNS / "suspects", "--unseen", RUNS / "unseen")
    other = ATTACKS.replace("drc@1", "drc")
    done = call("audit", model_folder(), *sets, "--attacks", other, "--out", run, "--device", "cpu")
    assert done.returncode == 2 and "drc is drc@2 now, and the run has drc@1: name that" in done.stderr


def test_a_stopped_run_has_no_page_yet(tmp_path):
    done = call("report", earlier("stopped", tmp_path))
    assert done.returncode == 2 and "is not finished: give its command again" in done.stderr
