"""How much memory whole runs take, and how fast workers are: in processes of their own."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image

from trainedon.errors import UserError

SIDE = 8
GROUP = 1000  # pictures of a row group
POLL = 0.02  # seconds between two looks for new shards
# Between this process and the one that is measured: what a process starts from counts into its peak, and this is small.
BETWEEN = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


class Shard(NamedTuple):
    """When a shard was written, in seconds, and how many pictures it holds."""

    written: float
    pictures: int


def evaluate(*options: object) -> int:
    """Run `trainedon evaluate` in a fresh process; its peak RSS in KiB. Raises UserError when it fails."""
    command = [sys.executable, "-c", "from trainedon.cli import main; main()", "evaluate", *map(str, options)]
    done = subprocess.run([sys.executable, "-c", BETWEEN, *command], capture_output=True, text=True, check=True)
    code, peak = map(int, done.stdout.split())
    if code:
        raise UserError(f"trainedon evaluate ended with {code}: {done.stderr.strip()[-500:]}")
    return peak


def peak_mib(pictures: int, folder: Path) -> float:
    """Peak of a run over so many tiny pictures, half of them called members, by one pass of a tiny model: in MiB."""
    folder.mkdir(parents=True)
    tiny_model(folder / "model")
    for number, name in enumerate(("members", "unseen")):
        tiny_pictures(folder / f"{name}.parquet", pictures // 2, seed=number)
    sources = ("--members", folder / "members.parquet", "--unseen", folder / "unseen.parquet")
    return evaluate(folder / "model", *sources, "--attacks", "loss", "--out", folder / "run") / 1024


def tiny_model(folder: Path) -> None:
    """A pipeline of 8 x 8 pictures whose weights are drawn at random."""
    kinds = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2, "add_attention": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DModel(sample_size=SIDE, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4, **kinds)
    DDPMPipeline(unet=unet, scheduler=DDPMScheduler()).save_pretrained(folder)


def tiny_pictures(path: Path, n: int, seed: int) -> None:
    """A parquet file of n PNGs of noise, a column as datasets have it."""
    rng = np.random.default_rng(seed)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    with pq.ParquetWriter(path, pa.schema([("image", kind)])) as writer:
        for start in range(0, n, GROUP):
            rows = [{"bytes": _png(rng), "path": f"{k}.png"} for k in range(start, min(start + GROUP, n))]
            writer.write_table(pa.table({"image": pa.array(rows, kind)}))


def _png(rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def two_over_one(model: str, sources: Sequence[object], attack: str, folder: Path) -> float:
    """Pictures a second of two workers over those of one, each a single thread: while they score, not while they
    start."""
    rates = []
    for workers in (1, 2):
        out = folder / f"workers-{workers}"
        with watched(out) as shards:
            evaluate(model, *sources, "--attacks", attack, "--out", out, "--engine", "ray", "--workers", workers)
        rates.append(scoring_rate(shards.values(), workers))
    return rates[1] / rates[0]


@contextmanager
def watched(out: Path) -> Iterator[dict[Path, Shard]]:
    """The shards that a run writes into its folder while the block lasts; it clears them away in the end."""
    seen: dict[Path, Shard] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL):
            for path in out.glob("shards/*/*.parquet"):
                with suppress(OSError):  # cleared away while it was looked at
                    if path not in seen:
                        seen[path] = Shard(path.stat().st_mtime_ns / 1e9, pq.read_metadata(path).num_rows)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def scoring_rate(shards: Iterable[Shard], workers: int) -> float:
    """Pictures a second, by when shards were written; the first of each worker starts the clock.

    Raises UserError when there are too few shards.
    """
    shards = sorted(shards)
    if len(shards) < 4 * workers:
        raise UserError(f"{len(shards)} shards are too few to time {workers} workers by: give more pictures")
    return sum(shard.pictures for shard in shards[workers:]) / (shards[-1].written - shards[0].written)
