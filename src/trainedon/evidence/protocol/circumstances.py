"""What a run knows of its model and of how it was asked, as far as statistics need it."""

from __future__ import annotations

from dataclasses import dataclass

from trainedon.evidence.protocol.prompts import Prompts
from trainedon.formats.run_record import RenderingEntry


@dataclass(frozen=True)
class Circumstances:
    """Each None where nothing is known of it, as for scores that were given as a table.

    prompts: of a model that is asked by captions, which attacks of the table are controls with other captions. asked:
    by what the model was asked, as `asked.asked` takes it. rendering: how the pictures were read, as `run.json` has it.
    distilled: why the model is taken for a few-step student, if it is.
    """

    prompts: Prompts | None = None
    asked: str | None = None
    rendering: RenderingEntry | None = None
    distilled: str | None = None


UNKNOWN = Circumstances()
