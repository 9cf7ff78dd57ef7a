"""Kinds of models that can be trained here: one file each, with its recipe and its lesson."""

from dataclasses import fields
from typing import Any

from trainedon.errors import UserError
from trainedon.training.families.adapter import AdapterRecipe
from trainedon.training.families.autoencoder import AutoencoderRecipe
from trainedon.training.families.dit import DitRecipe
from trainedon.training.families.latent_family import LatentRecipe
from trainedon.training.families.lesson import AnyRecipe, Lesson, Material
from trainedon.training.families.pixel_family import Recipe
from trainedon.training.families.text_family import TextRecipe

FAMILIES = {
    kind.family: kind for kind in (Recipe, LatentRecipe, TextRecipe, DitRecipe, AutoencoderRecipe, AdapterRecipe)
}

__all__ = [
    "FAMILIES",
    "AdapterRecipe",
    "AnyRecipe",
    "AutoencoderRecipe",
    "DitRecipe",
    "LatentRecipe",
    "Lesson",
    "Material",
    "Recipe",
    "TextRecipe",
    "recipe_of",
]


def recipe_of(family: str, **given: Any) -> AnyRecipe:
    """The recipe of a family with what is given; the rest, and what is None, as the family has it.

    Raises UserError for another family, and for something that this one knows nothing of.
    """
    if family not in FAMILIES:
        raise UserError(f"family {family!r} is not known: choose one of {', '.join(FAMILIES)}")
    chosen = {name: value for name, value in given.items() if value is not None}
    if foreign := sorted(set(chosen) - {field.name for field in fields(FAMILIES[family])}):
        raise UserError(f"family {family} takes no {', '.join(foreign)}: leave it out")
    return FAMILIES[family](**chosen)
