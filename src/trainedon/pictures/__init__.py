"""Stage 1: a folder, a parquet file or an array becomes decoded, hashed, de-duplicated pictures."""

from trainedon.pictures.batch import Batch, fit, from_levels, load_pictures, to_levels
from trainedon.pictures.decoding import decode
from trainedon.pictures.items import (
    Item,
    cross_duplicates,
    inventory,
    inventory_digest,
    read_inventory,
    write_inventory,
)
from trainedon.pictures.picture import Entry, Picture
from trainedon.pictures.sources import scan

__all__ = [
    "Batch",
    "Entry",
    "Item",
    "Picture",
    "cross_duplicates",
    "decode",
    "fit",
    "from_levels",
    "inventory",
    "inventory_digest",
    "load_pictures",
    "read_inventory",
    "scan",
    "to_levels",
    "write_inventory",
]
