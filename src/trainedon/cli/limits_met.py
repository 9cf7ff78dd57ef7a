"""Limits of `--fail-above`, and the exit codes that they end with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainedon.cli.terminal import say

if TYPE_CHECKING:
    from trainedon.evidence import Evaluation

ABOVE, NOT_ESTIMABLE = 3, 4  # exit codes


def checked_limits(texts: Sequence[str] | None) -> list[str]:
    """The limits as they are written, before anything is done. Raises UserError for one that is none."""
    if not texts:
        return []
    from trainedon.evidence import LeakLimit

    return [str(LeakLimit.of(text)) for text in texts]


def hold_to(limits: Sequence[str], document: Evaluation) -> None:
    """Print the answer to each limit. Raises SystemExit with 3 where one is shown to be exceeded, else with 4 where one
    could not be judged, which is no pass."""
    from trainedon import api

    answers = [api.judge(document, limit) for limit in limits]
    for one in answers:
        say(one.sentence)
    outcomes = {one.outcome for one in answers}
    if "above" in outcomes:
        raise SystemExit(ABOVE)
    if "not estimable" in outcomes:
        raise SystemExit(NOT_ESTIMABLE)
