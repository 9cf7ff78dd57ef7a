"""`truth.json`: which suspects the model was trained on, where that is known, as in the demo; for the page alone."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, RootModel, ValidationError

from trainedon.errors import UserError
from trainedon.files import write_json
from trainedon.reading import read_json


class Truth(RootModel[dict[str, bool]]):
    """Name of a suspect -> whether the model was trained on it. Frozen and strict."""

    model_config = ConfigDict(frozen=True, strict=True)


def read_truth(path: Path) -> dict[str, bool] | None:
    """None where there is none. Raises UserError when it cannot be read, or is something else."""
    if not path.is_file():
        return None
    try:
        return Truth.model_validate(read_json(path)).root
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except ValidationError:
        raise UserError(f"{path} says something else than whether pictures were used: take it away") from None


def write_truth(path: Path, truth: dict[str, bool]) -> None:
    """Write it, whole or not at all."""
    write_json(path, truth)
