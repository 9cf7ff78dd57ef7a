"""The columns of a run's tables; how files of them are written, and the list of pictures opened, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainedon.errors import UserError
from trainedon.files import write_atomically
from trainedon.parquet import Reader, opened

SCORES = pa.schema(
    [
        ("picture", pa.string()),
        ("sha256", pa.string()),
        ("set", pa.string()),
        ("attack", pa.string()),
        ("attack_repr", pa.string()),
        ("score", pa.float64()),
        ("reason", pa.string()),
        ("nfe", pa.int64()),
        ("seconds", pa.float64()),
    ]
)
# A table of scores that was given may say which pictures are near-duplicates of each other, and whose works they are.
GIVEN_SCORES = SCORES.append(pa.field("cluster", pa.string())).append(pa.field("source", pa.string()))
# A shard also holds what an attack that learns has observed, until all shards are there.
SHARD_SCORES = SCORES.append(pa.field("observed", pa.list_(pa.float64())))


class ScoreRow(TypedDict):
    """A row of SCORES, or of SHARD_SCORES."""

    picture: str
    sha256: str | None
    set: str
    attack: str
    attack_repr: str
    score: float | None
    reason: str | None
    nfe: int
    seconds: float
    observed: NotRequired[np.ndarray]


PART_SCORES = pa.schema([("place", pa.int64()), ("answer", pa.list_(pa.float64()))])  # of a shard that is not whole
FEATURES = pa.schema(
    [("set", pa.string()), ("picture", pa.string()), ("sha256", pa.string()), ("features", pa.list_(pa.float32()))]
)
# How those pictures look without an encoder; files of earlier versions have none of these.
LOOKS = pa.schema(
    [
        ("layout", pa.list_(pa.float32())),
        ("thumbnail", pa.list_(pa.uint8())),
        ("grain", pa.list_(pa.float32())),
        ("levels", pa.list_(pa.float32())),
        ("borders", pa.list_(pa.float32())),
    ]
)
# Likewise, in files of later versions than those.
SIDES = pa.schema([("fringes", pa.list_(pa.float32()))])
# Features of the mirror images of those that are asked about, null for the others; absent where no encoder was used.
MIRRORED = pa.schema([("mirrored", pa.list_(pa.float32()))])
PICTURES = pa.schema(
    [
        ("picture", pa.string()),
        ("sha256", pa.string()),
        ("set", pa.string()),
        ("label", pa.int64()),
        ("reason", pa.string()),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("bytes", pa.int64()),
        ("mean_r", pa.float64()),
        ("mean_g", pa.float64()),
        ("mean_b", pa.float64()),
        ("std_r", pa.float64()),
        ("std_g", pa.float64()),
        ("std_b", pa.float64()),
        ("sharpness", pa.float64()),
        ("phash", pa.string()),
        ("jpeg_trace", pa.float64()),
        ("detail", pa.float64()),
        ("caption", pa.string()),
        ("label_from", pa.string()),
        ("alpha", pa.bool_()),
        ("orientation", pa.int64()),
        ("source", pa.string()),
    ]
)
# older lists lack them
LATER = ("phash", "jpeg_trace", "detail", "caption", "label_from", "alpha", "orientation", "source")
TEXT = tuple(field.name for field in PICTURES if pa.types.is_string(field.type))  # every other column holds numbers


@contextmanager
def written(path: Path, schema: pa.Schema, use_dictionary: bool | Sequence[str] = True) -> Iterator[pq.ParquetWriter]:
    """A writer whose tables become the parquet file `path`, whole or not at all, when the block ends well."""
    with write_atomically(path) as stream, pq.ParquetWriter(stream, schema, use_dictionary=use_dictionary) as writer:
        yield writer


@contextmanager
def opened_pictures(path: Path) -> Iterator[Reader]:
    """`pictures.parquet`, to be read within the block. Raises UserError when it is missing, damaged or another kind of
    file, also where the block finds that."""
    try:
        with opened(path) as file:
            if len({*file.names}) < len(file.names):
                raise pa.ArrowInvalid("it has a column twice")
            yield file
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run the audit again") from None
    except (pa.ArrowException, OSError, ValueError, KeyError):
        raise UserError(f"{path} is not a list of pictures of this program; run the audit again") from None
