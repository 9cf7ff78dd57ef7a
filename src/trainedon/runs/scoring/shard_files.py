"""The files of shards: where they lie, how they are written, and when they are believed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainedon.attacks import Attack
from trainedon.errors import UserError
from trainedon.files import write_atomically
from trainedon.formats.arrow_schemas import SHARD_SCORES
from trainedon.parquet import opened


def shard_path(shards: Path, number: int, attack: Attack, name: str) -> Path:
    """Where a shard of an attack of the run lies, in its folder of shards. name: made of the pictures."""
    return shards / f"{number:02d}-{attack.filed}" / f"{name}.parquet"


def save_shard(table: pa.Table, path: Path, writer: str = "", synced: bool = True) -> None:
    """Write a shard, whole or not at all. writer, synced: as `write_atomically` takes them."""
    with write_atomically(path, writer, synced) as stream:
        pq.write_table(table, stream)


def is_complete(path: Path, rows: int) -> bool:
    """Whether a shard is there and can be read: where a file system or a copy cut it short, it is scored again."""
    try:
        with opened(path) as file:
            return bool(file.names == SHARD_SCORES.names and file.file.metadata.num_rows == rows)
    except (OSError, UserError, pa.ArrowException):
        return False


def read_shard(path: Path) -> pa.Table:
    """All of a shard. Raises UserError where it cannot be read after all."""
    try:
        with opened(path) as file:
            return file.table(SHARD_SCORES)
    except (OSError, ValueError, pa.ArrowException):  # a text that is none is a ValueError
        raise UserError(f"{path} is damaged: delete it; the same command goes on") from None
