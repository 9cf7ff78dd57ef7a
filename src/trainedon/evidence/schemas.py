"""The JSON schemas of what runs write, as published in docs/schemas."""

from __future__ import annotations

import json

from trainedon.evidence.protocol.documents import Audit, Document, Evaluation
from trainedon.evidence.protocol.draw import Draw
from trainedon.evidence.studies.peaks import Peaks
from trainedon.evidence.studies.sweep import Sweep

PUBLISHED: dict[str, type[Document]] = {
    "audit": Audit,
    "evaluation": Evaluation,
    "peaks": Peaks,
    "sweep": Sweep,
    "draw": Draw,
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Name of a document -> its JSON schema as text, ending in a newline."""
    return {
        name: json.dumps({"$schema": DIALECT, **kind.model_json_schema(mode="serialization")}, indent=2) + "\n"
        for name, kind in PUBLISHED.items()
    }
