"""Shards scored by Ray workers: the same table, whoever dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.runs import Plan, run
from trainedon.runs.scoring.cluster import Cluster
from trainedon.targets import load_target

pytest.importorskip("ray", reason="needs Ray: pip install 'trainedon[ray]'")
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="this Ray starts no clusters for tests")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray warns of itself
ATTACKS = "drc-fast, loss, quantile(loss)"
CODE = "import trainedon.runs.scoring.engine as e; e.SHARD = 4; from trainedon.cli import main; main()"
WORKER = b"ray::MapWorker"


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
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def workers() -> list[int]:
    """Processes that are actors of Ray Data now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(WORKER):
                found.append(int(path.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def until(true, process):
    while not true():
        assert process.poll() is None, "it ended too soon"
        time.sleep(0.02)


def test_a_worker_and_the_driver_are_killed_and_every_picture_is_there_once(local, model, sets, nodes, tmp_path):
    out = tmp_path / "run"
    arguments = ["evaluate", model, "--members", sets["member"], "--unseen", sets["unseen"], "--attacks", ATTACKS]
    arguments += ["--device", "cpu", "--out", out, "--engine", "ray", "--address", nodes.address]
    line = [sys.executable, "-c", CODE, *map(str, arguments)]

    def done():
        return len(list(out.glob("shards/*/*.parquet")))

    driver = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    until(lambda: done() >= 2 and workers(), driver)
    victim = workers()[0]
    os.kill(victim, signal.SIGKILL)
    before = done()
    until(lambda: done() > before, driver)
    driver.kill()
    driver.wait()
    assert not (out / "scores.parquet").exists() and done() < 36
    again = subprocess.run(line, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    rows = table(out)
    assert rows == table(local)
    names = [(row["attack"], row["set"], row["picture"]) for row in rows]
    assert len(names) == len(set(names)) == 3 * 48
    pictures = {path.relative_to(local): path.read_bytes() for path in local.glob("restored/*/*")}
    assert {path.relative_to(out): path.read_bytes() for path in out.glob("restored/*/*")} == pictures


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
