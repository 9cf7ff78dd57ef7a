"""Shards scored by Ray workers: the same table, whoever dies."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from forked import UNENDING
from PIL import Image

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.pictures import scan, take_inventory
from trainedon.pictures.examining import CHUNK
from trainedon.runs import Plan, run
from trainedon.runs.mirror import Mirror
from trainedon.runs.scoring import cluster
from trainedon.runs.scoring.actors import AHEAD, ActorPool
from trainedon.runs.scoring.cluster import Cluster
from trainedon.runs.scoring.scorer import Task
from trainedon.runs.scoring.shared_shards import SharedShards
from trainedon.targets import load_target

pytest.importorskip("ray", reason="needs Ray: pip install 'trainedon[ray]'")
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="this Ray starts no clusters for tests")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray warns of itself
ATTACKS = "drc-fast, loss, quantile(loss)"
CODE = "import trainedon.runs.scoring.engine as e; e.SHARD = 4; from trainedon.cli import main; main()"
SHARDS = 36
WORKER = b"ray::_Worker"


def silent(what, done, total):
    pass


def table(out):
    """The scores without the one column that is a measurement of time."""
    return pq.read_table(out / "scores.parquet").drop_columns(["seconds"]).to_pylist()


@pytest.fixture(scope="module")
def model(target_folders):
    return target_folders["epsilon"]


@pytest.fixture(scope="module")
def sets(toy_pictures):
    return {"member": toy_pictures["members"], "unseen": toy_pictures["unseen"]}


@pytest.fixture(scope="module")
def local(model, sets, tmp_path_factory):
    """The run as this process does it."""
    out = tmp_path_factory.mktemp("local") / "run"
    run(load_target(model), Plan("evaluate", sets, parse_attacks(ATTACKS)), out, silent)
    return out


@pytest.fixture(scope="module")
def nodes():
    """A real cluster of two nodes on loopback, one core each."""
    both = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    both.add_node(num_cpus=1)
    yield both
    both.shutdown()


def workers(address: str) -> list[int]:
    """Processes that are actors of this cluster now, and of no other that runs beside it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(WORKER) and address.encode() in _parent(path.parent).read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def _parent(process: Path) -> Path:
    number = (process / "stat").read_text().rpartition(")")[2].split()[1]
    return process.parent / number / "cmdline"


def until(true, process):
    while not true():
        assert process.poll() is None, "it ended too soon"
        time.sleep(0.02)


