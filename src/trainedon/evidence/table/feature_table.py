"""Features of a sample of the pictures (`looks.parquet`), by an encoder that never saw the audited model; and how these
pictures look without any encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainedon.errors import UserError
from trainedon.formats.arrow_schemas import FEATURES, LOOKS
from trainedon.parquet import opened

Vectors = Mapping[tuple[str, str], npt.NDArray[np.generic]]


@dataclass(frozen=True)
class FeatureTable:
    """Of some or all pictures, by (set, picture).

    vectors: features float32 (d,), by the encoder of that name. looks: each column of LOOKS, of the same pictures: its
    name -> float32 or uint8 (k,); empty where the file is of an earlier version.
    """

    encoder: str
    vectors: Mapping[tuple[str, str], npt.NDArray[np.float32]]
    looks: Mapping[str, Vectors] = field(default_factory=dict)


def read_features(path: Path) -> FeatureTable | None:
    """Read `looks.parquet`; None when there is no such file.

    Raises UserError when it is damaged or another kind of file.
    """
    try:
        with opened(path) as file:
            further = LOOKS if {*LOOKS.names} <= {*file.names} else ()
            table = file.table(pa.schema([*FEATURES, *further]))
        encoder = (table.schema.metadata or {})[b"encoder"].decode()
        names = [*zip(table["set"].to_pylist(), table["picture"].to_pylist(), strict=True)]
        vectors = {column: dict(zip(names, _rows(table[column]), strict=True)) for column in table.schema.names[3:]}
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, ValueError, KeyError):
        raise UserError(
            f"{path} is not a list of features of this program; delete it and run the audit again"
        ) from None
    return FeatureTable(encoder, vectors.pop("features"), vectors)


def _rows(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """The lists of a column as arrays. Raises ValueError where one is missing, longer than the first or not finite."""
    rows: npt.NDArray[np.object_] = column.combine_chunks().to_numpy(zero_copy_only=False)
    if not all(one is not None and len(one) == len(rows[0]) and np.isfinite(one).all() for one in rows):
        raise ValueError("features of different lengths")
    return rows
