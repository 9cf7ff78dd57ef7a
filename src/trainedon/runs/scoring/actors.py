"""A pool of Ray actors that are given a few tasks at a time, and replaced when they die."""

from __future__ import annotations

import pickle
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trainedon.errors import UserError
from trainedon.runs.scoring.scorer import Task

AHEAD = 2  # shards a worker has before it, so that none waits for this process
ATTEMPTS = 3
MEMORY_SHORT = "see whether memory is short there, and take fewer --workers"


@dataclass
class _Given:
    """A shard that was handed over. times: how often a worker died that had it."""

    task: bytes
    name: str
    times: int = 0


class ActorPool:
    """Actors with the methods `ready` and `score`. start: starts one. workers: how many there are at most."""

    def __init__(self, ray: Any, start: Callable[[], Any], workers: int) -> None:
        self._ray, self._start, self._workers = ray, start, workers
        # what is waited for: an actor that loads its model (None), or a shard
        self._waiting: dict[Any, tuple[Any, _Given | None]] = {}
        self._actors: set[Any] = set()
        self._given: Counter[Any] = Counter()  # shards before each actor that is ready
        self._again: deque[_Given] = deque()
        self._deaths = 0  # since something was last finished

    def stream(self, tasks: Iterable[Task]) -> Iterator[bytes]:
        """What `score` gives for every task, as it comes; no more tasks are taken than are at hand for the actors.

        Raises UserError where actors die again and again.
        """
        tasks = iter(tasks)
        try:
            self._employ()
            while self._hand_out(tasks):
                (done,), _ = self._ray.wait([*self._waiting], num_returns=1)
                answer = self._taken(done)
                if answer is not None:
                    yield answer
        finally:
            for actor in self._actors:
                self._ray.kill(actor)

    def _employ(self) -> None:
        """Actors until there are enough; each is given shards once its model is loaded, wherever the cluster has room
        for it."""
        while len(self._actors) < self._workers:
            actor = self._start()
            self._actors.add(actor)
            self._waiting[actor.ready.remote()] = (actor, None)

    def _hand_out(self, tasks: Iterator[Task]) -> bool:
        """Shards to all actors that have room. Returns whether anything is still to be waited for."""
        for actor in sorted(self._given, key=lambda one: self._given[one]):
            while self._given[actor] < AHEAD and (given := self._next(tasks)) is not None:
                self._waiting[actor.score.remote(given.task)] = (actor, given)
                self._given[actor] += 1
        return not self._given or any(given for _, given in self._waiting.values())

    def _next(self, tasks: Iterator[Task]) -> _Given | None:
        if self._again:
            return self._again.popleft()
        task = next(tasks, None)
        return None if task is None else _Given(pickle.dumps(task), task.name)

    def _taken(self, done: Any) -> bytes | None:
        """What was waited for; None where it was no shard, or its actor died."""
        actor, given = self._waiting.pop(done)
        errors = self._ray.exceptions
        try:
            answer: bytes | None = self._ray.get(done)
        except (errors.RayActorError, errors.ObjectLostError) as error:
            self._replace(actor, given, str(error).strip().splitlines()[0])
            return None
        self._deaths = 0
        if given is None:
            self._given[actor] = 0
        elif actor in self._given:
            self._given[actor] -= 1
        return answer

    def _replace(self, actor: Any, given: _Given | None, why: str) -> None:
        """Another actor in the place of one that died; its shard is done again."""
        if given is not None:
            given.times += 1
            self._again.append(given)
        if actor in self._actors:
            self._deaths += 1
            self._actors.remove(actor)
            self._given.pop(actor, None)
            self._employ()
        if self._deaths > ATTEMPTS * self._workers or (given is not None and given.times >= ATTEMPTS):
            raise UserError(f"workers end again and again ({why}): {MEMORY_SHORT}; the same command goes on")
