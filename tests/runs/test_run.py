"""The run folder: contents, resume, refusals."""

import json
import os
import shutil
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from forked import UNENDING, Forked
from PIL import Image

from trainedon.attacks import parse_attacks
from trainedon.attacks.drc import drc_paint_2
from trainedon.errors import UserError
from trainedon.pictures import Batch, load_pictures
from trainedon.runs import Plan, conclude, run
from trainedon.targets import load_target
from trainedon.targets.core.row_memory import Memory
from trainedon.targets.networks.footprint import footprint

ATTACKS = "drc-hide(steps=2), loss"
DRC = parse_attacks("drc@2(restorations=1)")
COLUMNS = ["picture", "sha256", "set", "attack", "attack_repr", "score", "reason", "nfe", "seconds"]


def silent(what, done, total):
    pass


def table(out):
    """The scores without the one column that is a measurement of time."""
    return pq.read_table(out / "scores.parquet").drop_columns(["seconds"]).to_pylist()


def evidence_pictures(out):
    return {path.relative_to(out): path.read_bytes() for path in out.glob("restored/*/*")}


def evaluation(toy_pictures, attacks=ATTACKS, **changes):
    sets = {"member": toy_pictures["members"], "unseen": toy_pictures["unseen"]}
    return Plan(**{"kind": "evaluate", "sets": sets, "attacks": parse_attacks(attacks)} | changes)


@pytest.fixture(scope="module")
def model(target_folders):
    return target_folders["epsilon"]


@pytest.fixture(scope="module")
def finished(model, toy_pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    run(load_target(model), evaluation(toy_pictures), out, silent)
    return out


def test_an_evaluation_leaves_what_the_design_promises(finished):
    left = {"run.json", "pictures.parquet", "looks.parquet", "scores.parquet", "evaluation.json", "report.html"}
    left |= {"scores.csv", "most-exposed.csv", "restored", ".lock"}
    assert {path.name for path in finished.iterdir()} == left
    record = json.loads((finished / "run.json").read_text())
    assert record["status"] == "complete" and record["finished"] and record["model"]["parameters"] > 0
    scores = pq.read_table(finished / "scores.parquet")
    assert scores.column_names == COLUMNS
    assert len(scores) == 2 * 48
    rows = scores.to_pylist()
    assert {row["set"] for row in rows} == {"member", "unseen"}
    assert [row["attack"] for row in rows] == ["drc-hide"] * 48 + ["loss"] * 48
    assert all(row["score"] is not None and row["reason"] is None for row in rows)
    assert {row["nfe"] for row in rows if row["attack"] == "loss"} == {1}
    document = json.loads((finished / "evaluation.json").read_text())
    assert [attack["name"] for attack in document["attacks"]] == ["drc-hide", "loss"]
    assert {path.name for path in next((finished / "restored").iterdir()).iterdir()} >= {
        *("original.png", "region.png", "degraded.png", "restored-1.png", "restored-2.png", "difference.png"),
        "evidence.json",
    }


def test_the_same_plan_gives_the_same_table_in_another_folder_and_batch_size(finished, model, toy_pictures, tmp_path):
    run(load_target(model, rows=8), evaluation(toy_pictures), tmp_path / "again", silent)
    assert table(tmp_path / "again") == table(finished)


def test_a_finished_run_is_not_done_again(finished, model, toy_pictures):
    before = (finished / "scores.parquet").stat().st_mtime_ns
    target = load_target(model)
    run(target, evaluation(toy_pictures), finished, silent)
    assert (finished / "scores.parquet").stat().st_mtime_ns == before
    assert target.evaluations.forward == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": "loss"}, r"other choices.*attacks"),
        ({"attacks": ATTACKS, "limit": 5}, r"other choices.*pictures"),
    ],
)
def test_other_choices_are_refused_and_nothing_is_overwritten(finished, model, toy_pictures, changes, message):
    before, told = {path: path.stat().st_mtime_ns for path in finished.glob("*.*")}, []
    with pytest.raises(UserError, match=message):
        run(load_target(model), evaluation(toy_pictures, **changes), finished, lambda *what: told.append(what))
    assert bool(told) == ("limit" in changes), "what is known before is refused before a picture is read"
    assert {path: path.stat().st_mtime_ns for path in finished.glob("*.*")} == before


def test_another_model_is_refused_before_a_picture_is_read(finished, target_folders, toy_pictures):
    told = []
    with pytest.raises(UserError, match=r"other choices.*model"):
        run(
            load_target(target_folders["learned variance"]),
            evaluation(toy_pictures),
            finished,
            lambda *what: told.append(what),
        )
    assert not told


def test_a_folder_of_other_things_is_refused(model, toy_pictures, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=r"not empty and is no run folder \(it holds letter.txt\)"):
        run(load_target(model), evaluation(toy_pictures), tmp_path, silent)


