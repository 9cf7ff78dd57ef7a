"""What workers write into the run's folder themselves, and when that is believed; without a cluster."""

from dataclasses import replace

import fsspec
import pyarrow.parquet as pq
import pytest

from trainedon import run_files
from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.pictures.places import stores
from trainedon.runs import Plan, run
from trainedon.runs.mirror import Mirror
from trainedon.runs.scoring import shared_shards
from trainedon.runs.scoring.engine import Local
from trainedon.runs.scoring.shared_shards import SharedShards
from trainedon.targets import load_target


def silent(what, done, total):
    pass


class Elsewhere(Local):
    """As a cluster whose workers find the run folder, or what stands for it in a store."""

    def __init__(self, store=None):
        self.store, self.told = store, []

    def score(self, target, attacks, tasks, selection, progress):
        tasks = list(tasks)
        with SharedShards.offered(tasks[0].shards, self.store) as shared:
            assert shared.is_found() and not replace(shared, token="another's").is_found()
            for found in super().score(target, attacks, tasks, selection, progress):
                told = shared.written(found, attacks)
                shared.check(told, attacks)
                self.told.append(told)
                yield told


@pytest.fixture
def plan(toy_pictures):
    sets = {"member": toy_pictures["members"], "unseen": toy_pictures["unseen"]}
    return Plan("evaluate", sets, parse_attacks("loss, quantile(loss)"), limit=6, controls=False)


def table(place):
    return pq.read_table(place / "scores.parquet").drop_columns(["seconds"]).to_pylist()


def test_what_workers_write_is_the_table_that_this_process_makes(plan, target_folders, tmp_path):
    target, engine = load_target(target_folders["epsilon"]), Elsewhere()
    run(target, plan, tmp_path / "here", silent)
    run(target, plan, tmp_path / "there", silent, engine)
    assert table(tmp_path / "there") == table(tmp_path / "here")
    assert [(told.table, told.rows) for told in engine.told] == [(None, 12)] * 2
    assert not (tmp_path / "there" / run_files.SHARDS).exists()


def test_in_a_store_a_shard_is_put_by_the_worker_and_not_again(plan, target_folders, tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINEDON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(stores._PACKAGES, "memory", "")  # as a store that every machine sees
    url, put = "memory://bucket/shared", []
    target, engine, place = load_target(target_folders["epsilon"]), Elsewhere(url), Mirror.of(url)
    files = fsspec.filesystem("memory")
    monkeypatch.setattr(type(files), "put_file", lambda self, here, there, **_: put.append(there))
    run(target, plan, place.path, silent, engine, place.keep)
    shards = files.find("/bucket/shared/shards")
    assert len(shards) == 2 and not any("/shards/" in name for name in put)
    assert [told.sent for told in engine.told] == [True, True]
    files.store.clear()


def test_a_token_that_another_run_took_away_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(stores._PACKAGES, "memory", "")
    files = fsspec.filesystem("memory")
    with SharedShards.offered(tmp_path, "memory://bucket/twice") as shared:
        assert shared.is_found()
        files.rm_file("/bucket/twice/shards/.shared")
        assert not shared.is_found()
    files.store.clear()


def test_a_shard_that_a_worker_tells_of_must_be_there(plan, target_folders, tmp_path, monkeypatch):
    monkeypatch.setattr(shared_shards, "PATIENCE", 0.0)
    with SharedShards.offered(tmp_path, None) as shared:
        found = shared_shards.Finished("a" * 32, 0, rows=3)
        with pytest.raises(UserError, match=r"a{32}\.parquet, which a worker has written, cannot be read here"):
            shared.check(found, plan.attacks)
        there = shared_shards.shard_path(tmp_path, 0, plan.attacks[0], "a" * 32)
        there.parent.mkdir()
        there.write_bytes(b"PAR1 half of")
        with pytest.raises(UserError, match="cannot be read here"):
            shared.check(found, plan.attacks)
    assert not (tmp_path / run_files.SHARED).exists()


def test_what_no_other_process_finds_is_offered_to_none(tmp_path):
    for folder, store in ((None, None), (tmp_path, "memory://bucket/run")):
        with SharedShards.offered(folder, store) as shared:
            assert shared is None
