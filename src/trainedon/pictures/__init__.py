"""Stage 1: a folder, a parquet file, an array or a tar becomes decoded, hashed, de-duplicated pictures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainedon.pictures.batch import Batch, fit, from_levels, load_pictures, to_levels
    from trainedon.pictures.inventory import (
        Inventory,
        Item,
        inventory_digest,
        passed_items,
        read_inventory,
        write_inventory,
    )
    from trainedon.pictures.listing.entries import Listing, Passed
    from trainedon.pictures.pixels.decoding import decode
    from trainedon.pictures.pixels.picture import Entry, Picture
    from trainedon.pictures.pixels.rendering import Rendering
    from trainedon.pictures.places.stores import shown
    from trainedon.pictures.sources import scan
    from trainedon.pictures.taking_inventory import cross_duplicates, take_inventory

# where each name is; imported on first use, so that the process that only decodes starts quickly and stays small
_PUBLIC = {
    "batch": ("Batch", "fit", "from_levels", "load_pictures", "to_levels"),
    "pixels.decoding": ("decode",),
    "inventory": ("Inventory", "Item", "inventory_digest", "passed_items", "read_inventory", "write_inventory"),
    "listing.entries": ("Listing", "Passed"),
    "pixels.picture": ("Entry", "Picture"),
    "pixels.rendering": ("Rendering",),
    "sources": ("scan",),
    "taking_inventory": ("cross_duplicates", "take_inventory"),
    "places.stores": ("shown",),
}

__all__ = [
    "Batch",
    "Entry",
    "Inventory",
    "Item",
    "Listing",
    "Passed",
    "Picture",
    "Rendering",
    "cross_duplicates",
    "decode",
    "fit",
    "from_levels",
    "inventory_digest",
    "load_pictures",
    "passed_items",
    "read_inventory",
    "scan",
    "shown",
    "take_inventory",
    "to_levels",
    "write_inventory",
]


def __getattr__(name: str) -> Any:
    for module, names in _PUBLIC.items():
        if name in names:
            return getattr(import_module(f"trainedon.pictures.{module}"), name)
    raise AttributeError(f"module 'trainedon.pictures' has no attribute {name!r}")
