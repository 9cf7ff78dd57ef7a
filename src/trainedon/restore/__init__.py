"""Restore: the audited model paints the hidden part back."""

from trainedon.restore.restorers import RESTORERS, Guided, Join, Masked, Naive, Restorer, parse_restorer
from trainedon.restore.walk import timesteps

__all__ = ["RESTORERS", "Guided", "Join", "Masked", "Naive", "Restorer", "parse_restorer", "timesteps"]
