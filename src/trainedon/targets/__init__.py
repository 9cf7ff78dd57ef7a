"""The model under audit: one adapter a family, one safe loader; and the models that attacks hold beside it."""

from trainedon.targets.core.batching import PAD, Batching
from trainedon.targets.core.denoised import Denoised
from trainedon.targets.core.evaluations import Evaluations
from trainedon.targets.core.identity import Identity
from trainedon.targets.core.journal import Journal
from trainedon.targets.core.pace import Pace
from trainedon.targets.core.path import NoisePath
from trainedon.targets.core.service import Service
from trainedon.targets.core.symmetry import (
    SYMMETRIES,
    Symmetric,
    asked_in,
    changed,
    named_symmetries,
    no_reference,
    relative,
)
from trainedon.targets.core.target import Target
from trainedon.targets.core.transformations import TRANSFORMATIONS, check_symmetries
from trainedon.targets.helpers import ControlModel, Reference, Shadows
from trainedon.targets.load import load_target
from trainedon.targets.research_layouts import from_edm, from_guided_diffusion, from_lucidrains

__all__ = [
    "PAD",
    "SYMMETRIES",
    "TRANSFORMATIONS",
    "Batching",
    "ControlModel",
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
    "asked_in",
    "changed",
    "check_symmetries",
    "from_edm",
    "from_guided_diffusion",
    "from_lucidrains",
    "load_target",
    "named_symmetries",
    "no_reference",
    "relative",
]
