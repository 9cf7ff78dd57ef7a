"""`evidence.json` in a folder of evidence pictures: of which picture they are, and what an attack says of it."""

from __future__ import annotations

import re
from operator import not_
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainedon.errors import UserError
from trainedon.files import write_json
from trainedon.reading import read_json

MOST = 2**20  # bytes
HEX = re.compile(r"[0-9a-f]{64}")


class ExhibitRecord(BaseModel):
    """Frozen and strict. The names of the pictures beside it say what they show."""

    model_config = ConfigDict(frozen=True, strict=True)

    picture: str = Field(description="its name in the inventory")
    sha256: str = Field(description="of its file, hex; the first 16 are the name of the folder")
    set: str
    attack: str = Field(description="name of the attack whose pictures these are")
    score: float = Field(allow_inf_nan=False)
    similarities: list[float] = Field(default=[], description="of each restoration to the picture")
    ahead: float | None = Field(
        default=None, ge=0, le=1, description="share of its area that the model guesses better than in its other views"
    )
    note: str = Field(default="", description="what the attack has to say of the picture")
    mosaic: bool = Field(
        default=False, exclude_if=not_, description="whether the model was given a mosaic of the whole picture"
    )


def read_exhibit(path: Path) -> ExhibitRecord:
    """What the file `path` says, in the folder that the picture's digest names.

    Raises UserError when it cannot be read, or is something else.
    """
    remedy = "delete its folder; the same command goes on"
    try:
        record = ExhibitRecord.model_validate(read_json(path, MOST))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except ValidationError as error:
        wrong = {part for one in error.errors() for part in one["loc"][:1]}
        lacks = "has no score" if wrong == {"score"} else "says nothing of a picture"
        raise UserError(f"{path} {lacks}: {remedy}") from None
    if not HEX.fullmatch(record.sha256) or record.sha256[:16] != path.parent.name:
        raise UserError(f"{path} is of another picture: {remedy}")
    return record


def write_exhibit(path: Path, record: ExhibitRecord) -> None:
    """Write it, whole or not at all."""
    write_json(path, record.model_dump())
