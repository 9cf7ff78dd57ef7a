"""How long rows of the network take, measured as they go: so that work is cut into parts that can be kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]
INTERVAL = 30.0  # seconds
TOLD = 0.5  # seconds from one word of progress to the next


@dataclass(eq=False)
class Pace:
    """interval: seconds after which what is done is kept. seconds: what a row took of the latest batch, None before it.

    listener: called with the rows that went through the network and are not counted yet, now and then.
    """

    interval: float = INTERVAL
    clock: Clock = time.monotonic
    seconds: float | None = None
    listener: Callable[[int], None] | None = None
    _kept: float = field(init=False)
    _told: float = field(init=False)

    def __post_init__(self) -> None:
        self._kept = self._told = self.clock()

    @property
    def due(self) -> bool:
        """Whether something is to be kept now."""
        return self.clock() - self._kept >= self.interval

    def kept(self) -> None:
        self._kept = self.clock()

    def measure(self, rows: int, seconds: float) -> None:
        self.seconds = seconds / rows

    def within(self, passes: float) -> float:
        """How many pictures of so many passes each are done in a quarter of an interval; without limit while nobody
        knows what a row takes."""
        taken = (self.seconds or 0.0) * passes
        return self.interval / 4 / taken if taken else float("inf")

    def tell(self, rows: int) -> None:
        now = self.clock()
        if self.listener is not None and now - self._told >= min(TOLD, self.interval):
            self._told = now
            self.listener(rows)
