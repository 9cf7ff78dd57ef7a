"""`scores.csv`: the table of scores for programs that read no parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.exports.csv_cells import Cell, csv_parts
from trainedon.parquet import opened

MOST_ROWS = 1_000_000  # a spreadsheet takes 1 048 576, and a part of a table would pass for all of it
NOTE = (
    f"{run_files.SCORES_SHEET} was not written: it would have more than {MOST_ROWS:,} rows. "
    f"{run_files.SCORES} holds all of them."
)


def score_sheet(run: Path) -> Iterator[str] | None:
    """The parts of `scores.csv`: the rows of `scores.parquet` under the same names; None where there are too many.

    Raises UserError where these cannot be read.
    """
    return None if is_too_long(run) else csv_parts(_rows(run / run_files.SCORES))


def is_too_long(run: Path) -> bool:
    """Whether the scores of a run are more than the table may have rows. Raises UserError as `score_sheet`."""
    path = run / run_files.SCORES
    try:
        with opened(path) as file:
            return bool(file.file.metadata.num_rows > MOST_ROWS)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]})") from None


def _rows(path: Path) -> Iterator[list[Cell]]:
    with opened(path) as file:
        names = list(file.names)
        yield list(names)
        for batch in file.batches(names):
            yield from map(list, zip(*(column.to_pylist() for column in batch.columns), strict=True))
