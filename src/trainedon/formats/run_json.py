"""`run.json` as it is read, whoever wrote it: what anything is made of has its type, and nothing is endless."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.files import write_json
from trainedon.formats.run_record import RunRecord
from trainedon.reading import read_json

MOST = 8 * 2**20  # bytes
DEEPEST = 32  # lists and objects within one another
LARGEST = 2**63  # of a number


def read_record(out: Path, name: str = run_files.RUN) -> RunRecord:
    """The record in a run folder, of this version or an earlier one, which has fewer entries. name: of its file.

    Raises UserError when there is none, and as `checked`.
    """
    path = out / name
    try:
        return checked(read_json(path, MOST), path)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{out} is not a run folder: it has no {name}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def write_record(out: Path, record: RunRecord, name: str = run_files.RUN) -> None:
    """Write the record into a run folder, whole or not at all. name: of its file."""
    write_json(out / name, record.told())


def checked(value: Any, where: object) -> RunRecord:
    """The value as the record that it is. Raises UserError, which begins with `where` and names the first entry that is
    none."""
    if not isinstance(value, dict):
        raise UserError(f"{where} is not a JSON object, and so no record of a run: it is damaged")
    _check_values(value, where)
    try:
        return RunRecord.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"])
        raise UserError(f"{where} is no record of a run ({place}: {first['msg']}): it is damaged") from None


def _check_values(value: Any, where: object) -> None:
    """Raises UserError for numbers that are none or beyond all bounds, text that cannot be written, deep nesting."""
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > DEEPEST:
            raise UserError(f"{where} is nested more than {DEEPEST} deep, and so no record of a run: it is damaged")
        if isinstance(one, dict):
            left += [(inner, depth + 1) for pair in one.items() for inner in pair]
        elif isinstance(one, list):
            left += [(inner, depth + 1) for inner in one]
        elif isinstance(one, str):
            if not one.isascii() and any("\ud800" <= letter <= "\udfff" for letter in one):
                raise UserError(f"{where} holds text with half a character: it is damaged")
        elif isinstance(one, int | float) and not (math.isfinite(one) and abs(one) < LARGEST):
            raise UserError(f"{where} holds a number that none can be there: it is damaged")
