"""Reading a parquet file a few rows at a time, so that none is held as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 4096  # rows
BUFFER = 1 << 16  # bytes of a column


def opened(path: Path) -> pq.ParquetFile:
    """The file, of which nothing is read ahead. Raises OSError or ArrowException when it is none."""
    return pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)


def give_back() -> None:
    """Give the system what was freed. Allocators keep it, and so a long table would take room several times."""
    for pool in (pa.default_memory_pool(), pa.system_memory_pool()):
        pool.release_unused()


def batches(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some columns, at most BATCH rows at a time."""
    return file.iter_batches(batch_size=BATCH, columns=list(columns), use_threads=False)
