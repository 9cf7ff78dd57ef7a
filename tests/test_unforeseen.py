"""What nobody foresaw: one line, a file to report, exit code 1."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import call

from trainedon import runs, unforeseen


def break_down(*_given: object) -> None:
    raise KeyError("https://me:secret@host/x?token=abc " + str(Path.home() / "pictures"))


@pytest.fixture
def broken(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "conclude", break_down)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = tmp_path / "run"
    run.mkdir()
    return run


def test_the_details_are_written_into_the_run(broken):
    (broken / "run.json").write_text("{}")
    ended = call("report", broken)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("trainedon: a fault of trainedon itself, not of your input (KeyError: ")
    assert str(broken / "error.log") in ended.stderr
    log = (broken / "error.log").read_text()
    assert "in break_down" in log and "torch 2" in log and f"trainedon report {broken}" in log
    for text in (ended.stderr, log):
        assert "secret" not in text and "token=abc" not in text and str(Path.home()) not in text


def test_a_folder_that_holds_no_run_is_left_as_it_is(broken):
    ended = call("report", broken)
    assert ended.returncode == 1
    assert not list(broken.iterdir())
    (log,) = broken.parent.glob("trainedon-error-*.log")
    assert str(log) in ended.stderr and "in break_down" in log.read_text()


def test_a_disk_without_room_is_said(broken, monkeypatch):
    def full(*_given: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    (broken / "run.json").write_text("{}")
    monkeypatch.setattr(unforeseen, "write_text", full)
    monkeypatch.setattr("tempfile.mkstemp", full)
    ended = call("report", broken)
    assert ended.returncode == 1
    assert "could not be written anywhere" in ended.stderr


def test_a_reader_that_has_enough_is_no_fault():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "trainedon", "schema", "audit"]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize(
    "error, says",
    [
        (MemoryError(), "memory ran out: give less at once"),
        (OSError(36, "File name too long", "x" * 5000), "x: file name too long"),
        (PermissionError(13, "Permission denied", "there"), "there: permission denied: mend that"),
    ],
)
def test_what_the_machine_lacks_is_no_fault_of_ours(broken, monkeypatch, error, says):
    def lacking(*_given: object) -> None:
        raise error

    (broken / "run.json").write_text("{}")
    monkeypatch.setattr(runs, "conclude", lacking)
    ended = call("report", broken)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert says in ended.stderr
    assert not (broken / "error.log").exists()
