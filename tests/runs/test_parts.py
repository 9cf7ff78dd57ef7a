"""A slow model: what is done of a shard is kept by time, and not done again."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from slowly import slowly

from trainedon.attacks import parse_attacks
from trainedon.attacks.learned import quantile
from trainedon.runs import Plan, run
from trainedon.runs.scoring import unfinished as parts
from trainedon.runs.scoring.engine import Local
from trainedon.runs.scoring.unfinished import PartialShard
from trainedon.targets import load_target

ATTACKS = "drc-hide(steps=2, restorations=1, restorer=join), loss, quantile(loss)"


class Clock:
    """Seconds that pass when rows go through a network."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Killed(Exception):
    pass


def silent(what, done, total):
    pass


def slow(folder, clock, seconds=1.0):
    """The model, so many of the clock's seconds a row; with any number of threads sixteen rows are the least."""
    target = load_target(folder)

    def pass_by(_module, inputs, _output):
        clock.now += seconds * max(16, len(inputs[0]))

    target.network.register_forward_hook(pass_by)
    return target


@pytest.fixture(scope="module", autouse=True)
def hasty():
    """What quantile learns does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantile, "STEPS", 12)
        yield


@pytest.fixture(scope="module")
def plan(toy_pictures):
    sets = {"member": toy_pictures["members"], "unseen": toy_pictures["unseen"]}
    return Plan("evaluate", sets, parse_attacks(ATTACKS))


@pytest.fixture(scope="module")
def whole(target_folders, plan, tmp_path_factory):
    """The run of a quick model that nobody stopped: its folder, and what was asked of the network."""
    out = tmp_path_factory.mktemp("whole") / "run"
    target = load_target(target_folders["epsilon"])
    run(target, plan, out, silent)
    return out, target.evaluations.forward


def table(out):
    return pq.read_table(out / "scores.parquet").drop_columns(["seconds"])


def exhibits(out):
    return {path.relative_to(out): path.read_bytes() for path in out.glob("restored/*/*")}


def killed(target, plan, out, clock, after):
    """The run ends when so many files have been kept that are parts of a shard; their names."""
    names = []

    def keep(path, sent=False):
        if path.suffix == parts.SUFFIX:
            names.append(path.name)
            if len(names) == after:
                raise Killed

    with pytest.raises(Killed):
        run(target, plan, out, silent, Local(clock=clock), keep)
    return names


@pytest.mark.slow
def test_a_slow_run_that_is_killed_in_a_shard_goes_on_within_it(whole, target_folders, plan, tmp_path):
    finished, asked = whole
    out, clock, spent = tmp_path / "run", Clock(), 0
    for after in (2, 3):
        target = slow(target_folders["epsilon"], clock)
        killed(target, plan, out, clock, after)
        spent += target.evaluations.forward
    files = sorted(out.glob("shards/*/*.part"))
    assert len(files) == 5 and not list(out.glob("shards/*/*.parquet"))
    lost = len(pq.read_table(files[1])) * plan.attacks[0].cost(target).forward
    os.truncate(files[1], 50)
    target = slow(target_folders["epsilon"], clock)
    run(target, plan, out, silent, Local(clock=clock))
    assert table(out) == table(finished)
    assert exhibits(out) == exhibits(finished)
    assert spent + target.evaluations.forward == asked + lost, "what is done, and whole, is not done again"


def test_something_is_kept_about_every_interval_and_progress_moves_with_the_rows(target_folders, plan, tmp_path):
    clock, kept, told = Clock(), [], {}
    target = slow(target_folders["epsilon"], clock, 0.2)

    def progress(what, done, total):
        if total == 24 and what.startswith(("drc", "loss", "quantile")):
            told.setdefault(what, []).append((clock.now, done))

    plan = replace(plan, limit=12)
    run(target, plan, tmp_path / "run", progress, Local(clock=clock), lambda path, sent=False: kept.append(clock.now))
    assert max(np.diff([0.0, *kept])) <= 40
    assert clock.now > 40
    for told_of in told.values():
        done = [d for _, d in told_of]
        assert done == sorted(done) and done[0] == 0 and done[-1] == 24
    first = told[next(what for what in told if what.startswith("drc-hide"))]
    assert len(first) > 5 and max(np.diff([d for _, d in first])) <= 8


@pytest.mark.parametrize("model", ["stable diffusion", *slowly("epsilon")])
def test_what_a_very_slow_network_answered_is_not_asked_again(model, target_folders, toy_pictures, tmp_path):
    """Eight rows take minutes here, and the process dies between two of the passes that one chunk of pictures needs."""
    captioned = shutil.copytree(toy_pictures["members"], tmp_path / "pictures")
    for number, path in enumerate(sorted(captioned.glob("*.png"))):
        path.with_suffix(".txt").write_text(f"picture {number % 5}")
    sets = {"member": captioned, "unseen": toy_pictures["unseen"]}
    plan = Plan("evaluate", sets, parse_attacks("loss(draws=4)"), limit=8, controls=False)
    out, clock, asked = tmp_path / "run", Clock(), []

    def watched(dies_at=None):
        target = slow(target_folders[model], clock, 10.0)

        def count(_module, _inputs):
            if len(asked) == dies_at:
                raise Killed
            asked.append(clock.now)

        target.network.register_forward_pre_hook(count)
        return target

    run(watched(), plan, tmp_path / "whole", silent, Local(clock=clock))
    due = len(asked)
    asked.clear()
    for dies_at in (3, 5):
        with pytest.raises(Killed):
            run(watched(dies_at), plan, out, silent, Local(clock=clock))
    (journal,) = out.glob("shards/*.answers")
    with journal.open("ab") as stream:
        stream.write(b"cut short")
    target = watched()
    run(target, plan, out, silent, Local(clock=clock))
    assert due == 8 and len(asked) == due
    assert table(out) == table(tmp_path / "whole")
    assert not (out / "shards").exists()


def test_a_quick_run_writes_whole_shards_alone(target_folders, plan, tmp_path):
    kept = []
    plan = replace(plan, limit=2, attacks=parse_attacks("loss"))
    run(
        load_target(target_folders["epsilon"]),
        plan,
        tmp_path / "run",
        silent,
        Local(interval=1e6),
        lambda path, sent=False: kept.append(path),
    )
    assert not [path for path in kept if path.suffix == parts.SUFFIX]


@pytest.mark.parametrize("answers", [np.array([0.1, np.nan, -np.inf]), np.array([[1 / 3, 2.0]] * 3)])
def test_a_part_is_read_as_it_was_written(answers, tmp_path):
    part = PartialShard((4, 2, 7), answers, 123, 1 / 7)
    part.save(tmp_path, "name")
    (back,) = parts.load(tmp_path, "name", 8)
    assert (back.places, back.forward, back.seconds) == (part.places, part.forward, part.seconds)
    assert np.array_equal(back.answers, answers, equal_nan=True)
    PartialShard((7,), answers[:1], 1, 1.0).save(tmp_path, "name")
    assert len(parts.load(tmp_path, "name", 8)) == 1, "of two files with one row the later goes"
    assert not parts.load(tmp_path, "name", 7), "a place that the shard does not have"
    assert not list(tmp_path.iterdir())
