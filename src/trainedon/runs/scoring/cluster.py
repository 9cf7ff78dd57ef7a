"""Shards scored by a pool of workers, on this machine or on a Ray cluster (extra `trainedon[ray]`).

Ray Data streams the shards through a pool of actors, one a core or graphics card, each of which loads the model once.
Workers read the pictures themselves. What they find comes back to the one process that writes the run folder, so that
nothing but pictures and model has to be within a worker's reach. A worker that dies is started anew and its shard is
done again; when the driver dies, the same command does what is missing.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trainedon.attacks import Attack, Progress
from trainedon.errors import UserError
from trainedon.runs.scoring.exhibit_files import Selection
from trainedon.runs.scoring.scorer import Finished, Scorer, Task
from trainedon.targets import Target, load_target

REMEDY = "check --address, and that `ray start` ran there"
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # an audit tells nobody that it takes place


@dataclass(frozen=True)
class Cluster:
    """model, options: what `load_target` takes. address: of a running cluster, `auto` for the one on this machine; None
    starts workers here. workers: how many; all cores, or all graphics cards, when not given."""

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    address: str | None = None
    workers: int | None = None

    def score(
        self, target: Target, attacks: Sequence[Attack], tasks: Iterable[Task], selection: Selection, progress: Progress
    ) -> Iterator[Finished]:
        """See `runs.engine.Engine`. Raises UserError when Ray is not installed, or there is no such cluster."""
        pickled = [{"task": pickle.dumps(task)} for task in tasks]
        if not pickled:
            return
        for attack in attacks:  # what is kept on the disk is made once, before all workers would make it at once
            attack.prepare(target, progress)
        unit = "GPU" if target.device.type == "cuda" else "CPU"
        options = dict(self.options)
        if options.get("device") == "auto":
            options["device"] = target.device.type  # what was chosen here, not there
        options["precision"] = target.precision
        with _connected(self.address, self.workers if unit == "CPU" else None) as ray:
            workers = self.workers or int(ray.cluster_resources().get(unit, 0))
            if workers < 1:
                raise UserError(f"the cluster has no {unit}: start workers that have one, or take another --device")
            # Ray returns a block when all of it is done, so each shard is a block
            shards = ray.data.from_items(pickled, override_num_blocks=len(pickled))
            finished = shards.map_batches(
                _Worker,
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=min(workers, len(pickled))),
                fn_constructor_args=(self.model, options, target.identity.digest, attacks, selection),
                fn_constructor_kwargs={"directory": str(Path.cwd())},
                num_cpus=1 if unit == "CPU" else 0,
                num_gpus=1 if unit == "GPU" else 0,
            )
            for row in finished.iter_rows():
                answer = pickle.loads(row["finished"])  # noqa: S301 (from our own workers)
                if isinstance(answer, UserError):
                    raise answer
                yield from answer


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
    ) -> None:
        torch.set_num_threads(1)  # one core each; a pool of workers beats many threads in each of them
        # paths may be relative to the driver's folder, which another machine may not have
        with suppress(OSError):
            os.chdir(directory)
        self._error: UserError | None = None
        try:
            target = load_target(model, **options)
            if target.identity.digest != digest:
                raise UserError(f"{model} is not the same model on every machine: give all workers the same files")
            self._score = Scorer(target, attacks, selection)
        except UserError as error:  # Ray would start a worker anew for ever that fails when it starts
            self._error = error

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        answer: tuple[Finished, ...] | UserError
        try:
            if self._error:
                raise self._error
            answer = tuple(self._score(pickle.loads(batch["task"][0])))  # noqa: S301 (from our own driver)
        except UserError as error:
            answer = error
        return {"finished": [pickle.dumps(answer)]}


@contextmanager
def _connected(address: str | None, cores: int | None) -> Iterator[Any]:
    """Ray, connected to a cluster, or with one of its own that ends with the block; one that is there stays."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError(
            "the engine ray is not installed: pip install 'trainedon[ray]', or take --engine local"
        ) from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # ours are shown
    ours = not ray.is_initialized()
    if ours and address:
        _knock(address)
    if ours:
        options = {"address": address} if address else {"num_cpus": cores, "include_dashboard": False}
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
