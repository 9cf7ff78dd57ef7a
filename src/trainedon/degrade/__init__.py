"""Stage 3: which part of a picture is hidden (regions of interest) and what is done there (degradations)."""

from trainedon.degrade.degradation import (
    Blur,
    Degradation,
    Diffuse,
    Downsample,
    Hide,
    Noise,
    parse_degradation,
    parse_degradations,
)
from trainedon.degrade.roi import (
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
    cover,
    parse_roi,
)

__all__ = [
    "Attention",
    "Blur",
    "Center",
    "Degradation",
    "Diffuse",
    "Downsample",
    "Face",
    "Full",
    "Hide",
    "Inverted",
    "MaskFolder",
    "Noise",
    "Quadrant",
    "Random",
    "Roi",
    "Several",
    "cover",
    "parse_degradation",
    "parse_degradations",
    "parse_roi",
]
