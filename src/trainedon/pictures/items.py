"""The list of all pictures of a run: what each one is, and why some cannot be used (`pictures.parquet`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trainedon.errors import PictureError, UserError
from trainedon.files import whole
from trainedon.pictures.looks import detail, jpeg_trace, perceptual_hash
from trainedon.pictures.picture import Entry, digest, unpack

_SHARPNESS_SIDE = 256  # pixels
_AMONG = {"suspect": "also among the suspects", "member": "also among the members"}


@dataclass(frozen=True)
class Item:
    """One row of `pictures.parquet`.

    picture, sha256, set (`suspect` | `unseen` | `member`), label: as in Picture; sha256 is None when nothing was read.
    reason: why the picture is not used, None when it is.
    format, mode, width, height (pixels), bytes: facts, None when it could not be decoded; so are the statistics:
    mean_*, std_*: colour statistics of each channel over all pixels, in [0, 1].
    sharpness: variance of the 3 x 3 Laplacian (4 neighbours) of the grey picture in [0, 255], its longer side reduced
    to 256 pixels if it has more.
    phash, jpeg_trace, detail: as in `looks`; phash is None for a picture without structure too.
    """

    picture: str
    sha256: str | None
    set: str
    label: int | None
    reason: str | None = None
    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    mean_r: float | None = None
    mean_g: float | None = None
    mean_b: float | None = None
    std_r: float | None = None
    std_g: float | None = None
    std_b: float | None = None
    sharpness: float | None = None
    phash: str | None = None
    jpeg_trace: float | None = None
    detail: float | None = None


_TEXT = ("picture", "sha256", "set", "reason", "format", "mode", "phash")
_LATER = ("phash", "jpeg_trace", "detail")  # columns that older files lack
_WHOLE = ("label", "width", "height", "bytes")
_SCHEMA = pa.schema(
    [
        (name, pa.string() if name in _TEXT else pa.int64() if name in _WHOLE else pa.float64())
        for name in Item.__dataclass_fields__
    ]
)


def inventory(
    entries: Sequence[Entry],
    set_name: str,
    progress: Callable[[int, int], None] | None = None,
) -> list[Item]:
    """Read and decode every picture of a source once. entries: as `scan` gives them.

    set_name: `suspect`, `unseen` or `member`. progress: called with (done, total) after each picture.
    Pictures that cannot be used stay in the list, with the reason; of exact duplicates the first is used.
    """
    first: dict[str, str] = {}  # sha256 -> name
    items = []
    for done, entry in enumerate(entries, start=1):
        item = _examine(entry, set_name)
        if item.reason is None:
            original = first.setdefault(item.sha256, item.picture)
            if original != item.picture:
                item = replace(item, reason=f"exact duplicate of {original}")
        items.append(item)
        if progress is not None:
            progress(done, len(entries))
    return items


def _examine(entry: Entry, set_name: str) -> Item:
    sha256 = None
    try:
        data = entry.data()
        sha256 = digest(data)
        rgb, facts = unpack(data)
    except PictureError as error:
        return Item(entry.name, sha256, set_name, entry.label, reason=str(error))
    return Item(entry.name, sha256, set_name, entry.label, **facts, **statistics(rgb))


def statistics(rgb: np.ndarray) -> dict[str, float | str | None]:
    """Colour statistics from the histogram (exact, and small for a large picture), sharpness, and looks."""
    image = Image.fromarray(rgb)
    counts = np.array(image.histogram(), dtype=np.float64).reshape(3, 256)
    levels = np.arange(256) / 255
    pixels = rgb.shape[0] * rgb.shape[1]
    mean = counts @ levels / pixels
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / pixels
    named = {f"mean_{channel}": float(value) for channel, value in zip("rgb", mean)}
    named |= {f"std_{channel}": float(value) for channel, value in zip("rgb", np.sqrt(variance))}
    looks = {"phash": perceptual_hash(rgb), "jpeg_trace": jpeg_trace(rgb), "detail": detail(rgb)}
    return named | {"sharpness": _sharpness(image)} | looks


def _sharpness(image: Image.Image) -> float:
    grey = image.convert("L")
    longer = max(grey.size)
    if longer > _SHARPNESS_SIDE:
        small = tuple(max(1, round(side * _SHARPNESS_SIDE / longer)) for side in grey.size)
        grey = grey.resize(small, Image.Resampling.LANCZOS)
    x = np.pad(np.asarray(grey, dtype=np.float64), 1, mode="edge")
    laplacian = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]
    return float(laplacian.var())


def cross_duplicates(items: Sequence[Item]) -> list[Item]:
    """Set aside every usable unseen picture that is, byte for byte, among the suspects or the members too.

    items: those of all sets. Returns them in the same order; a picture known to be given is no unseen picture.
    """
    given = {item.sha256: _AMONG[item.set] for item in items if item.reason is None and item.set in _AMONG}
    return [
        replace(item, reason=given[item.sha256])
        if item.set == "unseen" and item.reason is None and item.sha256 in given
        else item
        for item in items
    ]


def inventory_digest(items: Iterable[Item]) -> str:
    """sha256, hex, over the (set, picture, sha256, label) rows; it does not depend on their order."""
    rows = sorted(json.dumps([item.set, item.picture, item.sha256, item.label]) for item in items)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def write_inventory(items: Iterable[Item], path: Path) -> None:
    """Write `pictures.parquet`, whole or not at all."""
    table = pa.Table.from_pylist([asdict(item) for item in items], schema=_SCHEMA)
    with whole(Path(path)) as stream:
        pq.write_table(table, stream)


def read_inventory(path: Path) -> list[Item]:
    """Read `pictures.parquet`; columns that it was written before are None.

    Raises UserError when it is missing, damaged or another kind of file.
    """
    try:
        table = pq.read_table(path)
        for name in _LATER:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(len(table)))
        table = table.select(_SCHEMA.names).cast(_SCHEMA)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run the audit again") from None
    except (pa.ArrowException, OSError, ValueError, KeyError):
        raise UserError(f"{path} is not a list of pictures of this program; run the audit again") from None
    return [Item(**row) for row in table.to_pylist()]
