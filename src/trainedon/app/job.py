"""One piece of work in a thread of its own, which can be watched and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from trainedon.attacks.core.answers import Progress
from trainedon.errors import PictureError, UserError
from trainedon.stopping import Stop
from trainedon.unforeseen import kept, of_the_machine

State = Literal["idle", "at work", "stopping", "stopped", "done", "failed"]
BUSY = ("at work", "stopping")


@dataclass(frozen=True)
class JobState:
    """How far the work is. what, done, total: of its present stage, which began at `since` (monotonic seconds).
    message: why it failed, in one sentence."""

    state: State = "idle"
    what: str = "getting ready"
    done: float = 0.0
    total: int = 0
    since: float = 0.0
    message: str = ""

    @property
    def busy(self) -> bool:
        return self.state in BUSY

    @property
    def seconds_left(self) -> float | None:
        """Of the present stage, if it goes on as it began; None where that cannot be told yet."""
        spent = time.monotonic() - self.since
        if not 0 < self.done < self.total or spent < 1:
            return None
        return spent / self.done * (self.total - self.done)


class Job:
    """At most one piece of work at a time."""

    def __init__(self) -> None:
        self.now = JobState()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._turn = threading.Lock()

    def start(self, work: Callable[[Progress], object]) -> None:
        """Begin. work: called with what it tells its progress to, which raises `Stop` in it once it shall end. Raises
        UserError while another one is at work."""
        with self._turn:
            self.check_idle()
            self._stop.clear()
            self.now = JobState("at work", since=time.monotonic())
            self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
            self._thread.start()

    def stop(self, seconds: float | None = 0.0) -> None:
        """Have the work end at the next step that it tells of, and wait so long for that; None: as long as it takes."""
        with self._turn:
            if self.now.state == "at work":
                self._stop.set()
                self.now = replace(self.now, state="stopping")
        if self._thread is not None:
            self._thread.join(seconds)

    def forget(self) -> None:
        """As it was before any work. Raises UserError while there is some."""
        with self._turn:
            self.check_idle()
            self.now = JobState()

    def check_idle(self) -> None:
        """Raises UserError while something is at work."""
        if self.now.busy:
            raise UserError("an audit is at work: wait for it, or stop it first")

    def _run(self, work: Callable[[Progress], object]) -> None:
        try:
            work(self._told)
            self._ended("done")
        except Stop:
            self._ended("stopped")
        except (UserError, PictureError) as error:
            self._ended("failed", str(error))
        except Exception as error:  # noqa: BLE001 (whatever it is, a person gets one sentence)
            self._ended("failed", of_the_machine(error) or kept(error))

    def _ended(self, state: State, message: str = "") -> None:
        with self._turn:
            self.now = replace(self.now, state=state, message=message)

    def _told(self, what: str, done: float, total: int) -> None:
        """The progress of the work. Between two calls it cannot be stopped, and it makes thousands of them."""
        if self._stop.is_set():
            raise Stop
        before = self.now
        new = what.partition(", loss")[0] != before.what.partition(", loss")[0]
        since = time.monotonic() if new else before.since
        with self._turn:
            self.now = replace(self.now, what=what, done=done, total=total, since=since)
