"""Shards scored, and pictures examined, by workers on this machine or on a Ray cluster (extra `trainedon[ray]`).

A pool of actors, one a core or graphics card, each of which loads the model once, is given a few shards at a time.
Workers read the pictures themselves. Nothing but pictures and model has to be within a worker's reach: what it finds
comes back to the process that asked, which writes the run folder. Where a worker finds that folder, too, it writes the
scores itself and tells that it has. A worker that dies is replaced and its shards are done again; when the driver dies,
the same command does what is missing.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from trainedon.attacks import Attack, Progress
from trainedon.errors import UserError
from trainedon.pictures import Entry, Item
from trainedon.pictures.examining import Examination
from trainedon.pictures.worker_processes import WorkerProcesses, answered, at_first_here, in_window, unpickled
from trainedon.runs.scoring.actors import AHEAD, ATTEMPTS, MEMORY_SHORT, ActorPool
from trainedon.runs.scoring.exhibit_files import Selection
from trainedon.runs.scoring.scorer import Finished, Scorer, Task
from trainedon.runs.scoring.shared_shards import SharedShards
from trainedon.targets import Target, load_target

PATIENCE = 5.0  # seconds of work that are done here before a cluster is asked, which takes about as long
REMEDY = "check --address, and that `ray start` ran there"
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # an audit tells nobody that it takes place


@dataclass(frozen=True)
class Cluster:
    """model, options: what `load_target` takes. address: of a running cluster, `auto` for the one on this machine; None
    starts workers here. workers: how many; all cores, or all graphics cards, when not given. store: the URL of the run
    folder, where it has one."""

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    address: str | None = None
    workers: int | None = None
    store: str | None = None

    def score(
        self, target: Target, attacks: Sequence[Attack], tasks: Iterable[Task], selection: Selection, progress: Progress
    ) -> Iterator[Finished]:
        """See `runs.engine.Engine`. Raises UserError when Ray is not installed, or there is no such cluster."""
        tasks = iter(tasks)
        if (first := next(tasks, None)) is None:
            return
        for attack in attacks:  # what is kept on the disk is made once, before all workers would make it at once
            attack.prepare(target, progress)
        unit = "GPU" if target.device.type == "cuda" else "CPU"
        options = dict(self.options)
        if options.get("device") == "auto":
            options["device"] = target.device.type  # what was chosen here, not there
        options["precision"] = target.precision
        with (
            _connected(self.address, self.workers if unit == "CPU" else None) as ray,
            SharedShards.offered(first.shards, self.store) as shared,
        ):
            asked = (self.model, options, target.identity.digest, attacks, selection, str(Path.cwd()), shared)
            there = int(ray.cluster_resources().get(unit, 0))
            if there < 1:
                raise UserError(f"the cluster has no {unit}: start workers that have one, or take another --device")
            takes = {"num_cpus": 1, "num_gpus": 0} if unit == "CPU" else {"num_cpus": 0, "num_gpus": 1}
            actor = ray.remote(**takes)(_Worker)
            workers = min(self.workers or there, there)
            for answer in ActorPool(ray, lambda: actor.remote(*asked), workers).stream(chain([first], tasks)):
                for found in _opened(answer):
                    if shared is not None:
                        shared.check(found, attacks)
                    yield found

    def examined(self, chunks: Iterable[Sequence[Entry]], examine: Examination) -> Iterator[Iterable[Item]]:
        """See `Examiners`. Without an address the cores of this machine do it, for which Ray need not start."""
        if self.address is None:
            yield from WorkerProcesses(self.workers).examined(chunks, examine)
            return
        chunks = iter(chunks)
        yield from at_first_here(chunks, examine, PATIENCE)
        if (first := next(chunks, None)) is None:
            return
        with _connected(self.address, None) as ray:
            width = self.workers or AHEAD * int(ray.cluster_resources().get("CPU", 1))
            remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS)(_examined)
            asked = _Asked(ray, remote, examine, str(Path.cwd()))
            yield from in_window(asked.begin, chain([first], chunks), width)


@dataclass(frozen=True)
class _Asked:
    """What workers of a cluster are asked of each picture. remote: `_examined`, as Ray calls it elsewhere."""

    ray: Any
    remote: Any
    examine: Examination
    directory: str

    def begin(self, chunk: Sequence[Entry]) -> Callable[[], Iterable[Item]]:
        """A chunk is handed over, if another process can read what this one can; what is returned waits for it."""
        if not all(entry.shared for entry in chunk):
            return lambda: map(self.examine, chunk)
        return partial(self._answer, chunk, self.remote.remote(pickle.dumps((self.examine, chunk)), self.directory))

    def _answer(self, chunk: Sequence[Entry], reference: Any) -> list[Item]:
        """Raises UserError where pictures are not within the workers' reach, or a worker does not live through them."""
        try:
            items = unpickled(self.ray.get(reference))
        except self.ray.exceptions.RayTaskError:
            raise
        except self.ray.exceptions.RayError as error:
            why = str(error).strip().splitlines()[0]
            raise UserError(
                f"workers ended over the pictures from {chunk[0].name} to {chunk[-1].name} ({why}): {MEMORY_SHORT}"
            ) from None
        for entry, item in zip(chunk, items, strict=True):
            if item.sha256 is None and self.examine(entry).sha256 is not None:
                raise UserError(
                    f"{entry.name} can be read here and not by a worker ({item.reason}): put the pictures where every "
                    "machine of the cluster finds them under the same path"
                )
        return items


