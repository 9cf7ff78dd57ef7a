"""`labels.json`: the class under which the model predicts each picture's noise best, where classes were inferred."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, RootModel, ValidationError

from trainedon.errors import UserError
from trainedon.files import write_json
from trainedon.reading import read_json

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class InferredLabels(RootModel[dict[Digest, Annotated[int, Field(ge=0, lt=2**31)]]]):
    """SHA-256 of a picture's file, hex -> class. Frozen and strict."""

    model_config = ConfigDict(frozen=True, strict=True)


def read_labels(path: Path, pictures: int, classes: int | None = None) -> dict[str, int]:
    """Digest -> class, of at most so many pictures.

    Raises UserError when it cannot be read, is something else, or names a class that the model does not know.
    """
    try:
        found = InferredLabels.model_validate(read_json(path, 1024 + 256 * pictures)).root
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except ValidationError:
        raise _other(path) from None
    if classes is not None and max(found.values(), default=0) >= classes:
        raise _other(path)
    return found


def write_labels(path: Path, labels: dict[str, int]) -> None:
    """Write them, whole or not at all."""
    write_json(path, labels)


def _other(path: Path) -> UserError:
    return UserError(f"{path} does not hold a class for each picture: delete it; the same command goes on")
