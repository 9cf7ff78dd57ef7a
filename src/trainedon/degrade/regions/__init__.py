"""Regions of interest: which part of a picture is hidden from the model."""

from trainedon.degrade.regions.attended import Attention, Ranked, Words, ranked
from trainedon.degrade.regions.face import Face
from trainedon.degrade.regions.masks import MaskFolder
from trainedon.degrade.regions.placed import Center, Full, Quadrant, Random, Tile, cover, quadrants, tiles
from trainedon.degrade.regions.region import NOTHING, Ask, Inverted, Roi, Seen, Several, Share

__all__ = [
    "NOTHING",
    "Ask",
    "Attention",
    "Center",
    "Face",
    "Full",
    "Inverted",
    "MaskFolder",
    "Quadrant",
    "Random",
    "Ranked",
    "Roi",
    "Seen",
    "Several",
    "Share",
    "Tile",
    "Words",
    "cover",
    "quadrants",
    "ranked",
    "tiles",
]
