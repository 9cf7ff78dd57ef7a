"""Rows of a test that a row beside them shows too: `[1.0, *slowly(0.0, 2.5)]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def slowly(*rows: object) -> Iterator[object]:
    """Each row, for the slow tests alone. A tuple is one of several parameters."""
    for row in rows:
        yield pytest.param(*(row if isinstance(row, tuple) else (row,)), marks=pytest.mark.slow)
