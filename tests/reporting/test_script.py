"""What the page's script reads numbers as. The browser's own tests need a browser; this needs node alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib import resources

import pytest

from trainedon.reporting import words

SCRIPT = resources.files("trainedon.reporting").joinpath("templates/report.js")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_numbers_are_read_as_they_are_written():
    values = [-9.6e-5, -9.6, 9.6e-5, 0.25, -0.25, 12345.0, 3e9]
    (number,) = re.findall(r"^ *(const number = .*)$", SCRIPT.read_text("utf-8"), re.MULTILINE)
    shown = [words.number(value, 4) for value in values]
    code = f"{number}\nconsole.log(JSON.stringify({json.dumps(shown)}.map(number)))"
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == pytest.approx(values)
