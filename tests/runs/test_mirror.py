"""A run folder in a store: the same files, and any machine goes on with it."""

import shutil

import fsspec
import pyarrow.parquet as pq
import pytest

from trainedon import run_files
from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.runs import Plan, run
from trainedon.runs.mirror import Mirror
from trainedon.targets import load_target

URL = "memory://bucket/audits/one"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store's files, and an empty place for working copies."""
    monkeypatch.setenv("TRAINEDON_CACHE", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()


@pytest.fixture
def plan(toy_pictures):
    sets = {"member": toy_pictures["members"], "unseen": toy_pictures["unseen"]}
    return Plan("evaluate", sets, parse_attacks("drc-hide(steps=2, restorations=1), loss"), limit=12)


def silent(what, done, total):
    pass


def table(source):
    return pq.read_table(source).drop_columns(["seconds"]).to_pylist()


def worked(place, target, plan, progress=silent):
    place.fetch()
    run(target, plan, place.path, progress, keep=place.keep)
    place.finish()


def names(files):
    return {path.removeprefix("/bucket/audits/one/") for path in files.find("/bucket/audits/one")}


def test_the_store_holds_what_the_folder_would(store, plan, target_folders, tmp_path):
    target = load_target(target_folders["epsilon"])
    run(target, plan, tmp_path / "here", silent)
    worked(Mirror.of(URL), target, plan)
    here = {p.relative_to(tmp_path / "here").as_posix() for p in (tmp_path / "here").rglob("*") if p.is_file()}
    assert names(store) == here - {".lock"}
    with store.open("/bucket/audits/one/scores.parquet") as stream:
        assert table(stream) == table(tmp_path / "here" / "scores.parquet")


@pytest.mark.slow
def test_another_machine_goes_on_where_one_stopped(store, plan, target_folders, tmp_path, monkeypatch):
    monkeypatch.setattr("trainedon.runs.scoring.engine.SHARD", 6)
    target, first = load_target(target_folders["epsilon"]), Mirror.of(URL)

    class Stop(Exception):
        pass

    def stopping(what, done, total):
        if what == "loss" and done == 12:
            raise Stop

    with pytest.raises(Stop):
        worked(first, target, plan, stopping)
    there = names(store)
    assert len([name for name in there if name.startswith("shards/")]) == 4 and "run.json" in there
    shutil.rmtree(first.path)  # another machine has no copy
    done = []
    worked(Mirror.of(URL), target, plan, lambda what, n, total: done.append((what, n)))
    assert ("loss", 12) in done and ("loss", 6) not in done  # what was finished is not done again
    run(target, plan, tmp_path / "here", silent)
    with store.open("/bucket/audits/one/scores.parquet") as stream:
        assert table(stream) == table(tmp_path / "here" / "scores.parquet")
    assert not any(name.startswith("shards/") for name in names(store))
    assert {n for n in names(store) if n.startswith("restored/")} == {
        path.relative_to(tmp_path / "here").as_posix() for path in (tmp_path / "here").rglob("restored/*/*")
    }


def test_what_the_store_holds_is_not_overwritten_by_another_run(store, plan, target_folders):
    worked(Mirror.of(URL), load_target(target_folders["epsilon"]), plan)
    before = store.cat_file("/bucket/audits/one/run.json")
    with pytest.raises(UserError, match="other choices"):
        worked(Mirror.of(URL), load_target(target_folders["sample, cosine betas"]), plan)
    assert store.cat_file("/bucket/audits/one/run.json") == before


def test_every_file_of_a_run_folder_is_fetched_and_sent(store):
    due = {name for name in run_files.ALL if name != run_files.LOCK} | {"shards/loss/0.parquet", "restored/a/x.png"}
    for name in due:
        store.pipe(f"/bucket/audits/one/{name}", name.encode())
    place = Mirror.of(URL)
    place.fetch()
    assert {path.relative_to(place.path).as_posix() for path in place.path.rglob("*") if path.is_file()} == due
    store.rm("/bucket/audits/one", recursive=True)
    sent = Mirror.of(URL)
    sent.finish()
    assert names(store) == due


def test_a_local_path_is_its_own_copy(tmp_path):
    place = Mirror.of(str(tmp_path / "run"))
    place.fetch()
    place.finish()
    assert place.path == tmp_path / "run" and not place.path.exists() and str(place) == str(tmp_path / "run")


def test_a_store_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINEDON_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="nothing://there"):
        Mirror.of("nothing://there/run").fetch()


@pytest.mark.parametrize("key", ["/abs/path", "../../outside", "shards/../../outside", "shards/..\\x/y", "notes.txt"])
def test_a_strangers_folder_in_a_store_is_refused_before_it_is_fetched(store, key, tmp_path):
    store.pipe(f"/bucket/audits/one/{key}", b"x")
    with pytest.raises(UserError, match="is not empty and is no run folder"):
        Mirror.of(URL).fetch()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_is_not_ours_is_neither_fetched_nor_removed(store, plan, target_folders, tmp_path):
    target = load_target(target_folders["epsilon"])
    worked(Mirror.of(URL), target, plan)
    strange = ["/bucket/audits/one//abs/path", "/bucket/audits/one/../outside", "/bucket/audits/one/notes.txt"]
    for key in strange:
        store.store[key] = store.store["/bucket/audits/one/run.json"]
    shutil.rmtree(tmp_path / "cache")
    place = Mirror.of(URL)
    worked(place, target, plan)
    assert all(key in store.store for key in strange)
    inside = {path.relative_to(place.path).as_posix() for path in place.path.rglob("*") if path.is_file()}
    assert "notes.txt" not in inside and not any("outside" in name or "abs" in name for name in inside)
    assert not list((tmp_path / "cache").rglob("outside"))
