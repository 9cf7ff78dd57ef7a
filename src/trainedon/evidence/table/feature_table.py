"""Features of a sample of the pictures (`looks.parquet`), by an encoder that never saw the audited model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainedon.errors import UserError
from trainedon.formats.arrow_schemas import FEATURES
from trainedon.parquet import opened


@dataclass(frozen=True)
class FeatureTable:
    """(set, picture) -> features float32 (d,) of some or all pictures, by the encoder of that name."""

    encoder: str
    vectors: Mapping[tuple[str, str], npt.NDArray[np.float32]]


def read_features(path: Path) -> FeatureTable | None:
    """Read `looks.parquet`; None when there is no such file.

    Raises UserError when it is damaged or another kind of file.
    """
    try:
        with opened(path) as file:
            table = file.table(FEATURES)
        encoder = (table.schema.metadata or {})[b"encoder"].decode()
        features = table["features"].combine_chunks().to_numpy(zero_copy_only=False)
        if not all(one is not None and len(one) == len(features[0]) and np.isfinite(one).all() for one in features):
            raise ValueError("features of different lengths")
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, ValueError, KeyError):
        raise UserError(
            f"{path} is not a list of features of this program; delete it and run the audit again"
        ) from None
    names = zip(table["set"].to_pylist(), table["picture"].to_pylist(), strict=True)
    return FeatureTable(encoder, dict(zip(names, features, strict=True)))
