"""A LoRA, or another adapter, on top of a latent model."""

from trainedon.targets.adapters.adapter_files import Adapter, Adapters, adapters_of, digest_with, named
from trainedon.targets.adapters.fuse import fuse

__all__ = ["Adapter", "Adapters", "adapters_of", "digest_with", "fuse", "named"]
