"""The front door: what the command line does, from Python, in the same words; see docs/python.md.

What takes seconds to import is imported inside functions, after all that can be refused without it.
"""

from trainedon.api.audits import audit, demo, evaluate
from trainedon.api.comparing_runs import compare_runs
from trainedon.api.finished import judge, report, seal, verify
from trainedon.api.making_models import convert, draw, train, train_shadows, twins
from trainedon.api.options import Choices, Machine, Reading
from trainedon.api.planning import plan
from trainedon.api.studies import peaks, sweep

__all__ = [
    "Choices",
    "Machine",
    "Reading",
    "audit",
    "compare_runs",
    "convert",
    "demo",
    "draw",
    "evaluate",
    "judge",
    "peaks",
    "plan",
    "report",
    "seal",
    "sweep",
    "train",
    "train_shadows",
    "twins",
    "verify",
]
