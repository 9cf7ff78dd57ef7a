"""Stage 8: a run folder in, one HTML file out. Needs no model, no torch and no network."""

from trainedon.reporting.page import page, render
from trainedon.reporting.run_folder import read

__all__ = ["page", "read", "render"]
