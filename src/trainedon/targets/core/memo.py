"""A cache of network answers for the pictures in hand, so that attacks which need the same one compute it once."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch

from trainedon.condition import Condition
from trainedon.targets.core.batching import Rows
from trainedon.targets.core.evaluations import Evaluations
from trainedon.targets.core.journal import Journal

T = TypeVar("T")

LIMIT = 256 * 2**20  # bytes of answers that are kept, and of tensors under a key; the oldest go first


class Timed(Protocol):
    """Runs a part of the work, and charges it."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


class Memo:
    """Answers by (model, row of x_t, t, condition), and what each took to compute.

    A row's answer does not depend on the rows beside it (see `Batching`), so an answer from here is the one that the
    network would give.
    """

    def __init__(self, limit: int = LIMIT, journal: Journal | None = None) -> None:
        self._answers: OrderedDict[bytes, tuple[torch.Tensor, float]] = OrderedDict()
        self._limit, self._bytes = limit, 0
        self._journal: Journal | None = None
        for key, row, seconds in journal.read() if journal else ():
            self._keep(key, row, seconds)
        self._journal = journal  # from now on, so that nothing is written that was read
        self._cached: dict[object, tuple[Any, Evaluations]] = {}
        self._cached_bytes: OrderedDict[object, int] = OrderedDict()  # of the tensors in _cached, the latest used last

    def cached(self, key: object, evaluations: Evaluations, compute: Callable[[], T]) -> T:
        """`compute()` at the first call with this key; later the same, passes and seconds charged again."""
        if key not in self._cached:
            value, spent = _timed(evaluations, compute)
            self.remember(key, value, spent)
            return value
        known: T
        known, spent = self._cached[key]
        if key in self._cached_bytes:
            self._cached_bytes.move_to_end(key)
        evaluations.add(spent)
        return known

    def remember(self, key: object, value: Any, spent: Evaluations) -> None:
        """What `cached` gives for this key. spent: what it took; `spared` are its seconds, with those spared to it."""
        self._cached[key] = (value, spent)
        if isinstance(value, torch.Tensor):
            self._make_room(key, value.nbytes)

    def _make_room(self, key: object, size: int) -> None:
        """Evict the least recently used tensors: restorations of large pictures would fill any memory."""
        self._cached_bytes[key] = size
        self._cached_bytes.move_to_end(key)
        while sum(self._cached_bytes.values()) > self._limit:
            oldest, _ = self._cached_bytes.popitem(last=False)
            del self._cached[oldest]

    def answers(
        self,
        model: str,
        x_t: torch.Tensor,
        t: torch.Tensor,
        condition: Condition,
        compute: Rows,
        at_once: int | None = None,
    ) -> tuple[torch.Tensor, float]:
        """`compute(x_t, t, condition)` (n, c, h, w), asking it only for the rows that are not known.

        Also the seconds that the known rows had taken. at_once: rows after which what was computed is kept; all, when
        not given.
        """
        keys = self._keys(model, x_t, t, condition)
        known = [self._answers.get(key) for key in keys]
        missing = [i for i, answer in enumerate(known) if answer is None]
        seconds = sum(answer[1] for answer in known if answer is not None)
        size = at_once if self._journal and at_once else max(1, len(missing))
        for start in range(0, len(missing), size):
            part = missing[start : start + size]
            began = time.perf_counter()
            fresh = compute(x_t[part], t[part], condition[part])
            each = (time.perf_counter() - began) / len(part)
            for i, row in zip(part, fresh, strict=True):
                known[i] = (row, each)
                self._keep(keys[i], row.clone(), each)
            if self._journal:
                self._journal.flush(lambda: [(key, *answer) for key, answer in self._answers.items()])
        return torch.stack([answer[0].to(x_t.device) for answer in known if answer is not None]), seconds

    def _keep(self, key: bytes, row: torch.Tensor, seconds: float) -> None:
        if key not in self._answers:  # two equal rows of one call have one key
            self._answers[key] = (row, seconds)
            self._bytes += row.nbytes
            if self._journal:
                self._journal.add((key, row, seconds))
        while self._bytes > self._limit:
            _, (oldest, _) = self._answers.popitem(last=False)
            self._bytes -= oldest.nbytes

    @staticmethod
    def _keys(model: str, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> list[bytes]:
        """A hash of each row with its t and condition, 20 bytes; also the key of a record in a journal."""
        rows = x_t.detach().cpu().contiguous().numpy()
        return [
            hashlib.blake2b(row.tobytes(), key=f"{model[:40]} {at} {given}".encode()[:64], digest_size=20).digest()
            for row, at, given in zip(rows, t.tolist(), condition.keys(len(rows)), strict=True)
        ]


@contextmanager
def remembering(memo: Memo | None, evaluations: Evaluations, key: object, value: Callable[[], Any]) -> Iterator[Timed]:
    """The next call of `memo.cached` with this key gives `value()`, taken at the end of the block. The block is given a
    function that runs a part of the work, and charges it."""
    charged = Evaluations()

    def timed(work: Callable[[], T]) -> T:
        answer, spent = _timed(evaluations, work)
        charged.add(spent)
        return answer

    yield timed
    if memo is not None:
        memo.remember(key, value(), charged)


def _timed(evaluations: Evaluations, work: Callable[[], T]) -> tuple[T, Evaluations]:
    """Its answer and what it took; `spared` are its seconds, with those spared to it."""
    began = time.perf_counter()
    with evaluations.counted() as spent:
        answer = work()
    spent.spared += time.perf_counter() - began
    return answer, spent
