"""A way to call the command line as a user does: in a process of its own."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def trainedon():
    def call(*arguments: object, **options: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", "from trainedon.cli import main; main()", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)

    return call
