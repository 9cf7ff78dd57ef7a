"""Two runs against each other: before and after fine-tuning, unlearning or deduplication."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.evidence.studies.before_after import Comparison


def compare_runs(before: str | Path, after: str | Path, *, out: str | Path | None = None) -> Comparison:
    """The run `after` against the run `before`: how much more or less is told of the same pictures, attack by attack.

    Both are evaluations, or audits with unseen pictures, on the same pictures (by digest) with attacks in common. A
    change is after minus before, by paired DeLong for the AUC and by paired bootstrap for the TPR; p-values are
    corrected for the number of attacks. out: a file that the document is written to as JSON.
    Raises UserError for what cannot be compared.
    """
    from trainedon.evidence import to_json
    from trainedon.files import write_text
    from trainedon.runs.comparing.compare_runs import compare_runs as compare

    if out is not None and (Path(out).is_dir() or not Path(out).absolute().parent.is_dir()):
        raise UserError(f"{out} cannot be written: give a file in a folder that is there")
    found = compare(Path(before), Path(after))
    if out is not None:
        write_text(Path(out), to_json(found))
    return found
