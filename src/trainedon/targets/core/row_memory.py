"""How much memory is free where a model works, and what rows of a network take of it."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainedon.free_memory import free_of_system

# Of what is free, what rows may take: on a processor too much is no error that could be heeded, the process is killed;
# elsewhere the libraries of kernels take some for themselves.
SHARE, SHARE_ELSEWHERE = 0.7, 0.85


@dataclass(frozen=True)
class Memory:
    """free: bytes that can still be had. share: of these, what rows of a network may take. fatal: whether taking more
    than there is ends the process, as on a processor; elsewhere it is an error, after which fewer rows are tried."""

    free: int
    share: float = SHARE
    fatal: bool = True

    @classmethod
    def of(cls, device: torch.device) -> Memory | None:
        """That of a device, as it is now; None where the system does not say."""
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by PyTorch, for itself
            return cls(free + kept, SHARE_ELSEWHERE, fatal=False)
        if device.type == "mps":
            free = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
            return cls(max(0, free), SHARE_ELSEWHERE, fatal=False)
        free_here = free_of_system()
        return None if free_here is None else cls(free_here)

    @property
    def room(self) -> int:
        """Bytes that rows of a network may take."""
        return int(self.free * self.share)


@dataclass(frozen=True)
class RowsNeed:
    """Bytes that a network takes while it works, besides its weights. row: for each row. fixed: for any number of them,
    as kernels lay out anew the weights of the layer that they work on."""

    row: int
    fixed: int = 0

    def most(self, memory: Memory) -> int:
        """How many rows there is room for; 0 where there is none for a single one."""
        return max(0, memory.room - self.fixed) // max(1, self.row)

    def bytes(self, rows: int) -> int:
        return self.fixed + rows * self.row


@dataclass(frozen=True)
class Footprint:
    """weights: bytes of each part's weights. network, coder: what a row takes of the network, and a picture of the
    autoencoder; None where there is none, or it cannot be reckoned. back: what a row takes of the network until its
    gradient is known; None likewise, and where nobody asked. words: of a model whose parts are on the device only while
    they work, what the text encoders take there; and with network, coder and back those weights are reckoned that are
    there meanwhile. None: all weights stay there."""

    weights: dict[str, int]
    network: RowsNeed | None
    coder: RowsNeed | None
    back: RowsNeed | None = None
    words: int | None = None


def peak_of(work: Callable[[], object], gradients: bool = False) -> int | None:
    """The most bytes that `work` holds at once, besides what was there before, without computing anything: PyTorch
    walks through it with tensors that have shapes alone. None where it cannot. gradients: whether they are taken."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # late, as it takes a second

    return _peak(work, gradients, FakeTensorMode(allow_non_fake_inputs=True))


def measured_peak(work: Callable[[], object], gradients: bool = False) -> int | None:
    """As `peak_of`, of work that is done: for code of which nothing is known, and which may look at numbers."""
    return _peak(work, gradients, nullcontext())


def _peak(work: Callable[[], object], gradients: bool, mode: AbstractContextManager[object]) -> int | None:
    watch = _Watch()
    try:
        with torch.set_grad_enabled(gradients), mode, watch:
            work()
    except Exception:  # noqa: BLE001 (what a network does may be anything, and not all of it has shapes alone)
        return None
    return watch.most


class _Watch(TorchDispatchMode):
    """Adds up the sizes of the tensors that are made while it is entered, and takes them off as they go."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self._now = 0
        self._held: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        answer = function(*args, **(kwargs or {}))
        if any(one.alias_info is not None for one in function._schema.returns):  # a view, perhaps of a weight
            return answer
        for one in tree_leaves(answer):
            if isinstance(one, torch.Tensor):
                self._add(one.untyped_storage())
        return answer

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._held:
            return
        self._held.add(key)
        self._now += size
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._held.discard(key)
        self._now -= size


def peak_of_process() -> int | None:
    """The most bytes of main memory that this process has held so far; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
