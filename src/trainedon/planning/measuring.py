"""What is measured before a run is planned: the speed of the network, a sample of pictures, the weight of rows."""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from trainedon.attacks import Attack, Cost
from trainedon.condition import UNCONDITIONAL, Classes
from trainedon.errors import UserError
from trainedon.formats.arrow_schemas import SCORES, SHARD_SCORES
from trainedon.pictures import Batch, Item, Rendering, scan, shown, take_inventory, write_inventory
from trainedon.pictures.pixels.rendering import DEFAULT
from trainedon.pictures.worker_processes import WorkerProcesses
from trainedon.runs.scoring.engine import MERGED, SHARD
from trainedon.targets import Target

Clock = Callable[[], float]

REPETITIONS = 5
PATIENCE = 30.0  # seconds, after which no further repetition is begun
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
class AutoencoderSpeed:
    """Seconds a picture with `pictures` of them at once: to encode one, and, where attacks differentiate the decoder,
    for a pass of it there, and for one back (None: not timed)."""

    pictures: int
    encode: float
    decode: float | None = None
    decode_back: float | None = None


@dataclass(frozen=True)
class PictureSample:
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


def demand(target: Target, attack: Attack) -> Demand:
    """What an attack asks of this target. A shard has SHARD pictures, and an attack goes over it in parts that fill
    about `target.batching.rows` rows of the network."""
    at_once = min(SHARD, attack.together(target.batching.rows))
    rows = min(target.batching.rows, at_once * attack.rows())
    return Demand(attack.spelled(), repr(attack), attack.cost(target), rows)


def measure_all(target: Target, asked: Sequence[Demand], clock: Clock = time.perf_counter) -> tuple[Speed, ...]:
    """The speed at each number of rows that attacks use, backward where one of them needs it."""
    backward = {d.rows for d in asked if d.cost.backward}
    return tuple(measure(target, rows, rows in backward, clock) for rows in sorted({d.rows for d in asked}))


def measure(target: Target, rows: int, backward: bool, clock: Clock = time.perf_counter) -> Speed:
    """Median of a few passes of one batch of noise, after one to warm up."""
    x = torch.randn(rows, *target.shape, generator=torch.Generator().manual_seed(0)).to(target.device)
    zeros = torch.zeros(rows, dtype=torch.int64, device=target.device)
    condition = UNCONDITIONAL if target.classes is None else Classes(zeros)
    t = target.path.like_ddpm(200)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return target.denoise(x, t, condition).noise

    def there_and_back() -> torch.Tensor:
        with torch.enable_grad():
            given = x.requires_grad_(True)
            return torch.autograd.grad(target.denoise(given, t, condition).clean.square().sum(), given)[0]

    try:
        once, *both = _medians([forward, there_and_back] if backward else [forward], clock)
    except torch.OutOfMemoryError:
        raise UserError(f"{rows} rows at once do not fit on {target.device}: give a smaller --batch-size") from None
    return Speed(rows, once / rows, max(0.0, both[0] - once) / rows if both else None)


def measure_autoencoder(target: Target, decoded: bool, clock: Clock = time.perf_counter) -> AutoencoderSpeed | None:
    """As `measure`, of the autoencoder; None of a model without one. decoded: whether the decoder is differentiated."""
    if not target.latent:
        return None
    drawn = torch.Generator().manual_seed(0)
    pictures = target.batching.coder.most if target.batching.coder else 1
    states = torch.randn(pictures, *target.shape, generator=drawn).to(target.device)
    patterns = torch.ones(2, *target.picture, device=target.device)

    def encode() -> torch.Tensor:  # other pictures each time, as latents are kept
        pixels = torch.rand(pictures, *target.picture, generator=drawn) * 2 - 1
        return target.encode(pixels.to(target.device))

    def there_and_back(times: int) -> torch.Tensor:
        return target.decoder_influence(states, patterns[:times])

    if not decoded:
        return AutoencoderSpeed(pictures, *(one / pictures for one in _medians([encode], clock)))
    works = [encode, lambda: there_and_back(1), lambda: there_and_back(2)]
    encoded, once, twice = (seconds / pictures for seconds in _medians(works, clock))
    back = max(0.0, twice - once)
    return AutoencoderSpeed(pictures, encoded, max(0.0, once - back), back)