def test_a_worker_and_the_driver_are_killed_and_every_picture_is_there_once(local, model, sets, nodes, tmp_path):
    out = tmp_path / "run"
    arguments = ["evaluate", model, "--members", sets["member"], "--unseen", sets["unseen"], "--attacks", ATTACKS]
    arguments += ["--device", "cpu", "--out", out, "--engine", "ray", "--address", nodes.address]
    line = [sys.executable, "-c", CODE, *map(str, arguments)]
    killed = [*line[:2], UNENDING + CODE, *line[3:]]  # it does not end before, however late that is

    def done():
        return len(list(out.glob("shards/*/*.parquet")))

    driver = subprocess.Popen(killed, stderr=subprocess.DEVNULL)
    until(lambda: done() >= 2 and workers(nodes.address), driver)
    victim = workers(nodes.address)[0]
    os.kill(victim, signal.SIGKILL)
    before = done()
    until(lambda: done() > before or done() == SHARDS, driver)
    driver.kill()
    driver.wait()
    assert not (out / "scores.parquet").exists()
    for shard in sorted(out.glob("shards/*/*.parquet"))[SHARDS // 2 :]:
        shard.unlink()  # something is left to do, also where a slow machine saw all of it done
    again = subprocess.run(line, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    rows = table(out)
    assert rows == table(local)
    names = [(row["attack"], row["set"], row["picture"]) for row in rows]
    assert len(names) == len(set(names)) == 3 * 48
    pictures = {path.relative_to(local): path.read_bytes() for path in local.glob("restored/*/*")}
    assert {path.relative_to(out): path.read_bytes() for path in out.glob("restored/*/*")} == pictures


@pytest.fixture
def told(monkeypatch):
    """What workers tell of shards: the attack, whether the rows came along, and whether they are in the store."""
    heard, checked = set(), SharedShards.check

    def check(self, found, attacks):
        if found.rows:
            heard.add((found.number, found.table is not None, found.sent))
        checked(self, found, attacks)

    monkeypatch.setattr(SharedShards, "check", check)
    return heard


def test_workers_write_what_they_scored_where_they_find_the_run_folder(local, model, sets, nodes, tmp_path, told):
    plan = Plan("evaluate", sets, parse_attacks(ATTACKS))
    run(load_target(model), plan, tmp_path / "run", silent, Cluster(str(model), address=nodes.address))
    assert told == {(0, True, False), (1, False, False), (2, False, False)}, "the first has pictures to show"
    assert table(tmp_path / "run") == table(local)


def test_workers_that_find_another_folder_there_hand_their_shards_over(
    local, model, sets, nodes, tmp_path, told, monkeypatch
):
    monkeypatch.setattr(SharedShards, "_write_token", lambda self: None)  # as on a machine with a disk of its own
    plan = Plan("evaluate", sets, parse_attacks(ATTACKS))
    run(load_target(model), plan, tmp_path / "run", silent, Cluster(str(model), address=nodes.address))
    assert told == {(number, True, False) for number in range(3)} and table(tmp_path / "run") == table(local)


def test_workers_put_what_they_scored_into_the_store_of_the_run(local, model, sets, s3, tmp_path, told, monkeypatch):
    monkeypatch.setenv("TRAINEDON_CACHE", str(tmp_path / "cache"))
    place, sent = Mirror.of("s3://bucket/audits/cluster"), set()

    def keep(path, by_worker=False):
        if path.parent.parent.name == "shards":
            sent.add((path.parent.name[:2], by_worker))
        place.keep(path, by_worker)

    plan = Plan("evaluate", sets, parse_attacks(ATTACKS))
    engine = Cluster(str(model), workers=1, store=place.url)  # begun here: it has the keys of this process
    run(load_target(model), plan, place.path, silent, engine, keep)
    assert told == {(0, True, False), (1, True, True), (2, True, True)} and table(place.path) == table(local)
    assert sent == {("00", False), ("01", True), ("02", True)}


def test_a_cluster_takes_the_inventory_as_this_process_does(sets, nodes, model, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)
    (tmp_path / "pictures").mkdir()
    for k, path in enumerate(sorted(Path(sets["member"]).rglob("*.png"))):
        shutil.copy(path, tmp_path / "pictures" / f"{k}.png")
        shutil.copy(path, tmp_path / "pictures" / f"{k} again.png")
    (tmp_path / "pictures" / "nowhere.png").symlink_to(tmp_path / "nothing")
    engine = Cluster(str(model), address=nodes.address)
    found = take_inventory(scan(tmp_path / "pictures"), "suspect", examiners=engine)
    assert found == take_inventory(scan(tmp_path / "pictures"), "suspect") and len(found) > 2 * CHUNK


def test_pictures_out_of_the_workers_reach_are_told(nodes, model, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "pictures").mkdir()
    for k in range(2 * CHUNK):
        Image.new("RGB", (8, 8), (k, 0, 0)).save(here / "pictures" / f"{k:03d}.png")
    elsewhere = SimpleNamespace(cwd=lambda: tmp_path)  # as on a machine that has other files
    monkeypatch.setattr(cluster, "Path", elsewhere)
    with pytest.raises(UserError, match=r"016\.png can be read here and not by a worker .*same path"):
        take_inventory(scan("pictures"), "suspect", examiners=Cluster(str(model), address=nodes.address))


def test_a_shard_that_ends_every_worker_is_given_up(nodes):
    class Dying:
        def ready(self):
            pass

        def score(self, task):
            os._exit(1)

    with cluster._connected(nodes.address, None) as ray:
        actor = ray.remote(num_cpus=1)(Dying)
        with pytest.raises(UserError, match=r"workers end again and again .*the same command goes on"):
            [*ActorPool(ray, actor.remote, 2).stream([Task("one", (), (), ())])]


def test_no_more_shards_are_taken_than_workers_have_before_them(nodes):
    taken = []

    class Quick:
        def ready(self):
            pass

        def score(self, task):
            return pickle.loads(task).name.encode()  # noqa: S301

    def tasks():
        for k in range(40):
            taken.append(k)
            yield Task(str(k), (), (), ())

    with cluster._connected(nodes.address, None) as ray:
        found = []
        for answer in ActorPool(ray, ray.remote(num_cpus=1)(Quick).remote, 2).stream(tasks()):
            found.append(int(answer))
            assert len(taken) - len(found) <= 2 * AHEAD
    assert sorted(found) == [*range(40)]


def test_what_a_worker_finds_wrong_is_said_as_by_this_process(model, sets, nodes, tmp_path, target_folders):
    plan = Plan("evaluate", sets, parse_attacks("loss"))
    engine = Cluster(str(target_folders["v, zero terminal SNR"]), address=nodes.address)
    with pytest.raises(UserError, match="not the same model on every machine"):
        run(load_target(model), plan, tmp_path / "run", silent, engine)


def test_a_cluster_that_does_not_answer_is_named(model, sets, tmp_path):
    with pytest.raises(UserError, match=r"no cluster answers at 127\.0\.0\.1:1 .*check --address"):
        run(
            load_target(model),
            Plan("evaluate", sets, parse_attacks("loss")),
            tmp_path / "run",
            silent,
            Cluster(str(model), address="127.0.0.1:1"),
        )
