"""Pictures examined by processes beside this one, one a core.

A worker is a fresh interpreter, not a copy of this process: threads, locks and the caller's main module have no part in
it, so that a script without a guard and a notebook can use it alike. It is told and answers over pipes. Files that are
dangerous to decode are decoded in a process of each worker's own, as they are here (`pixels.apart`). What is on its way
is bounded, whatever the number of pictures.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

from trainedon.errors import UserError
from trainedon.free_memory import cores, memory_in_all
from trainedon.fresh_interpreter import MODULES, command_of
from trainedon.pictures.examining import Examination
from trainedon.pictures.inventory import Item
from trainedon.pictures.pixels.picture import Entry

log = logging.getLogger("trainedon")

PATIENCE = 1.0  # seconds of work that are done here first; to start a worker takes as long
MEMORY = 2 * 2**30  # bytes that a worker may need for the largest picture that is decoded
AHEAD = 2  # chunks a worker has before it, so that none waits for this process
ATTEMPTS = 3
# Ctrl-C is for who asked, who ends these; ignored before anything is imported
_PROGRAM = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {MODULES}"
_PROGRAM += " from trainedon.pictures.worker_processes import serve; serve()"
_ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # one core each

Answer = list[Item] | Exception


@dataclass(frozen=True)
class WorkerProcesses:
    """Examiners on this machine. workers: how many; None: one a core, as far as there are 2 GiB for each. What takes
    less than PATIENCE seconds, measured by `clock`, is done in this process, and with one worker so is everything."""

    workers: int | None = None
    clock: Callable[[], float] = time.monotonic

    def examined(self, chunks: Iterable[Sequence[Entry]], examine: Examination) -> Iterator[Iterable[Item]]:
        """See `Examiners`."""
        workers = affordable() if self.workers is None else self.workers
        chunks = iter(chunks)
        yield from at_first_here(chunks, examine, PATIENCE if workers > 1 else math.inf, self.clock)
        with _Crew(workers, examine) as crew:
            yield from in_window(crew.begin, chunks, AHEAD * workers)


def at_first_here(
    chunks: Iterator[Sequence[Entry]],
    examine: Examination,
    patience: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Iterable[Item]]:
    """The rows of the first chunks, by this process, until so many seconds have passed."""
    began = clock()
    for chunk in chunks:
        yield map(examine, chunk)
        if clock() - began >= patience:
            return


def in_window(
    begin: Callable[[Sequence[Entry]], Callable[[], Iterable[Item]]], chunks: Iterable[Sequence[Entry]], width: int
) -> Iterator[Iterable[Item]]:
    """What is begun of each chunk, in order, with no more than `width` of them begun at a time.

    begin: chunk -> what waits for its rows.
    """
    waiting: deque[Callable[[], Iterable[Item]]] = deque()
    for chunk in chunks:
        if len(waiting) >= width:
            yield waiting.popleft()()
        waiting.append(begin(chunk))
    while waiting:
        yield waiting.popleft()()


def affordable() -> int:
    """How many workers this process has cores and memory for."""
    memory = memory_in_all()
    return cores() if memory is None else max(1, min(cores(), memory // MEMORY))


class _Crew:
    """Workers, started as they are needed. A thread of this process waits for each."""

    def __init__(self, workers: int, examine: Examination) -> None:
        self._examine, self._threads = examine, ThreadPoolExecutor(workers)
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._all: set[subprocess.Popen[bytes]] = set()
        self._starting, self._closed = threading.Lock(), False

    def begin(self, chunk: Sequence[Entry]) -> Callable[[], Iterable[Item]]:
        """A chunk is handed over, if another process can read what this one can; what is returned waits for it."""
        if all(entry.shared for entry in chunk):
            return self._threads.submit(self._examined, chunk).result
        return lambda: map(self._examine, chunk)

    def _examined(self, chunk: Sequence[Entry]) -> list[Item]:
        """The rows of a chunk, by whichever worker is free; one that ends over it is replaced."""
        for _ in range(ATTEMPTS):
            worker = self._free()
            if worker is None:
                return [*map(self._examine, chunk)]
            try:
                answer = _ask(worker, (self._examine, chunk))
            except (OSError, EOFError, pickle.UnpicklingError):
                self._dismiss(worker)
                continue
            self._idle.put(worker)
            if isinstance(answer, Exception):
                raise answer
            return answer
        raise UserError(
            f"a process that reads pictures ended {ATTEMPTS} times between {chunk[0].name} and {chunk[-1].name}: see "
            "whether memory is short, and take fewer --workers; with --workers 1 no other process reads them"
        )

    def _free(self) -> subprocess.Popen[bytes] | None:
        """A worker that waits, or a new one; None where the system starts none."""
        with suppress(Empty):
            return self._idle.get_nowait()
        with self._starting:
            if self._closed:
                raise CancelledError
            try:
                worker = _started()
            except OSError as error:
                log.warning("note: no other process could be started (%s): pictures are read in this one", error)
                return None
            self._all.add(worker)
            return worker

    def _dismiss(self, worker: subprocess.Popen[bytes]) -> None:
        with self._starting:
            if self._closed:
                raise CancelledError
            self._all.discard(worker)
        _end(worker)

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """All workers are gone afterwards, whatever they were at."""
        with self._starting:
            self._closed = True
        for worker in self._all:
            worker.kill()  # before the threads are waited for: each ends when its worker does
        self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            _end(worker)


def _started() -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command_of(_PROGRAM), env=os.environ | _ENVIRONMENT, stdin=pipe, stdout=pipe)


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    for stream in (worker.stdin, worker.stdout):
        with suppress(OSError):  # what was not written yet cannot be any more
            assert stream is not None
            stream.close()


def _ask(worker: subprocess.Popen[bytes], told: tuple[Examination, Sequence[Entry]]) -> Answer:
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(pickle.dumps(told))
    worker.stdin.flush()
    answer: Answer = pickle.load(worker.stdout)  # noqa: S301 (from our own worker)
    return answer


def serve() -> None:
    """A worker: examines what comes in, until nothing more comes."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    with suppress(OSError, EOFError, pickle.UnpicklingError):  # who asked has ended
        while True:
            told: tuple[Examination, Sequence[Entry]] = pickle.load(asked)  # noqa: S301 (from who started this)
            answers.write(answered(*told))
            answers.flush()


def answered(examine: Examination, chunk: Sequence[Entry]) -> bytes:
    """The rows of a chunk, or the error that kept it from being examined, pickled."""
    try:
        return pickle.dumps([examine(entry) for entry in chunk])
    except Exception as error:  # noqa: BLE001 (raised again by who asked)
        if not isinstance(error, UserError):
            error.add_note(f"in a process that examines pictures:\n{traceback.format_exc()}")
        return _pickled(error)


def _pickled(error: Exception) -> bytes:
    try:
        told = pickle.dumps(error)
        pickle.loads(told)  # noqa: S301 (of this very process; some errors go in and not out)
    except Exception:  # noqa: BLE001 (an error can hold anything)
        return pickle.dumps(RuntimeError("".join(traceback.format_exception(error))))
    return told


def unpickled(answer: Any) -> list[Item]:
    """The rows that `answered` gave. Raises the error that it gave."""
    found: Answer = pickle.loads(answer)  # noqa: S301 (from our own worker)
    if isinstance(found, Exception):
        raise found
    return found
