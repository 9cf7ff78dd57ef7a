"""The model under audit: one adapter a family, one safe loader."""

from trainedon.targets.load import load_target
from trainedon.targets.path import NoisePath
from trainedon.targets.target import Denoised, Evaluations, Identity, Target

__all__ = ["Denoised", "Evaluations", "Identity", "NoisePath", "Target", "load_target"]