def test_statistics_and_page_come_back_from_the_scores_alone(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "evaluation.json").unlink()
    (copy / "report.html").unlink()
    conclude(copy)
    assert (copy / "evaluation.json").read_text() == (finished / "evaluation.json").read_text()
    assert (copy / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_a_run_that_is_interrupted_anywhere_ends_with_the_same_table(
    finished, model, toy_pictures, tmp_path, monkeypatch
):
    """An exception at every moment at which progress is told, each time gone on with."""
    monkeypatch.setattr("trainedon.runs.scoring.engine.SHARD", 24)
    whole = tmp_path / "whole"
    run(load_target(model), evaluation(toy_pictures), whole, silent)
    assert table(whole) == table(finished)

    class Stop(Exception):
        pass

    def stopping(what, done, total):
        within = isinstance(done, float)  # a shard, where one takes long: `test_parts` stops there
        if not within and not what.startswith("reading") and not (tmp_path / f"{what}{done}").exists():
            (tmp_path / f"{what}{done}").touch()
            raise Stop

    out, stops = tmp_path / "stopped", 0
    while True:
        try:
            run(load_target(model), evaluation(toy_pictures), out, stopping)
            break
        except Stop:
            stops += 1
    # three batches that the encoder looks at, the two attacks at their start, four shards, before and after the page
    assert stops == 11
    assert table(out) == table(whole)
    assert evidence_pictures(out) == evidence_pictures(whole)


def test_an_attack_that_learns_scores_in_a_run_as_it_does_in_python(model, toy_pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("trainedon.attacks.learned.quantile.STEPS", 12)
    run(load_target(model), evaluation(toy_pictures, "logistic(loss, pia), quantile"), tmp_path / "run", silent)
    rows, target = table(tmp_path / "run"), load_target(model)
    batches = [load_pictures(toy_pictures[name], target) for name in ("members", "unseen")]
    batch = Batch(torch.cat([b.pixels for b in batches]), batches[0].sha256 + batches[1].sha256)
    for attack in parse_attacks("logistic(loss, pia), quantile"):
        scores = attack.score(target, batch, ["member"] * 24 + ["unseen"] * 24)
        assert [row["score"] for row in rows if row["attack"] == attack.name] == scores.tolist()


@pytest.fixture
def command(model, toy_pictures, tmp_path):
    """command(before="") begins `evaluate` with small shards, after some code; and its run folder."""
    out = tmp_path / "run"
    arguments = ["evaluate", model, "--members", toy_pictures["members"], "--unseen", toy_pictures["unseen"]]
    arguments += ["--attacks", ATTACKS, "--out", out, "--device", "cpu"]
    code = "import trainedon.runs.scoring.engine as e; e.SHARD = 4; from trainedon.cli import main; main()"
    return lambda before="": Forked(before + code, arguments, tmp_path), out


@pytest.mark.slow
def test_killed_at_any_moment_cut_short_and_run_again(finished, command):
    start, out = command
    rng = np.random.default_rng()  # other moments every time
    for left in (1, int(rng.integers(2, 12)), 12):
        process = start(UNENDING)
        process.until(lambda left=left: len(list(out.glob("shards/*/*.parquet"))) >= left)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        assert not (out / "scores.parquet").exists()
        shard = next(out.glob("shards/*/*.parquet"))
        os.truncate(shard, int(rng.integers(shard.stat().st_size)))  # as a copy or a failing disk leaves it
    again = start().end()
    assert again.returncode == 0, again.stderr
    assert table(out) == table(finished)
    assert evidence_pictures(out) == evidence_pictures(finished)
    assert "drc" in again.stdout and "AUC" in again.stdout


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_same_command_goes_on(finished, command):
    """A limit on the size of files, below that of the table of scores, stands for the disk."""
    start, out = command
    limit = 8000
    assert (finished / "pictures.parquet").stat().st_size > limit
    small = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({limit}, r.RLIM_INFINITY));"
    full = start(small).end()
    assert full.returncode == 2 and "no room left" in full.stderr and "Traceback" not in full.stderr, full.stderr
    assert not list(out.rglob(".*.tmp"))
    again = start().end()
    assert again.returncode == 0, again.stderr
    assert table(out) == table(finished)


def test_bad_pictures_are_named_excluded_and_counted(model, toy_pictures, tmp_path):
    folder = tmp_path / "suspects"
    shutil.copytree(toy_pictures["members"], folder)
    shutil.copy(folder / "00.png", folder / "copy.png")
    (folder / "broken.png").write_bytes((folder / "01.png").read_bytes()[:60])
    shutil.copy(folder / "02.png", toy_pictures["unseen"] / "zz-known.png")
    try:
        sets = {"suspect": folder, "unseen": toy_pictures["unseen"]}
        plan = Plan(kind="audit", sets=sets, attacks=parse_attacks("loss"), truth={"00.png": True})
        document = run(load_target(model), plan, tmp_path / "run", silent)
    finally:
        (toy_pictures["unseen"] / "zz-known.png").unlink()
    rows = {row["picture"]: row for row in table(tmp_path / "run")}
    assert rows["copy.png"]["reason"] == "exact duplicate of 00.png" and rows["copy.png"]["score"] is None
    assert rows["broken.png"]["reason"] and rows["broken.png"]["score"] is None
    assert rows["zz-known.png"]["reason"] == "also among the suspects"
    assert len(document.pictures) == 26 and sum(row.score is not None for row in document.pictures) == 24
    assert json.loads((tmp_path / "run" / "audit.json").read_text())["claim"]["level"] in (1, 2)
    assert json.loads((tmp_path / "run" / "truth.json").read_text()) == {"00.png": True}


def test_without_unseen_pictures_there_is_no_more_than_scores(model, toy_pictures, tmp_path):
    plan = Plan(kind="audit", sets={"suspect": toy_pictures["members"]}, attacks=parse_attacks("loss"), limit=5)
    document = run(load_target(model), plan, tmp_path / "run", silent)
    assert document.claim.level == 1
    assert len(document.pictures) == 5 and all(row.p_value is None for row in document.pictures)


def test_classes_are_inferred_where_pictures_have_none_and_the_run_says_so(target_folders, toy_pictures, tmp_path):
    out = tmp_path / "run"
    target = load_target(target_folders["class-conditional"])
    run(target, evaluation(toy_pictures, "loss", limit=6), out, silent)
    labels = {row["label"] for row in pq.read_table(out / "pictures.parquet").to_pylist()}
    assert labels <= {0, 1, 2}
    (note,) = json.loads((out / "run.json").read_text())["notes"]
    assert note.startswith("12 pictures came without a class label")


def test_masks_from_a_folder_are_found_by_the_pictures_names(model, toy_pictures, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in range(3):
        mask = np.zeros((16, 16), np.uint8)
        mask[number : number + 5, 2:9] = 255
        Image.fromarray(mask).save(masks / f"{number:02d}.png")
    out = tmp_path / "run"
    attacks = parse_attacks(f"drc-hide(roi=masks:{masks}, steps=2, restorations=1)")
    sets = {"suspect": toy_pictures["members"]}
    run(load_target(model), Plan(kind="audit", sets=sets, attacks=attacks, limit=3), out, silent)
    shown = {}
    for path in out.glob("restored/*/evidence.json"):
        name = json.loads(path.read_text())["picture"]
        shown[name] = np.asarray(Image.open(path.with_name("region.png")).convert("L"))
    assert len(shown) == 3
    for name, region in shown.items():
        assert np.array_equal(region, np.asarray(Image.open(masks / name)))


def test_of_an_attack_that_noises_the_picture_a_hidden_centre_is_shown(model, toy_pictures, tmp_path):
    out, sets = tmp_path / "run", {"suspect": toy_pictures["members"]}
    run(load_target(model), Plan(kind="audit", sets=sets, attacks=parse_attacks("drc-fast"), limit=3), out, silent)
    rows = {row["picture"]: row for row in pq.read_table(out / "scores.parquet").to_pylist()}
    told = {path: json.loads(path.read_text()) for path in out.glob("restored/*/evidence.json")}
    assert {one["picture"] for one in told.values()} == {*rows} and len(rows) == 3
    for path, one in told.items():
        assert (one["attack"], one["score"]) == ("drc-fast", rows[one["picture"]]["score"])
        assert one["mosaic"] and not path.with_name("region.png").exists()
        original, tiles = (
            np.asarray(Image.open(path.with_name(f"{name}.png")).convert("RGB"), float)
            for name in ("original", "degraded")
        )
        means = original.reshape(8, 2, 8, 2, 3).mean((1, 3)).repeat(2, 0).repeat(2, 1)
        assert np.abs(means - tiles).max() <= 1
    assert {row["nfe"] for row in rows.values()} == {48}, "passes for the eye are not counted"


def test_without_room_to_paint_the_run_ends_all_the_same(model, toy_pictures, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(drc_paint_2, "paintable", lambda _target: False)  # so that gradients are taken
    out, target = tmp_path / "run", load_target(model)
    back = footprint(target, gradients=True).back
    monkeypatch.setattr(Memory, "of", lambda _device: Memory(back.bytes(1) - 1, 1.0))
    run(target, Plan(kind="audit", sets={"suspect": toy_pictures["members"]}, attacks=DRC, limit=3), out, silent)
    assert "no pictures are painted for the page: " in caplog.text
    assert len(table(out)) == 3 and not [*out.glob("restored/*")]
    assert json.loads((out / "run.json").read_text())["status"] == "complete"
