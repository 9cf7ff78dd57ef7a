"""The run folder, and the engine that fills it."""

from trainedon.runs.run import Plan, conclude, run
from trainedon.runs.table import conclude_table
from trainedon.runs.verify import verify

__all__ = ["Plan", "conclude", "conclude_table", "run", "verify"]