def _examined(told: bytes, directory: str) -> bytes:
    """In a worker: the rows of a chunk."""
    _enter(directory)
    return answered(*pickle.loads(told))  # noqa: S301 (from our own driver)


def _enter(directory: str) -> None:
    """Paths may be relative to the driver's folder, which another machine may not have."""
    with suppress(OSError):
        os.chdir(directory)


def _opened(answer: bytes) -> Iterator[Finished]:
    """What a worker found. Raises the UserError that it met."""
    found: tuple[Finished, ...] | UserError = pickle.loads(answer)  # noqa: S301 (from our own workers)
    if isinstance(found, UserError):
        raise found
    yield from found


class _Worker:
    """One actor: the model and the attacks, for one shard after another."""

    def __init__(
        self,
        model: str,
        options: Mapping[str, Any],
        digest: str,
        attacks: Sequence[Attack],
        selection: Selection,
        directory: str,
        shared: SharedShards | None,
    ) -> None:
        torch.set_num_threads(1)  # one core each; a pool of workers beats many threads in each of them
        _enter(directory)
        self._error: UserError | None = None
        self._attacks, self._shared = attacks, shared if shared is not None and shared.is_found() else None
        try:
            target = load_target(model, **options)
            if target.identity.digest != digest:
                raise UserError(f"{model} is not the same model on every machine: give all workers the same files")
            self._score = Scorer(target, attacks, selection)
        except UserError as error:  # Ray would start a worker anew for ever that fails when it starts
            self._error = error

    def ready(self) -> None:
        """Answers once the model is loaded."""

    def score(self, task: bytes) -> bytes:
        """One shard: all that is found, or what was wrong."""
        answer: tuple[Finished, ...] | UserError
        try:
            if self._error:
                raise self._error
            answer = tuple(self._written(self._score(pickle.loads(task))))  # noqa: S301 (from our own driver)
        except UserError as error:
            answer = error
        return pickle.dumps(answer)

    def _written(self, every: Iterable[Finished]) -> Iterator[Finished]:
        """Shards are written here, where that can be done; if not, by the driver, which says what is wrong. What is to
        be shown must be there before its shard is, so the driver writes both."""
        every = [*every]
        showing = {found.number for found in every if found.shown}
        for found in every:
            if self._shared is not None and found.number not in showing:
                try:
                    found = self._shared.written(found, self._attacks)
                except (OSError, UserError):
                    self._shared = None
            yield found


@contextmanager
def _connected(address: str | None, cores: int | None) -> Iterator[Any]:
    """Ray, connected to a cluster, or with one of its own that ends with the block; one that is there stays."""
    try:
        import ray
    except ImportError:
        raise UserError(
            "the engine ray is not installed: pip install 'trainedon[ray]', or take --engine local"
        ) from None
    ours = not ray.is_initialized()
    if ours and address:
        _knock(address)
    if ours:
        here = {"address": "local", "num_cpus": cores, "include_dashboard": False}  # not one that happens to run here
        options = {"address": address} if address else here
        heeded = signal.getsignal(signal.SIGTERM)  # Ray puts a handler of its own there
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            why = str(error).strip().splitlines()[0]
            raise UserError(f"no cluster answers at {address or 'this machine'} ({why}): {REMEDY}") from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, heeded)
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raises UserError where nothing listens: Ray itself would try for minutes, and end the process then."""
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if not colon or not port.isdigit():
        return  # `auto`, or another way in which Ray finds a cluster
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"no cluster answers at {address} ({error}): {REMEDY}") from None
