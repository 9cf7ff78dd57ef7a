"""Stage 1: a folder, a parquet file, an array or a tar becomes decoded, hashed, de-duplicated pictures."""

from trainedon.pictures.batch import Batch, fit, from_levels, load_pictures, to_levels
from trainedon.pictures.decoding import decode
from trainedon.pictures.items import Inventory, Item, inventory_digest, passed_items, read_inventory, write_inventory
from trainedon.pictures.listing import Listing, Passed
from trainedon.pictures.picture import Entry, Picture
from trainedon.pictures.rendering import Rendering
from trainedon.pictures.sources import scan
from trainedon.pictures.stock import cross_duplicates, inventory
from trainedon.pictures.stores import shown

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
    "inventory",
    "inventory_digest",
    "load_pictures",
    "passed_items",
    "read_inventory",
    "scan",
    "shown",
    "to_levels",
    "write_inventory",
]
