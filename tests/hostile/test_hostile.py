"""What strangers send neither harms nor hangs: every case by the command line, in a process of its own with limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile.cases import collected

CASES = collected()
LARGE = {  # seconds to write or to read
    "pictures-a_ppm_whose_comment_never_ends",
    "pictures-a_table_whose_names_are_pages_of_nothing",
    "runs-a_page_that_unpacks_to_a_gigabyte",
    "tables-a_table_of_captions_without_end",
    "tables-scores_below_comments_without_end",
}
LARGEST = 4 * 10**9  # bytes that a process may hold

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are set on Linux alone")


@pytest.fixture(scope="module")
def nursery():
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "10000", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(Path(__file__).with_name("nursery.py"))]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    with process:
        yield process
        process.stdin.close()


def ask(process: subprocess.Popen, place: Path, arguments: list[str], report: Path) -> dict:
    process.stdin.write(json.dumps({"place": str(place), "arguments": arguments, "report": str(report)}) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def names():
    """Of cases that are told the same, the first is among the quick tests."""
    told = set()
    for name, case in CASES.items():
        kind = name.partition("-")[0], case.says
        slow = name in LARGE or kind in told
        if not slow:
            told.add(kind)
        yield pytest.param(name, marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize("name", list(names()))
def test_a_strangers_input(name, nursery, tmp_path):
    case, place = CASES[name], tmp_path / "place"
    place.mkdir()
    told = ask(nursery, place, case.build(place), tmp_path / "report")
    printed = told["stderr"] if case.code == 2 else told["stdout"] + told["stderr"]
    assert "Traceback" not in printed, printed
    assert told["code"] == case.code, printed
    assert case.says in printed
    assert "hunter" not in told["stdout"] + told["stderr"], "the secrets of all cases are called so"
    assert told["did"] == []
    assert told["peak"] < LARGEST
    if case.code == 2:
        assert len(printed.strip().splitlines()) == 1, printed


def test_what_must_not_happen_is_seen(nursery, tmp_path):
    """A run that is written outside its place is told: the test above can fail."""
    place = tmp_path / "place"
    place.mkdir()
    scores = place / "scores.csv"
    lines = [f"{name}-{number},{name},{number}" for number in range(20) for name in ("suspect", "unseen")]
    scores.write_text("\n".join(["picture,set,score", *lines]))
    told = ask(nursery, place, ["report", str(scores), "--out", str(tmp_path / "out")], tmp_path / "report")
    assert any("out" in line for line in told["did"]), told
