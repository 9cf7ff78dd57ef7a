"""Pictures examined by other processes: the same rows in the same order, whoever dies, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon import free_memory
from trainedon.errors import UserError
from trainedon.pictures import Entry, scan, take_inventory, write_inventory
from trainedon.pictures import worker_processes as module
from trainedon.pictures.examining import CHUNK
from trainedon.pictures.places.stores import Store
from trainedon.pictures.sources import FileEntry
from trainedon.pictures.worker_processes import WorkerProcesses, affordable, answered, in_window, unpickled

SCRIPT = """
import sys, time
from pathlib import Path
from trainedon.pictures import scan, take_inventory
from trainedon.pictures.places.stores import Store
from trainedon.pictures.sources import FileEntry
from trainedon.pictures import worker_processes

worker_processes.PATIENCE = 0.0

def progress(done, total):
    print(done, flush=True)
    time.sleep(0.05)

take_inventory(scan(sys.argv[1]), "suspect", progress, examiners=worker_processes.WorkerProcesses(2))
print("finished")
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Other processes are asked from the second chunk on."""
    monkeypatch.setattr(module, "PATIENCE", 0.0)


@pytest.fixture
def many(folder, encoded, rgb):
    """A folder with pictures of several formats, one that must be decoded apart, copies, and some that are none."""
    path = folder(*(f"{k % 3}/{k:03d}.png" for k in range(4 * CHUNK)))
    for k in range(CHUNK):
        (path / f"j{k:02d}.jpg").write_bytes(encoded("JPEG", rgb // 2 + np.uint8(k), quality=50 + k))
    (path / "w.webp").write_bytes(encoded("WEBP"))
    (path / "cut.jpg").write_bytes(encoded("JPEG")[:-40])
    (path / "copy.png").write_bytes((path / "0/000.png").read_bytes())
    (path / "nowhere.png").symlink_to(path / "no-such-file")
    (path / "0/003.txt").write_text("three")
    return path


def children() -> set[int]:
    """Processes of this one, and of those."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found[int(status.parent.name)] = int(fields[1])
    below, ours = {os.getpid()}, set()
    while below:
        below = {process for process, parent in found.items() if parent in below}
        ours |= below
    return ours


@pytest.mark.parametrize("workers", [2, 3])
def test_the_inventory_is_that_of_one_process_byte_for_byte(many, tmp_path, workers):
    alone = take_inventory(scan(many), "suspect", examiners=WorkerProcesses(1))
    seen = []
    several = take_inventory(
        scan(many), "suspect", lambda done, total: seen.append((done, total)), examiners=WorkerProcesses(workers)
    )
    assert seen == [(done, len(alone)) for done in range(1, len(alone) + 1)]
    assert "exact duplicate of 0/000.png" in alone.column("reason").to_pylist()
    for name, items in (("alone", alone), ("several", several)):
        write_inventory(items, tmp_path / name)
    assert (tmp_path / "several").read_bytes() == (tmp_path / "alone").read_bytes()


def test_tables_and_arrays_are_read_by_several(tmp_path, encoded, rgb):
    (tmp_path / "sets").mkdir()
    shades = [rgb // 2 + np.uint8(k) for k in range(3 * CHUNK)]
    table = pa.table({"image": [encoded("PNG", shade) for shade in shades], "artist": [f"a{k}" for k in range(48)]})
    pq.write_table(table, tmp_path / "sets" / "t.parquet", row_group_size=20)
    np.savez_compressed(tmp_path / "sets" / "t.npz", images=np.stack(shades), labels=np.arange(48))

    def taken(workers):
        return take_inventory(
            scan(tmp_path / "sets"), "unseen", source_of=lambda e: e.source, examiners=WorkerProcesses(workers)
        )

    assert taken(2) == taken(1) and len(taken(1)) == 96
    assert taken(2)[3].source == "a3"


def test_what_is_quick_needs_no_other_process(many, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 60.0)
    monkeypatch.setattr(subprocess, "Popen", None)
    (many / "w.webp").unlink()
    assert len(take_inventory(scan(many), "suspect", examiners=WorkerProcesses(2))) == 5 * CHUNK + 3


def test_what_another_process_cannot_read_is_read_here():
    @dataclass(frozen=True)
    class Here(Entry):  # a class of this function goes into no other process
        name: str
        label: int | None = None

        def data(self):
            return np.full((8, 8, 3), int(self.name) % 256, np.uint8)

    items = take_inventory([Here(str(k)) for k in range(3 * CHUNK)], "member", examiners=WorkerProcesses(2))
    assert [item.picture for item in items] == [str(k) for k in range(3 * CHUNK)] and len(items.usable) == 3 * CHUNK


def test_only_what_is_worked_on_is_taken():
    taken = []

    def chunks():
        for k in range(10):
            taken.append(k)
            yield (k,)

    found = in_window(lambda chunk: lambda: chunk, chunks(), 3)
    assert next(found) == (0,) and taken == [0, 1, 2, 3]
    assert [*found] == [(k,) for k in range(1, 10)]


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_worker_that_is_killed_is_replaced_and_none_is_left(many):
    alone = take_inventory(scan(many), "suspect", examiners=WorkerProcesses(1))
    before, killed = children(), []

    def progress(done, total):
        others = children() - before
        if not killed and others:
            killed.extend(others)
            for process in others:
                with suppress(ProcessLookupError):  # it ended with one of them
                    os.kill(process, signal.SIGKILL)

    assert take_inventory(scan(many), "suspect", progress, examiners=WorkerProcesses(2)) == alone
    assert killed and not children() - before - {os.getpid()}


def test_a_picture_that_ends_every_worker_is_told_where_it_lies(many, monkeypatch):
    monkeypatch.setattr(module, "_PROGRAM", "import sys; sys.stdin.buffer.read(1)")
    with pytest.raises(UserError, match=r"ended 3 times between .* and .*: see whether memory is short.*--workers 1"):
        take_inventory(scan(many), "suspect", examiners=WorkerProcesses(2))


def test_where_no_process_can_be_started_this_one_does_it(many, monkeypatch, caplog):
    (many / "w.webp").unlink()

    def refused():
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module, "_started", refused)
    items = take_inventory(scan(many), "suspect", examiners=WorkerProcesses(2))
    assert len(items) == 5 * CHUNK + 3 and "pictures are read in this one" in caplog.text


