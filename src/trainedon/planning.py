"""What a run of any size would take: network passes, hours and bytes, from one batch measured here."""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from math import ceil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from trainedon.attacks import Attack, Cost, short
from trainedon.errors import UserError
from trainedon.pictures import Batch, Item, inventory, scan, write_inventory
from trainedon.runs.engine import SCHEMA, SHARD, SHARD_SCHEMA
from trainedon.targets import Target

Clock = Callable[[], float]

LARGEST = 10**15  # of a count; beyond it one has mistyped
SUFFIXES = {"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
REPETITIONS = 5
PATIENCE = 30.0  # seconds; a slow network is timed fewer times
SAMPLED = 64  # pictures


@dataclass(frozen=True)
class Demand:
    """What one attack asks of the network. name: as one would type it. text: its `repr`. rows: how many go through the
    network at once."""

    name: str
    text: str
    cost: Cost
    rows: int


@dataclass(frozen=True)
class Speed:
    """Seconds a row with `rows` rows at once: `forward`, and what the pass back to the input adds (None: not timed)."""

    rows: int
    forward: float
    backward: float | None = None


@dataclass(frozen=True)
class Sample:
    """Some of the pictures. bytes: mean size of one as it is stored. inventory, reading: seconds a picture, for taking
    stock of it and for reading and decoding it again to be scored."""

    pictures: int
    bytes: float
    inventory: float
    reading: float


@dataclass(frozen=True)
class RowBytes:
    """Bytes a picture, measured on files of this program. scores: all attacks together. shards: the same, while the run
    is unfinished. inventory: `pictures.parquet`."""

    scores: float
    shards: float
    inventory: float


@dataclass(frozen=True)
class Line:
    """One attack, or all together. forward, backward: passes a picture. setup: forward passes, once on each device.
    passes: for all pictures, forward and backward and set-up."""

    attack: str
    forward: int
    backward: int
    setup: int
    passes: int
    device_hours: float


@dataclass(frozen=True)
class Written:
    """Bytes. shards: files that are gone when the run is complete; shard_files: how many there are until then."""

    scores: int
    inventory: int
    shards: int
    shard_files: int


@dataclass(frozen=True)
class Estimate:
    """What a run would take, and what that rests on.

    device: which one was measured. wall_hours: by the clock, with `devices` devices. bytes_read: every picture twice,
    None when the size of a picture is not known. stock_hours: for taking stock of all pictures in one process, None
    without a sample of them.
    """

    pictures: int
    devices: int
    device: str
    attacks: tuple[Line, ...]
    together: Line
    wall_hours: float
    stock_hours: float | None
    bytes_written: Written
    bytes_read: int | None
    speeds: tuple[Speed, ...]
    sample: Sample | None
    rests_on: tuple[str, ...]


def plan(
    target: Target,
    attacks: Sequence[Attack],
    pictures: int,
    devices: int = 1,
    *,
    source: Path | None = None,
    bytes_per_picture: int | None = None,
    clock: Clock = time.perf_counter,
) -> Estimate:
    """Measure network, files and, where there is a source, a sample of its pictures; then `estimate`.

    Raises UserError when an attack does not go with the target, or a batch does not fit on the device.
    """
    for attack in attacks:
        attack.check(target)
    asked = [demand(target, attack) for attack in attacks]
    sample = None if source is None else look_at(target, source, clock)
    if bytes_per_picture is None and sample is not None:
        bytes_per_picture = round(sample.bytes)
    found = estimate(
        asked, measure_all(target, asked, clock), row_bytes(asked), pictures, devices, bytes_per_picture, sample
    )
    return replace(found, device=describe(target.device), rests_on=(*found.rests_on, *_cautions(target, attacks)))


def count(text: str, what: str) -> int:
    """`1000000`, `1_000_000`, `1e6`, `1M`, `1.5M`: a whole number of 1 or more; suffixes k, M, G or B, T.

    what: the name of the option, for the UserError that anything else raises.
    """
    digits = text.strip().lower()
    factor = SUFFIXES.get(digits[-1:], 1)
    try:
        value = Decimal(digits if factor == 1 else digits[:-1]) * factor
    except InvalidOperation:
        value = Decimal("NaN")
    if not (value.is_finite() and 1 <= value <= LARGEST and value == int(value)):
        raise UserError(
            f"{what} takes a whole number from 1 to {LARGEST:.0e}, such as 1000000, 1_000_000, 1e6 or 1M, not {text!r}"
        )
    return int(value)


def demand(target: Target, attack: Attack) -> Demand:
    """What an attack asks of this target. A shard has SHARD pictures, and an attack goes over it in parts that fill
    about `target.rows` rows of the network."""
    at_once = min(SHARD, max(1, target.rows // attack.rows()))
    return Demand(short(attack), repr(attack), attack.cost(target), min(target.rows, at_once * attack.rows()))


def measure_all(target: Target, asked: Sequence[Demand], clock: Clock = time.perf_counter) -> tuple[Speed, ...]:
    """The speed at each number of rows that attacks use, backward where one of them needs it."""
    backward = {d.rows for d in asked if d.cost.backward}
    return tuple(measure(target, rows, rows in backward, clock) for rows in sorted({d.rows for d in asked}))


def measure(target: Target, rows: int, backward: bool, clock: Clock = time.perf_counter) -> Speed:
    """Median of a few passes of one batch of noise, after one to warm up."""
    x = torch.randn(rows, *target.shape, generator=torch.Generator().manual_seed(0)).to(target.device)
    labels = None if target.classes is None else torch.zeros(rows, dtype=torch.int64, device=target.device)
    t = target.path.like_ddpm(200)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return target.denoise(x, t, labels).noise

    def there_and_back() -> torch.Tensor:
        with torch.enable_grad():
            given = x.requires_grad_(True)
            return torch.autograd.grad(target.denoise(given, t, labels).clean.square().sum(), given)[0]

    try:
        once = _median(forward, clock) / rows
        both = _median(there_and_back, clock) / rows if backward else None
    except torch.OutOfMemoryError:
        raise UserError(f"{rows} rows at once do not fit on {target.device}: give a smaller --batch-size") from None
    return Speed(rows, once, None if both is None else max(0.0, both - once))


def _median(work: Callable[[], torch.Tensor], clock: Clock) -> float:
    seconds: list[float] = []
    _wait(work())
    while len(seconds) < REPETITIONS and sum(seconds) <= PATIENCE:
        began = clock()
        _wait(work())
        seconds.append(clock() - began)
    return statistics.median(seconds)


def _wait(answer: torch.Tensor) -> None:
    """Until the device is done: one value is read back."""
    answer.flatten()[0].item()


def look_at(target: Target, source: Path, clock: Clock = time.perf_counter) -> Sample:
    """Read the first SAMPLED pictures of a source as a run does. Raises UserError when none can be used."""
    entries = scan(source, SAMPLED)
    began = clock()
    items = list(inventory(entries, "suspect"))
    stocked = clock()
    usable = [(entry, item) for entry, item in zip(entries, items, strict=True) if item.reason is None]
    if not usable:
        raise UserError(f"{source} holds no picture that can be used ({items[0].picture}: {items[0].reason})")
    again = clock()
    Batch.from_pictures([entry.read() for entry, _ in usable], target.shape[1:], target.shape[0])
    read = clock()
    size = statistics.fmean(item.bytes or 0 for _, item in usable)
    return Sample(len(usable), size, (stocked - began) / len(entries), (read - again) / len(usable))


def row_bytes(asked: Sequence[Demand]) -> RowBytes:
    """What files of made-up rows weigh a picture: names of 18 characters, digests and numbers that do not repeat."""
    return RowBytes(
        scores=sum(_growth(lambda n, d=d: _scores(n, d, SCHEMA)) for d in asked),
        shards=sum(_scores(SHARD, d, SHARD_SCHEMA) / SHARD for d in asked),
        inventory=_growth(_inventory),
    )


def _growth(size: Callable[[int], int]) -> float:
    """Bytes a row, without what a file weighs that has few."""
    few, many = 4 * SHARD, 36 * SHARD
    return (size(many) - size(few)) / (many - few)


def _scores(n: int, asked: Demand, schema: pa.Schema) -> int:
    """The size of a file of n scores of one attack, which is written shard by shard."""
    scores, seconds = np.random.default_rng(0).normal(size=(2, n))
    rows = [
        {
            "picture": _name(i),
            "sha256": _digest(i),
            "set": "suspect",
            "attack": asked.name.partition("(")[0],
            "attack_repr": asked.text,
            "score": scores[i],
            "nfe": asked.cost.forward,
            "seconds": seconds[i // SHARD],
        }
        for i in range(n)
    ]
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, schema) as writer:
        for start in range(0, n, SHARD):
            writer.write_table(pa.Table.from_pylist(rows[start : start + SHARD], schema=schema))
    return stream.tell()


def _inventory(n: int) -> int:
    numbers = np.random.default_rng(0).random((n, 9))
    names = ("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b", "sharpness", "jpeg_trace", "detail")
    facts = {"format": "JPEG", "mode": "RGB", "width": 512, "height": 512}
    items = [
        Item(_name(i), _digest(i), "suspect", None, **facts, bytes=100_000 + i, phash=_digest(-i)[:16])
        for i in range(n)
    ]
    items = [replace(item, **dict(zip(names, row))) for item, row in zip(items, numbers.tolist(), strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.parquet"
        write_inventory(items, path)
        return path.stat().st_size


def _name(i: int) -> str:
    return f"{i // 1000:05d}/{i:08d}.jpg"


def _digest(i: int) -> str:
    return sha256(str(i).encode()).hexdigest()


def estimate(
    asked: Sequence[Demand],
    speeds: Sequence[Speed],
    sizes: RowBytes,
    pictures: int,
    devices: int = 1,
    bytes_per_picture: int | None = None,
    sample: Sample | None = None,
) -> Estimate:
    """Arithmetic alone. speeds: one for the `rows` of each demand. Raises UserError for fewer than one picture or
    device."""
    if pictures < 1 or devices < 1:
        raise UserError(f"{pictures} pictures on {devices} devices: give 1 or more of each")
    at = {speed.rows: speed for speed in speeds}
    lines = tuple(_line(one, at[one.rows], pictures, devices) for one in asked)
    shards = ceil(pictures / SHARD)
    busiest = min(pictures, ceil(shards / devices) * SHARD)  # pictures of the device that has most
    wall = sum(_seconds(one, at[one.rows], busiest, 1) for one in asked)
    return Estimate(
        pictures=pictures,
        devices=devices,
        device="",
        attacks=lines,
        together=_together(lines),
        wall_hours=wall / 3600,
        stock_hours=None if sample is None else pictures * sample.inventory / 3600,
        bytes_written=Written(
            scores=round(pictures * sizes.scores),
            inventory=round(pictures * sizes.inventory),
            shards=round(pictures * sizes.shards),
            shard_files=shards * len(asked),
        ),
        bytes_read=None if bytes_per_picture is None else 2 * pictures * bytes_per_picture,
        speeds=tuple(speeds),
        sample=sample,
        rests_on=(
            "the network's own time: what attacks, reading and statistics add is not in it",
            f"devices like this one, which share shards of {SHARD} pictures evenly and never wait for pictures",
        ),
    )


def _line(asked: Demand, speed: Speed, pictures: int, devices: int) -> Line:
    cost = asked.cost
    passes = pictures * (cost.forward + cost.backward) + devices * cost.setup
    hours = _seconds(asked, speed, pictures, devices) / 3600
    return Line(asked.name, cost.forward, cost.backward, cost.setup, passes, hours)


def _seconds(asked: Demand, speed: Speed, pictures: int, devices: int) -> float:
    """All devices together; each does the set-up for itself."""
    cost = asked.cost
    picture = cost.forward * speed.forward + cost.backward * (speed.backward or 0.0)
    return pictures * picture + devices * cost.setup * speed.forward


def _together(lines: Iterable[Line]) -> Line:
    rows = [(line.forward, line.backward, line.setup, line.passes, line.device_hours) for line in lines]
    return Line("together", *(sum(column) for column in zip(*rows, strict=True)))


def describe(device: torch.device) -> str:
    """A device as one would tell it to somebody else."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def _cautions(target: Target, attacks: Sequence[Attack]) -> list[str]:
    """What else is assumed of these attacks and this target."""
    said = []
    if len(attacks) > 1:
        said.append("each attack as if it were alone: answers that several ask for are computed once")
    if any({"shadows", "reference"} & set(attack.needs) for attack in attacks):
        said.append("shadow and reference models as fast as the audited one")
    if target.classes is not None:
        said.append(f"pictures with class labels: to find one takes {4 * target.classes} forward passes a picture more")
    return said