def _medians(works: Sequence[Callable[[], torch.Tensor]], clock: Clock) -> list[float]:
    """Seconds of each, taken in turns, so that whatever else the machine does meets all of them alike."""
    for work in works:
        _wait(work())
    rounds: list[list[float]] = []
    began = clock()
    while len(rounds) < REPETITIONS and (not rounds or clock() - began < PATIENCE):
        rounds.append([_timed(work, clock) for work in works])
    return [statistics.median(seconds) for seconds in zip(*rounds, strict=True)]


def _timed(work: Callable[[], torch.Tensor], clock: Clock) -> float:
    began = clock()
    _wait(work())
    return clock() - began


def _wait(answer: torch.Tensor) -> None:
    """Until the device is done: one value is read back."""
    answer.flatten()[0].item()


def sample_pictures(
    target: Target,
    source: str | Path,
    clock: Clock = time.perf_counter,
    rendering: Rendering = DEFAULT,
    follow_links: bool = False,
) -> PictureSample:
    """Read the first SAMPLED pictures of a source as a run does. Raises UserError when none can be used."""
    entries = scan(source, SAMPLED, follow_links)
    began = clock()
    alone = WorkerProcesses(1)  # what one core does
    items = list(take_inventory(entries, "suspect", rendering=rendering, examiners=alone))
    inventoried = clock()
    usable = [(entry, item) for entry, item in zip(entries, items, strict=True) if item.reason is None]
    if not usable:
        raise UserError(f"{shown(source)} holds no picture that can be used ({items[0].picture}: {items[0].reason})")
    again = clock()
    pictures = [entry.read(rendering) for entry, _ in usable]
    Batch.from_pictures(pictures, target.picture[1:], target.picture[0], rendering, ())
    read = clock()
    size = statistics.fmean(item.bytes or 0 for _, item in usable)
    return PictureSample(len(usable), size, (inventoried - began) / len(entries), (read - again) / len(usable))


def row_bytes(asked: Sequence[Demand]) -> RowBytes:
    """What files of made-up rows weigh a picture: names of 18 characters, digests and numbers that do not repeat."""
    block = SHARD * MERGED
    return RowBytes(
        scores=sum((_scores(3 * block, d, SCORES) - _scores(block, d, SCORES)) / (2 * block) for d in asked),
        shards=sum(_scores(SHARD, d, SHARD_SCORES) / SHARD for d in asked),
        inventory=(_inventory(3000) - _inventory(1000)) / 2000,
    )


def _scores(n: int, asked: Demand, schema: pa.Schema) -> int:
    """The size of a file of n scores of one attack, written in blocks as a run does."""
    scores, seconds = np.random.default_rng(0).normal(size=(2, n))
    columns = {
        "picture": [_name(i) for i in range(n)],
        "sha256": [_digest(i) for i in range(n)],
        "set": ["suspect"] * n,
        "attack": [asked.name.partition("(")[0]] * n,
        "attack_repr": [asked.text] * n,
        "score": scores,
        "nfe": [asked.cost.forward] * n,
        "seconds": seconds[np.arange(n) // SHARD],
    }
    empty = {name: [None] * n for name in schema.names if name not in columns}
    stream = io.BytesIO()
    pq.write_table(pa.table(columns | empty).select(schema.names).cast(schema), stream, row_group_size=SHARD * MERGED)
    return stream.tell()


def _inventory(n: int) -> int:
    """The size of a `pictures.parquet` of n usable pictures."""
    facts: dict[str, Any] = {"format": "JPEG", "mode": "RGB", "width": 512, "height": 512}
    numbers = ("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b", "sharpness", "jpeg_trace", "detail")
    drawn = np.random.default_rng(0).random((n, len(numbers))).tolist()
    items = [
        Item(_name(i), _digest(i), "suspect", None, bytes=100_000 + i, phash=_digest(-i)[:16], **facts, **dict(row))
        for i, row in enumerate(zip(numbers, values) for values in drawn)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.parquet"
        write_inventory(items, path)
        return path.stat().st_size


def _name(i: int) -> str:
    return f"{i // 1000:05d}/{i:08d}.jpg"


def _digest(i: int) -> str:
    return sha256(str(i).encode()).hexdigest()


def describe(target: Target) -> str:
    """Device and precision as one would tell them to somebody else."""
    device, threads = target.device, torch.get_num_threads()
    more = {"cuda": lambda: torch.cuda.get_device_name(device), "cpu": lambda: f"{threads} thread{'s' * (threads > 1)}"}
    name = f"{device} ({more[device.type]()})" if device.type in more else str(device)
    return f"{name}, {target.precision}" + (", compiled" if target.batching.compiled else "")
