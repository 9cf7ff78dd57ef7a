"""Memory that Arrow keeps after reading a long table."""

from __future__ import annotations

import pyarrow as pa


def release_unused() -> None:
    """Return memory that is free to the system. Arrow's pools keep it, which would add to the peak of the next step."""
    for pool in (pa.default_memory_pool(), pa.system_memory_pool()):
        pool.release_unused()
