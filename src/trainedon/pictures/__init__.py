"""Stage 1: a folder, a parquet file, an array or a tar becomes decoded, hashed, de-duplicated pictures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainedon.pictures.batch import Batch, fit, from_levels, load_pictures, to_levels
    from trainedon.pictures.decoding import decode
    from trainedon.pictures.entries import Listing, Passed
    from trainedon.pictures.inventory import cross_duplicates, take_inventory
    from trainedon.pictures.items import (
        Inventory,
        Item,
        inventory_digest,
        passed_items,
        read_inventory,
        write_inventory,
    )
    from trainedon.pictures.picture import Entry, Picture
    from trainedon.pictures.rendering import Rendering
    from trainedon.pictures.sources import scan
    from trainedon.pictures.stores import shown

# where each name is; imported on first use, so that the process that only decodes starts quickly and stays small
_PUBLIC = {
    "batch": ("Batch", "fit", "from_levels", "load_pictures", "to_levels"),
    "decoding": ("decode",),
    "items": ("Inventory", "Item", "inventory_digest", "passed_items", "read_inventory", "write_inventory"),
    "entries": ("Listing", "Passed"),
    "picture": ("Entry", "Picture"),
    "rendering": ("Rendering",),
    "sources": ("scan",),
    "inventory": ("cross_duplicates", "take_inventory"),
    "stores": ("shown",),
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
