"""Processes that can be killed, each a copy of one that has imported everything: a start costs no import.

What must hold of a Python that starts from nothing (its imports, `python -m trainedon`) is tested with `subprocess`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess
from time import sleep

_PRELOADED = [
    *("trainedon.cli", "trainedon.attacks", "trainedon.evidence", "trainedon.reporting", "trainedon.runs"),
    *("trainedon.targets", "trainedon.training", "diffusers.pipelines.ddpm.pipeline_ddpm"),
    *("diffusers.models.unets.unet_2d", "diffusers.schedulers.scheduling_ddpm", "pyarrow.parquet"),
]
UNENDING = "import signal, trainedon.runs.scoring.engine as e; e._merge = lambda *_: signal.pause();"
"""Code before that of a run which is to be killed: once all is scored it waits for that, however late it comes."""
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(_PRELOADED)


class Forked:
    """`python -c CODE ARGUMENTS`, begun. place: a folder for what it prints."""

    def __init__(self, code: str, arguments: list[object], place: Path) -> None:
        self.words = [*map(str, arguments)]
        self._printed = tuple(place / f"{name}-{id(self)}" for name in ("stdout", "stderr"))
        self._process = _CONTEXT.Process(target=_run, args=(code, self.words, *map(str, self._printed)))
        self._process.start()

    @property
    def ended(self) -> bool:
        return self._process.exitcode is not None

    def send(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def until(self, there: Callable[[], object]) -> None:
        """Wait as long as it takes. Fails when the process ends before."""
        while not there():
            assert not self.ended, self.end()
            sleep(0.01)

    def end(self) -> CompletedProcess:
        """Wait for its end: exit status (negative for a signal), and what it printed."""
        self._process.join()
        out, err = (path.read_text("utf-8") if path.exists() else "" for path in self._printed)
        return CompletedProcess(self.words, self._process.exitcode, out, err)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self._process.join()


def interpreted(command: list[str], place: Path) -> CompletedProcess:
    """What a command of `fresh_interpreter.command_of` comes to, in a copy. place: a folder for what it prints."""
    *_, program, path, told = command
    return Forked(program, [path, told], place).end()


def _run(code: str, words: list[str], *printed: str) -> None:
    """In the copy: everything that it prints goes to files."""
    for number, path in enumerate(printed, 1):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), number)
    # as at a terminal: where a script has put the tests into the background with &, all of them ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["-c", *words]
    exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
