"""Features of a sample of the pictures (`looks.parquet`), by an encoder that never saw the audited model; and how these
pictures look without any encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainedon.errors import UserError
from trainedon.formats.arrow_schemas import FEATURES, LOOKS, MIRRORED, SIDES
from trainedon.parquet import opened

Vectors = Mapping[tuple[str, str], npt.NDArray[np.generic]]


@dataclass(frozen=True)
class FeatureTable:
    """Of some or all pictures, by (set, picture).

    vectors: features float32 (d,), by the encoder of that name. looks: each column of LOOKS and SIDES, of the same
    pictures: its name -> float32 or uint8 (k,); those of SIDES, or all, are missing where the file is of an earlier
    version. mirrored: features of the mirror images of some of these pictures, float32 (d,); empty where no encoder was
    used, and of earlier versions.
    """

    encoder: str
    vectors: Mapping[tuple[str, str], npt.NDArray[np.float32]]
    looks: Mapping[str, Vectors] = field(default_factory=dict)
    mirrored: Mapping[tuple[str, str], npt.NDArray[np.float32]] = field(default_factory=dict)


def read_features(path: Path) -> FeatureTable | None:
    """Read `looks.parquet`; None when there is no such file.

    Raises UserError when it is damaged or another kind of file.
    """
    try:
        with opened(path) as file:
            further = [field for part in (LOOKS, SIDES, MIRRORED) if {*part.names} <= {*file.names} for field in part]
            table = file.table(pa.schema([*FEATURES, *further]))
        encoder = (table.schema.metadata or {})[b"encoder"].decode()
        names = [*zip(table["set"].to_pylist(), table["picture"].to_pylist(), strict=True)]
        mirrored: dict[tuple[str, str], npt.NDArray[np.float32]] = {}
        if MIRRORED.names[0] in table.schema.names:
            mirrored = _mirrored(names, table)
            table = table.drop_columns(MIRRORED.names)
        vectors = {column: dict(zip(names, _rows(table[column]), strict=True)) for column in table.schema.names[3:]}
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, ValueError, KeyError):
        raise UserError(
            f"{path} is not a list of features of this program; delete it and run the audit again"
        ) from None
    return FeatureTable(encoder, vectors.pop("features"), vectors, mirrored)


def _mirrored(names: Sequence[tuple[str, str]], table: pa.Table) -> dict[tuple[str, str], npt.NDArray[np.float32]]:
    """Features of the mirror images of those that have some. Raises ValueError where they are not as long as the
    pictures' own, or not finite."""
    there = table[MIRRORED.names[0]].is_valid()
    asked = [name for name, has in zip(names, there.to_pylist(), strict=True) if has]
    rows = _rows(table.filter(there)[MIRRORED.names[0]])
    if len(rows) and len(rows[0]) != len(table["features"][0]):
        raise ValueError("features of different lengths")
    return dict(zip(asked, rows, strict=True))


def _rows(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """The lists of a column as arrays. Raises ValueError where one is missing, longer than the first or not finite."""
    rows: npt.NDArray[np.object_] = column.combine_chunks().to_numpy(zero_copy_only=False)
    if not all(one is not None and len(one) == len(rows[0]) and np.isfinite(one).all() for one in rows):
        raise ValueError("features of different lengths")
    return rows
