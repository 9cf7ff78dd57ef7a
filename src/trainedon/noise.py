"""Noise as a function of (picture, seed, draw, step): no generator state, no global seed.

Philox is counter-based and numpy's normals are table-driven, so the same key gives the same float32 numbers on
every processor, whatever the batch, the order or the neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch


def generator(*key: object) -> np.random.Generator:
    """A fresh random generator that depends on `key` alone (any printable parts, compared as text)."""
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


class NoiseStream:
    """Standard normal noise, one tensor after another, for a fixed set of rows.

    Row i of the k-th tensor is a function of (sha256[i], seed, draws[i], k) and of nothing else.
    """

    def __init__(
        self,
        sha256: Sequence[str],
        draws: Sequence[int],
        shape: Sequence[int],
        *,
        seed: int,
        device: torch.device | str,
    ) -> None:
        self._keys = list(zip(sha256, draws, strict=True))
        self._shape, self._seed, self._device = tuple(shape), seed, device
        self._step = 0

    def next(self) -> torch.Tensor:
        """float32 (rows, *shape), drawn on the CPU and moved to the device."""
        rows = np.empty((len(self._keys), *self._shape), dtype=np.float32)
        for row, (digest, draw) in zip(rows, self._keys, strict=True):
            generator(digest, self._seed, draw, self._step).standard_normal(dtype=np.float32, out=row)
        self._step += 1
        return torch.from_numpy(rows).to(self._device)
