"""The run folder, and the engine that fills it."""

from trainedon.runs.checking.verify import verify
from trainedon.runs.plan import Plan
from trainedon.runs.run import conclude, run
from trainedon.runs.table import conclude_table

__all__ = ["Plan", "conclude", "conclude_table", "run", "verify"]
