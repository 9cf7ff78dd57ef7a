"""Progress while a batch is in the network, which may be for minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from trainedon.attacks import Cost
from trainedon.targets import Pace, Target


@contextmanager
def told_within(
    target: Target, pace: Pace | None, cost: Cost, pictures: int, tell: Callable[[float], None]
) -> Iterator[None]:
    """Inside the block, `tell` is called now and then with how many of the pictures are as good as done, which only
    grows and stays below all of them. cost: of one picture. pace: which times the network; None, and nothing is told.
    """
    passes = (cost.forward + 2 * cost.backward) * pictures
    if pace is None or not passes:
        yield
        return
    start, furthest = replace(target.evaluations), 0.0

    def told(under_way: int) -> None:
        nonlocal furthest  # answers that are computed in parts, to be kept, are counted anew from each part
        now = target.evaluations
        made = now.forward - start.forward + under_way + 2 * (now.backward - start.backward)
        furthest = max(furthest, min(0.99, made / passes))
        tell(furthest * pictures)

    pace.listener = told
    try:
        yield
    finally:
        pace.listener = None
