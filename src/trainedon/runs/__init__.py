"""The run folder, and the engine that fills it."""

import pyarrow as pa

from trainedon.runs.run import Plan, conclude, run
from trainedon.runs.table import conclude_table
from trainedon.runs.verify import verify

pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what short-lived buffers took

__all__ = ["Plan", "conclude", "conclude_table", "run", "verify"]
