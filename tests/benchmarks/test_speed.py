"""The measurement of speed on a tiny target: its form and its counts, never a time."""

import json
import shutil
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from diffusers import RePaintScheduler

from benchmarks import footprint, repaint, speed
from trainedon.attacks import parse_attacks
from trainedon.attacks.core import execute
from trainedon.errors import UserError
from trainedon.files import write_atomically
from trainedon.targets import load_target

KEYS = {
    "wall_over_floor",
    "evaluations_over_diffusers_default",
    "auc",
    "auc_diffusers_default",
    "peak_mib_1000",
    "peak_mib_100000",
    "two_workers_over_one",
}


@pytest.fixture
def tiny(monkeypatch):
    """A measurement of little."""
    monkeypatch.setattr(speed, "FLOOR_ROWS", 8)
    monkeypatch.setattr(speed, "SIZES", (8, 16))
    monkeypatch.setattr(repaint, "DEFAULT", repaint.Setting(4, 1, 2))
    monkeypatch.setattr(repaint, "GRID", (repaint.Setting(2, 1, 1), repaint.Setting(3, 1, 1)))


def run(target_folders, toy_pictures, out, *options):
    sources = ["--members", str(toy_pictures["members"]), "--unseen", str(toy_pictures["unseen"])]
    given = [*sources, "--out", str(out), "--rounds", "2", "--limit", "3", "--attacks", "drc-fast", *options]
    speed.main([str(target_folders["epsilon"]), *given])
    return json.loads(out.read_text("utf-8"))


@pytest.mark.slow
def test_what_is_written_and_printed(tiny, target_folders, toy_pictures, tmp_path, capsys):
    found = run(
        target_folders, toy_pictures, tmp_path / "s.json", "--skip-memory", "--skip-workers", "--diffusers", "2"
    )
    assert set(found) >= KEYS
    assert found["wall_over_floor"] > 0 and 0 <= found["auc"] <= 1
    assert found["peak_mib_1000"] is None and found["two_workers_over_one"] is None
    ours, secmi = found["attacks"]
    target = load_target(target_folders["epsilon"])
    assert ours["nfe"] == parse_attacks("drc-fast")[0].cost(target).forward and ours["n"] == [3, 3]
    assert secmi["nfe"] == 11
    assert found["diffusers"]["default"]["nfe"] > 4 and found["diffusers"]["n"] == [2, 2]
    assert found["evaluations_over_diffusers_default"] == ours["nfe"] / found["diffusers"]["default"]["nfe"]
    printed = capsys.readouterr().out
    assert "| `drc-fast` |" in printed and "RePaint: steps=4" in printed and "peak_mib_1000: not measured" in printed


@pytest.mark.slow
def test_parts_that_are_skipped_are_null(tiny, target_folders, toy_pictures, tmp_path):
    skipped = [f"--skip-{name}" for name in ("diffusers", "secmi", "memory", "workers")]
    found = run(target_folders, toy_pictures, tmp_path / "s.json", *skipped)
    assert {key for key in KEYS if found[key] is None} == KEYS - {"wall_over_floor", "auc"}
    assert len(found["attacks"]) == 1


def test_the_scores_are_those_of_the_attack(target_folders, toy_pictures):
    target = load_target(target_folders["epsilon"])
    pictures = speed.Pictures.read(target, toy_pictures["members"], toy_pictures["unseen"], 5)
    (attack,) = parse_attacks("loss")
    assert np.array_equal(
        speed.through_the_engine(target, attack, pictures.task), execute.run(attack, target, pictures.batch).scores
    )
    few, members = pictures.few(2)
    assert (len(few), members) == (4, 2) and few.sha256[2] == pictures.batch.sha256[pictures.members]


def test_repaint_of_diffusers_has_the_models_own_noise_path_and_keeps_what_is_kept(target_folders, batch_of):
    target = load_target(target_folders["epsilon"])
    expected = RePaintScheduler().betas.double()
    torch.testing.assert_close(torch.from_numpy(repaint.betas(target)).double(), expected, rtol=1e-2, atol=1e-6)
    painter, batch = repaint.RePaint(target), batch_of(2)
    painted = painter.restored(batch.pixels, repaint.Setting(5, 1, 2))
    hidden = repaint.HIDDEN.mask(batch)[:, None].expand_as(painted)
    torch.testing.assert_close(painted[~hidden], batch.pixels[~hidden], atol=1e-4, rtol=0)
    assert not torch.allclose(painted[hidden], batch.pixels[hidden], atol=1e-2)
    scores, evaluations = painter.scores(batch, repaint.Setting(5, 1, 1), rows=1)
    assert scores.shape == (2,) and evaluations == 5


@pytest.mark.parametrize("kind", ["v, zero terminal SNR", "class-conditional", "learned variance"])
def test_models_that_repaint_does_not_take_are_refused(kind, target_folders):
    with pytest.raises(UserError, match="RePaint of diffusers"):
        repaint.RePaint(load_target(target_folders[kind]))


def test_the_rate_of_workers_starts_when_each_has_done_one_shard():
    shards = [footprint.Shard(1000 + k // 2, 10) for k in range(8)]  # two at a time, a second each
    assert footprint.scoring_rate(shards, 2) == pytest.approx(60 / 3)
    with pytest.raises(UserError, match="too few"):
        footprint.scoring_rate(shards, 3)


def test_shards_are_seen_though_they_are_cleared_away(tmp_path):
    folder = tmp_path / "run" / "shards" / "00-loss"
    with footprint.watched(tmp_path / "run") as seen:
        folder.mkdir(parents=True)
        with write_atomically(folder / "a.parquet") as stream:
            pq.write_table(pa.table({"score": [0.0] * 10}), stream)
        while not seen:
            time.sleep(footprint.POLL)
        shutil.rmtree(tmp_path / "run")
    assert [shard.pictures for shard in seen.values()] == [10]


@pytest.mark.slow
def test_memory_is_that_of_a_whole_run_in_a_process_of_its_own(tmp_path):
    assert 50 < footprint.peak_mib(16, tmp_path / "16") < 5000
    assert (tmp_path / "16" / "run" / "scores.parquet").is_file()
    with pytest.raises(UserError, match="ended with 2"):
        footprint.evaluate(tmp_path / "nowhere", "--members", "x", "--unseen", "y")
