"""Noise as a function of (picture, seed, draw, step): no generator state, no global seed.

Philox is counter-based and numpy's normals are table-driven, so the same key gives the same float32 numbers on
every processor, whatever the batch, the order or the neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import numpy as np
import torch

KEPT = 16 * 2**20  # bytes; where noise takes more, the network takes far longer than drawing it again


def generator(*key: object) -> np.random.Generator:
    """A fresh random generator that depends on `key` alone (any printable parts, compared as text)."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(key), "little")))


class NoiseStream:
    """Standard normal noise, one tensor after another, for a fixed set of rows.

    Row i of the k-th tensor is a function of (sha256[i], seed, draws[i], k) and of nothing else. ahead: whether each
    tensor is drawn by a thread before it is asked for, while the network works; None: where the device is not the CPU,
    which has other things to do. kept: what streams of the same rows and seed have drawn, by number, so that each is
    drawn once; up to KEPT bytes are added.
    """

    def __init__(
        self,
        sha256: Sequence[str],
        draws: Sequence[int],
        shape: Sequence[int],
        *,
        seed: int,
        device: torch.device | str,
        ahead: bool | None = None,
        kept: dict[int, torch.Tensor] | None = None,
    ) -> None:
        self._keys = list(zip(sha256, draws, strict=True))
        self._shape, self._seed, self._device = tuple(shape), seed, torch.device(device)
        self._pinned = self._device.type == "cuda"  # copies from pinned memory overlap with the network's work
        self._ahead = self._device.type != "cpu" if ahead is None else ahead
        self._step, self._kept = 0, {} if kept is None else kept
        self._room = 0 if kept is None else KEPT
        self._coming: Future[torch.Tensor] | None = None
        self._draw_ahead()

    def next(self) -> torch.Tensor:
        """float32 (rows, *shape), drawn on the CPU and moved to the device."""
        drawn = self._kept.get(self._step)
        if drawn is None:
            drawn = self._draw(self._step) if self._coming is None else self._coming.result()
            drawn = drawn.to(self._device, non_blocking=self._pinned)
            if drawn.nbytes * (len(self._kept) + 1) <= self._room:
                self._kept[self._step] = drawn
        self._step += 1
        self._draw_ahead()
        return drawn

    def skip(self) -> None:
        """Pass over a tensor that nobody needs: it is not drawn, and those after it keep their numbers."""
        if self._coming is not None:
            self._coming.cancel()
        self._coming = None  # nothing is drawn ahead now: skipped tensors mostly come in runs
        self._step += 1

    def _draw_ahead(self) -> None:
        wanted = self._ahead and self._step not in self._kept
        self._coming = _thread().submit(self._draw, self._step) if wanted else None

    def _draw(self, step: int) -> torch.Tensor:
        drawn = torch.empty((len(self._keys), *self._shape), dtype=torch.float32, pin_memory=self._pinned)
        bits = np.random.Philox(key=0)  # made once and given each row's key, as making one takes as long as drawing
        fresh, normal = bits.state, np.random.Generator(bits)
        for row, (digest, draw) in zip(drawn.numpy(), self._keys, strict=True):
            fresh["state"]["key"] = np.frombuffer(_digest((digest, self._seed, draw, step)), dtype="<u8")
            bits.state = fresh
            normal.standard_normal(dtype=np.float32, out=row)
        return drawn


class Still(NoiseStream):
    """A stream in which nothing moves: every tensor is zero."""

    def __init__(self, rows: int, shape: Sequence[int], device: torch.device | str) -> None:
        self._zeros = torch.zeros((rows, *shape), device=device)

    def next(self) -> torch.Tensor:
        return self._zeros

    def skip(self) -> None:
        pass


def _digest(key: Sequence[object]) -> bytes:
    """16 bytes, the key of Philox."""
    return hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()[:16]


@cache
def _thread() -> ThreadPoolExecutor:
    """One thread for all streams: what is asked for first is drawn first."""
    return ThreadPoolExecutor(1, "trainedon-noise")
