"""The tables of a run folder that follow from its scores, as its page does: which are due, and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from trainedon import run_files
from trainedon.evidence import Audit, Evaluation
from trainedon.exports.attack_sheet import attack_latex, attack_sheet
from trainedon.exports.exposed_sheet import exposed_sheet
from trainedon.exports.score_sheet import score_sheet
from trainedon.files import write_text
from trainedon.formats import RunRecord

Made = Callable[[], Iterator[str] | None]  # the parts of a table's text; None where the run has no such table


ASKED_FOR = (run_files.ATTACKS_SHEET, run_files.ATTACKS_LATEX)  # the others are in every run


def sheets(run: Path, record: RunRecord, document: Audit | Evaluation) -> dict[str, Made]:
    """Name of a file -> what makes it. document: what follows from the scores."""
    return {
        run_files.SCORES_SHEET: lambda: score_sheet(run),
        run_files.EXPOSED: lambda: exposed_sheet(run, record),
        run_files.ATTACKS_SHEET: lambda: attack_sheet(record, document),
        run_files.ATTACKS_LATEX: lambda: attack_latex(record, document),
    }


def write_sheets(run: Path, record: RunRecord, document: Audit | Evaluation, asked_for: Collection[str] = ()) -> None:
    """Write them, each whole or not at all; one that the run has not is removed. asked_for: those of ASKED_FOR that are
    wanted; one that is there is kept up. Raises UserError where what they are made of cannot be read."""
    for name, made in sheets(run, record, document).items():
        if name in ASKED_FOR and name not in asked_for and not (run / name).exists():
            continue
        parts = made()
        if parts is None:
            (run / name).unlink(missing_ok=True)
        else:
            write_text(run / name, parts)