@dataclass(frozen=True)
class Failing:
    """Stands for an examination that meets an error."""

    error: Exception

    def __call__(self, entry):
        raise self.error


class Stubborn(Exception):
    """Goes into a pickle and not out."""

    def __init__(self, one, two):
        super().__init__(one)


def test_errors_of_workers_are_raised_here():
    with pytest.raises(UserError, match=r"store is away$") as caught:
        unpickled(answered(Failing(UserError("store is away")), [None]))
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(ZeroDivisionError) as caught:
        unpickled(answered(Failing(ZeroDivisionError("x")), [None]))
    assert "in __call__" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="Stubborn"):
        unpickled(answered(Failing(Stubborn(1, 2)), [None]))


def test_a_store_that_fails_ends_the_run(folder):
    listed = [*scan(folder(*(f"{k:02d}.png" for k in range(CHUNK))))]
    elsewhere = [FileEntry(f"{k}.png", None, Store("sftp://127.0.0.1:1/x"), f"/x/{k}.png") for k in range(CHUNK)]
    seen = []
    with pytest.raises(UserError, match="sftp://127"):
        take_inventory(
            [*listed, *elsewhere], "suspect", lambda done, total: seen.append(done), examiners=WorkerProcesses(2)
        )
    assert seen[-1] == CHUNK


def test_workers_are_as_many_as_there_is_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr(free_memory, "CGROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2**23, "SC_PAGE_SIZE": 2**12}.__getitem__)
    assert affordable() == 16  # 32 GiB
    (tmp_path / "memory.max").write_text(f"{5 * 2**30}\n")
    assert affordable() == 2
    (tmp_path / "memory.max").unlink()
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{9 * 2**30}\n")  # of the first version
    assert affordable() == 4
    (tmp_path / "cpu.max").write_text("300000 100000\n")
    assert affordable() == 3
    (tmp_path / "memory.max").write_text("1000\n")
    assert affordable() == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nobody_outlives_the_one_who_asked(many, number):
    """Nor does a script without a guard around what it does start itself anew."""
    before = children()
    driver = subprocess.Popen([sys.executable, "-c", SCRIPT, many], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert driver.stdout is not None
    while int(driver.stdout.readline()) < CHUNK + 4:
        pass
    workers = children() - before - {driver.pid}
    assert len(workers) >= 2
    driver.send_signal(number)
    driver.communicate(timeout=60)
    began = time.monotonic()
    while workers & children() | {pid for pid in workers if Path(f"/proc/{pid}").exists() and _alive(pid)}:
        assert time.monotonic() - began < 30, "a worker lives on"
        time.sleep(0.05)


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_module_of_the_current_folder_is_run(many, tmp_path, monkeypatch):
    """Who audits somebody's pictures in their own folder runs none of that person's code."""
    (tmp_path / "here").mkdir()
    for name in ("json", "pickle", "signal"):
        (tmp_path / "here" / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path / "here")
    take_inventory(scan(many), "suspect", examiners=WorkerProcesses(2))
    assert not (tmp_path / "ran").exists()
