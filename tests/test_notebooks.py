"""The notebooks of examples/: kept without what they printed, and run cell after cell, each in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
# What a reader sees who runs it: a pattern for each.
SEEN = {
    "audit_your_art": r"level \d\w?: (?s:.)*\b(1[5-9]|20) of the first 20",
    "compare_attacks": r"drc@2 +(0\.[6-9]|1\.0)",
    "write_an_attack": r"Agreement\(t=300, draws=4, seed=0\) +0\.[6-9]",
}


def cells(notebook: Path) -> list[dict]:
    return json.loads(notebook.read_text("utf-8"))["cells"]


def code(notebook: Path) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells(notebook) if cell["cell_type"] == "code") + "\n"


def test_there_are_as_many_as_are_looked_at():
    assert {notebook.stem for notebook in NOTEBOOKS} == SEEN.keys()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_output_and_begins_with_a_title(notebook):
    found = cells(notebook)
    assert "".join(found[0]["source"]).startswith("# ") and len({cell["id"] for cell in found}) == len(found)
    for cell in found:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            compile("".join(cell["source"]), notebook.name, "exec")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_somewhere(notebook):
    texts = "\n".join("".join(cell["source"]) for cell in cells(notebook) if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\((?!https?:)([^)\s#]+)", texts):
        assert (EXAMPLES / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path):
    shutil.copy(EXAMPLES / "own_network.py", tmp_path)
    (tmp_path / "cells.py").write_text(code(notebook), "utf-8")
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "TRAINEDON_STATE": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "cells.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(SEEN[notebook.stem], done.stdout), done.stdout
