"""Reading a parquet file a few rows at a time, so that none is held as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainedon.reading import open_regular

BATCH = 4096  # rows
BUFFER = 1 << 16  # bytes of a column


def opened(path: Path, schema: pa.Schema | None = None) -> pq.ParquetFile:
    """The file, of which nothing is read ahead.

    schema: which columns it must have, of which types. Raises OSError or ArrowException when it is none, and UserError
    when it is no regular file.
    """
    open_regular(path).close()
    file = pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
    if schema is not None and not file.schema_arrow.equals(schema):
        file.close()
        raise pa.ArrowInvalid("its columns are others")
    return file


def give_back() -> None:
    """Give the system what was freed. Allocators keep it, and so a long table would take room several times."""
    for pool in (pa.default_memory_pool(), pa.system_memory_pool()):
        pool.release_unused()


def batches(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some columns, at most BATCH rows at a time."""
    return file.iter_batches(batch_size=BATCH, columns=list(columns), use_threads=False)
