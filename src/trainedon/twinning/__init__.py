"""Copies of pictures that serve equally well, of which a coin chooses the one to be published."""

from trainedon.twinning.copies import AUTO, WAYS, Way, copies, known_way
from trainedon.twinning.make_twins import KEEP, PUBLISH, make_twins

__all__ = ["AUTO", "KEEP", "PUBLISH", "WAYS", "Way", "copies", "known_way", "make_twins"]
