"""Make models whose members are known: one of any family, or several as shadows of another."""

from trainedon.training.coins import draw_pictures
from trainedon.training.families import FAMILIES, AnyRecipe, Recipe, recipe_of
from trainedon.training.make_model import make
from trainedon.training.manifest import Manifest, draw_members, read_members
from trainedon.training.our_folders import check_ours
from trainedon.training.shadows import check_shadows_folder, train_shadows
from trainedon.training.train import train

__all__ = [
    "FAMILIES",
    "AnyRecipe",
    "Manifest",
    "Recipe",
    "check_ours",
    "check_shadows_folder",
    "draw_members",
    "draw_pictures",
    "make",
    "read_members",
    "recipe_of",
    "train",
    "train_shadows",
]
