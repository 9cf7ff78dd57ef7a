"""Answers of a slow network on the disk, so that what took minutes is not lost when a process is killed."""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from trainedon.reading import open_regular
from trainedon.targets.core.pace import Pace

HEAD = struct.Struct("<20sd3i")  # key, seconds, shape
CHECK = 16  # bytes of the hash of head and row
ROW_SHARE = 1000  # a network is slow where this many rows take longer than an interval
LIMIT = 512 * 2**20  # bytes of the file
Answer = tuple[bytes, torch.Tensor, float]


class Journal:
    """An append-only file of answers, written at most once an interval of `pace`, while no other result was saved.

    A record that a killed process left unfinished at the end is truncated.
    """

    def __init__(self, path: Path, pace: Pace) -> None:
        self._path, self._pace = path, pace
        self._waiting: list[Answer] = []
        self._last = pace.clock()

    def read(self) -> Iterator[Answer]:
        """What is there, in the order in which it was written; after it the file can be gone on with."""
        self._forget_link()
        if not self._path.is_file():
            return
        good = 0
        with open_regular(self._path) as stream:
            while (answer := _next(stream.read)) is not None:
                good = stream.tell()
                yield answer
        if good < self._path.stat().st_size:
            os.truncate(self._path, good)

    def _forget_link(self) -> None:
        """Remove a symbolic link in the journal's place: truncating the journal would truncate the file that it points
        to."""
        if self._path.is_symlink():
            self._path.unlink()

    def add(self, answer: Answer) -> None:
        """Keep one more, where the network is slow."""
        if worthwhile(self._pace):
            self._waiting.append(answer)

    def flush(self, every: Callable[[], Iterable[Answer]]) -> None:
        """Write what waits, if it is time. every: all that are worth keeping, for a file that has grown too large."""
        pace = self._pace
        if not (self._waiting and pace.due and pace.clock() - self._last >= pace.interval):
            return
        self._last = pace.clock()
        self._forget_link()
        full = self._path.is_file() and self._path.stat().st_size > LIMIT
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("wb" if full else "ab") as stream:
            for one in every() if full else self._waiting:
                stream.write(_packed(one))
            stream.flush()
            os.fsync(stream.fileno())
        self._waiting.clear()

    def clear(self) -> None:
        self._waiting.clear()
        self._path.unlink(missing_ok=True)


def worthwhile(pace: Pace) -> bool:
    """Whether the network is slow, or nobody knows yet."""
    return pace.seconds is None or pace.seconds * ROW_SHARE >= pace.interval


def _packed(answer: Answer) -> bytes:
    key, row, seconds = answer
    data = HEAD.pack(key, seconds, *row.shape) + row.cpu().contiguous().numpy().tobytes()
    return data + hashlib.blake2b(data, digest_size=CHECK).digest()


def _next(read: Callable[[int], bytes]) -> Answer | None:
    head = read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    key, seconds, *shape = HEAD.unpack(head)
    size = math.prod(shape) * 4
    if min(shape) < 1 or size > LIMIT:
        return None
    data, check = read(size), read(CHECK)
    if len(data) < size or hashlib.blake2b(head + data, digest_size=CHECK).digest() != check:
        return None
    return key, torch.from_numpy(np.frombuffer(data, dtype=np.float32).reshape(shape).copy()), seconds
