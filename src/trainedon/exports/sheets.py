"""The tables of a run folder that follow from its scores, as its page does: which are due, and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from trainedon import run_files
from trainedon.exports.exposed_sheet import exposed_sheet
from trainedon.exports.score_sheet import score_sheet
from trainedon.files import write_text
from trainedon.formats import RunRecord

Made = Callable[[], Iterator[str] | None]  # the parts of a table's text; None where the run has no such table


def sheets(run: Path, record: RunRecord) -> dict[str, Made]:
    """Name of a file -> what makes it, of those that every run has."""
    return {
        run_files.SCORES_SHEET: lambda: score_sheet(run),
        run_files.EXPOSED: lambda: exposed_sheet(run, record),
    }


def write_sheets(run: Path, record: RunRecord) -> None:
    """Write them, each whole or not at all; one that the run has not is removed. Raises UserError where what they are
    made of cannot be read."""
    for name, made in sheets(run, record).items():
        parts = made()
        if parts is None:
            (run / name).unlink(missing_ok=True)
        else:
            write_text(run / name, parts)
