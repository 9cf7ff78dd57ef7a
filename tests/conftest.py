"""Fixtures that every test may use."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real faces and trained targets that lies beside a development checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "targets").is_dir():
        pytest.skip("needs the real pictures and targets in ../shared, which are not part of this project")
    return folder
