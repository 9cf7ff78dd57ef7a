"""Stage 8: a run folder in, one HTML file out. Needs no model, no torch and no network."""

from trainedon.report.page import render

__all__ = ["render"]
