"""The table of models beyond pixels in docs/models.md, from finished runs of `trainedon evaluate`.

    python -m benchmarks.beyond RUN [RUN ...]

One table a run: each attack's AUC with the pictures' own captions and, where the model is asked by captions, with one
for all and with those of other pictures. Printed as Markdown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from trainedon.errors import UserError

CHANCE = 0.5


def table(run: Path) -> str:
    """Markdown of one run, the highest AUC first. Raises UserError when it is not a finished evaluation."""
    try:
        document = json.loads((run / "evaluation.json").read_text("utf-8"))
        record = json.loads((run / "run.json").read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{run} is no finished evaluation ({error})") from None
    labels = record["labels"]
    controls = {(one["of"], one["captions"]): one for one in document.get("prompt_controls", [])}
    kinds = list(dict.fromkeys(kind for _, kind in controls))
    first = document["attacks"][0]
    head = ["attack", "passes", "AUC (95 %)", *(f"{kind} captions" for kind in kinds)]
    rows = [
        [
            f"`{labels.get(one['repr'], one['name'])}`",
            f"{one['nfe_per_picture']:.0f}",
            _area(one),
            *(_area(controls.get((one["repr"], kind))) for kind in kinds),
        ]
        for one in sorted(document["attacks"], key=lambda one: -(one["auc"] or 0))
    ]
    model = record["model"]
    title = f"**{model['name']}** ({model['family']}; {first['n_members']} members, {first['n_unseen']} unseen)"
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([title, "", *(f"| {' | '.join(line)} |" for line in lines)])


def _area(one: dict | None) -> str:
    """An AUC with its interval; in italics where that reaches chance."""
    if one is None or one["auc"] is None:
        return "-"
    low, high = one["auc_ci"]
    said = f"{one['auc']:.3f} ({low:.3f} to {high:.3f})"
    return f"*{said}*" if low <= CHANCE <= high else said


def main(arguments: Sequence[str] | None = None) -> None:
    runs = sys.argv[1:] if arguments is None else arguments
    if not runs:
        raise UserError("give the folders of finished evaluations")
    sys.stdout.write("\n\n".join(table(Path(run)) for run in runs) + "\n")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
