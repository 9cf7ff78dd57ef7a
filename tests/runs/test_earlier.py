"""Runs that version 0.1.0 wrote, as it left them: they verify, conclude and go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commandline import call

from trainedon.demo.demo import model_folder
from trainedon.runs.run import conclude
from trainedon.runs.verify import verify

RUNS = Path(__file__).parents[1] / "data" / "runs"
SWEEP = (
    *("--limit", "6", "--device", "cpu", "--attack", "drc(restorations=1,degradation=diffuse:100)"),
    *("--vary", "symmetries=none,mirror,all", "--vary", "roi=full,center:0.25,inverted(center:0.25)"),
)
ATTACKS = (
    "drc-hide(steps=3, restorations=1), drc(settle=2, restorations=4), drc-fast(restorations=2), loss(t=100), "
    "fremia(pia), repeat(loss, n=2)"
)


def earlier(name: str, tmp_path: Path) -> Path:
    """A copy of a stored run, which may be written to."""
    return Path(shutil.copytree(RUNS / name, tmp_path / name))


@pytest.mark.parametrize("name", ["audit", "evaluate"])
def test_verifies(name, tmp_path):
    failed = [check for check in verify(earlier(name, tmp_path)) if not check.ok]
    assert not failed


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
    np.testing.assert_allclose(scores["score"].to_numpy(), expected["score"].to_numpy(), rtol=1e-5)
    seconds = {value for table in kept.values() for value in table["seconds"].to_pylist()}
    assert seconds <= set(scores["seconds"].to_pylist()), "what was scored before was scored again"
