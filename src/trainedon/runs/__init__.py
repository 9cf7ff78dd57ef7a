"""The run folder, and the engine that fills it."""

from trainedon.runs.checking.verify import verify
from trainedon.runs.conclusion import conclude
from trainedon.runs.plan import Plan
from trainedon.runs.run import run
from trainedon.runs.table import conclude_table

__all__ = ["Plan", "conclude", "conclude_table", "run", "verify"]
