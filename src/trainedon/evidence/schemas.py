"""The JSON schemas of what runs write, as published in docs/schemas."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from trainedon.evidence.protocol.documents import Audit, Evaluation
from trainedon.evidence.protocol.draw import Draw
from trainedon.evidence.protocol.twins import Twins
from trainedon.evidence.studies.before_after import Comparison
from trainedon.evidence.studies.peaks import Peaks
from trainedon.evidence.studies.sweep import Sweep
from trainedon.formats import RunRecord

PUBLISHED: dict[str, type[BaseModel]] = {
    "run": RunRecord,
    "audit": Audit,
    "evaluation": Evaluation,
    "peaks": Peaks,
    "sweep": Sweep,
    "compare": Comparison,
    "draw": Draw,
    "twins": Twins,
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Name of a document -> its JSON schema as text, ending in a newline."""
    found = {name: {"$schema": DIALECT, **_schema(kind)} for name, kind in PUBLISHED.items()}
    return {name: json.dumps(schema, indent=2) + "\n" for name, schema in found.items()}


def _schema(kind: type[BaseModel]) -> dict[str, Any]:
    """A record may lack what it has not to say; every other document has all of its fields."""
    return kind.model_json_schema(mode="validation" if kind is RunRecord else "serialization")
