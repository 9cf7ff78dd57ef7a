"""Make a target whose members are known."""

from trainedon.training.manifest import draw_members, read_members
from trainedon.training.train import Recipe, train

__all__ = ["Recipe", "draw_members", "read_members", "train"]
