"""The run folder, and the engine that fills it."""

from trainedon.runs.run import Plan, conclude, run

__all__ = ["Plan", "conclude", "run"]
