"""Restore: the audited model paints the hidden part back."""

from trainedon.restore.guided import DPS, Guided, PiGDM
from trainedon.restore.inpaint import Inpaint
from trainedon.restore.joined import DDNM, Join, Naive
from trainedon.restore.particles import Twisted
from trainedon.restore.restorer import Masked, Restorer
from trainedon.restore.walk import timesteps

__all__ = [
    "DDNM",
    "DPS",
    "Guided",
    "Inpaint",
    "Join",
    "Masked",
    "Naive",
    "PiGDM",
    "Restorer",
    "Twisted",
    "timesteps",
]
