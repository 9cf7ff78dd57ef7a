"""Stage 8: a run folder in, one HTML file out. Needs no model, no torch and no network."""

from trainedon.report.folder import read
from trainedon.report.page import page, render

__all__ = ["page", "read", "render"]
