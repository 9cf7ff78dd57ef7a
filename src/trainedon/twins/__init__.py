"""Copies of pictures that serve equally well, of which a coin chooses the one to be published."""

from trainedon.twins.copies import WAYS, Way, copies
from trainedon.twins.make_twins import KEEP, PUBLISH, make_twins

__all__ = ["KEEP", "PUBLISH", "WAYS", "Way", "copies", "make_twins"]
