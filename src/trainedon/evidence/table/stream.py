"""Giving memory back that reading a long table took."""

from __future__ import annotations

import pyarrow as pa


def give_back() -> None:
    """Give the system what was freed. Allocators keep it, and so a long table would take room several times."""
    for pool in (pa.default_memory_pool(), pa.system_memory_pool()):
        pool.release_unused()
