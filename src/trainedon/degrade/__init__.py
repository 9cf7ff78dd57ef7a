"""Stage 3: which part of a picture is hidden (regions of interest) and what is done there (degradations)."""

from trainedon.degrade import regions as roi
from trainedon.degrade.degradation import Blur, Degradation, Diffuse, Downsample, Fade, Hide, Mosaic, Noise
from trainedon.degrade.regions import (
    Attention,
    Center,
    Face,
    Full,
    Inverted,
    MaskFolder,
    Quadrant,
    Random,
    Roi,
    Several,
    Words,
    cover,
)

__all__ = [
    "Attention",
    "Blur",
    "Center",
    "Degradation",
    "Diffuse",
    "Downsample",
    "Face",
    "Fade",
    "Full",
    "Hide",
    "Inverted",
    "MaskFolder",
    "Mosaic",
    "Noise",
    "Quadrant",
    "Random",
    "Roi",
    "Several",
    "Words",
    "cover",
    "roi",
]
