"""How long rows of the network take, measured as they go, so that work is cut into parts that can be saved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]
INTERVAL = 30.0  # seconds
REPORT = 0.5  # seconds between two reports of progress


@dataclass(eq=False)
class Pace:
    """interval: seconds after which results are saved. seconds: what a row took of the latest batch, None before it.

    listener: called now and then with the rows that went through the network and are not counted yet.
    """

    interval: float = INTERVAL
    clock: Clock = time.monotonic
    seconds: float | None = None
    listener: Callable[[int], None] | None = None
    _saved: float = field(init=False)
    _reported: float = field(init=False)

    def __post_init__(self) -> None:
        self._saved = self._reported = self.clock()

    @property
    def due(self) -> bool:
        """Whether results are to be saved now."""
        return self.clock() - self._saved >= self.interval

    def mark_saved(self) -> None:
        """Results were saved just now."""
        self._saved = self.clock()

    def measure(self, rows: int, seconds: float) -> None:
        self.seconds = seconds / rows

    def within(self, passes: float) -> float:
        """How many pictures of so many passes each are done in a quarter of an interval; without limit while nobody
        knows what a row takes."""
        taken = (self.seconds or 0.0) * passes
        return self.interval / 4 / taken if taken else float("inf")

    def tell(self, rows: int) -> None:
        now = self.clock()
        if self.listener is not None and now - self._reported >= min(REPORT, self.interval):
            self._reported = now
            self.listener(rows)
