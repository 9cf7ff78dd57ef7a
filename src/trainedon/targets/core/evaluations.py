"""What asking a network cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace


@dataclass
class Evaluations:
    """Network passes so far, in rows (one picture through the network once is one): forward and backward.

    An answer that was known already counts like any other: these are the passes that were asked for. `spared` says how
    many seconds the known ones had taken.
    """

    forward: int = 0
    backward: int = 0
    spared: float = 0.0

    def add(self, other: Evaluations) -> None:
        self.forward += other.forward
        self.backward += other.backward
        self.spared += other.spared

    @contextmanager
    def counted(self) -> Iterator[Evaluations]:
        """Those made inside the block; complete at its end."""
        before, spent = replace(self), Evaluations()
        yield spent
        spent.forward = self.forward - before.forward
        spent.backward = self.backward - before.backward
        spent.spared = self.spared - before.spared
