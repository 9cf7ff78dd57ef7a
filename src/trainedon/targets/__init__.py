"""The model under audit: one adapter a family, one safe loader; and the models that attacks hold beside it."""

from trainedon.targets.batching import PAD, Batching
from trainedon.targets.evaluations import Evaluations
from trainedon.targets.helpers import Reference, Shadows
from trainedon.targets.journal import Journal
from trainedon.targets.load import load_target
from trainedon.targets.pace import Pace
from trainedon.targets.path import NoisePath
from trainedon.targets.service import Service
from trainedon.targets.symmetry import (
    NO_REFERENCE,
    SYMMETRIES,
    Symmetric,
    changed,
    check_symmetries,
    parse_symmetries,
    relative,
)
from trainedon.targets.target import Denoised, Identity, Target

__all__ = [
    "NO_REFERENCE",
    "PAD",
    "SYMMETRIES",
    "Batching",
    "Denoised",
    "Evaluations",
    "Identity",
    "Journal",
    "NoisePath",
    "Pace",
    "Reference",
    "Service",
    "Shadows",
    "Symmetric",
    "Target",
    "changed",
    "check_symmetries",
    "load_target",
    "parse_symmetries",
    "relative",
]
