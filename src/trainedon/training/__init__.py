"""Make models whose members are known: one, or several as shadows of another."""

from trainedon.training.draw import draw_pictures
from trainedon.training.manifest import draw_members, read_members
from trainedon.training.shadows import train_shadows
from trainedon.training.train import Recipe, train

__all__ = ["Recipe", "draw_members", "draw_pictures", "read_members", "train", "train_shadows"]
