"""Where the time of a run over many small JPEG files goes, from folder to page, and what memory it takes.

    python -m benchmarks.pipeline --from DIR [--pictures 1000 100000] [--workers N] --out FILE.json

Pictures are cut at random places out of those in DIR, half of them mirrored, and saved as JPEG of 64 x 64 pixels in
folders of 1 000: each is another file. One half is called members, one unseen. A model of 8 x 8 pixels scores them with
`loss`, so that next to nothing but the handling of pictures is measured. Each run is a process of its own; it tells of
each phase when it began, and its peak of resident memory, that of its own and of the largest process beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.footprint import tiny_model
from trainedon.errors import UserError
from trainedon.files import write_json

SIDE = 64
FOLDER = 1000  # pictures of a folder
# The process between this one and the one that is measured is small: a process starts with its parent's peak.
BETWEEN = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
MEASURED = """
import json, resource, sys, time
from pathlib import Path

def spent():
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return [time.perf_counter(), own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime]

phases = [["imports", *spent()]]

def progress(what, done, total):
    if phases[-1][0] != what:
        phases.append([what, *spent()])
    if done == total and not what.startswith("reading"):  # what others did counts once they have ended
        phases.append([f"after {what}", *spent()])

import trainedon
folder, workers = Path(sys.argv[1]), json.loads(sys.argv[2])
trainedon.evaluate(
    folder / "model", folder / "members", folder / "unseen", out=folder / "run", attacks="loss",
    progress=progress, machine=trainedon.Machine(device="cpu", workers=workers),
)
phases.append(["end", *spent()])
peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"phases": phases, "peak_mib": peaks[0], "largest_child_mib": peaks[1]}))
"""


def made_up(source: Path, folder: Path, n: int) -> None:
    """Write n different JPEG files, half of them below `members`, half below `unseen`. Raises UserError without any
    picture to make them of."""
    originals = [Image.open(path).convert("RGB") for path in sorted(source.rglob("*.png"))]
    if not originals:
        raise UserError(f"{source} holds no PNG files to cut pictures out of")
    rng = np.random.default_rng(0)
    for number in range(n):
        name, k = ("members", number) if number < n // 2 else ("unseen", number - n // 2)
        path = folder / name / f"{k // FOLDER:04d}" / f"{k:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut(originals[number % len(originals)], rng).save(path, quality=int(rng.integers(75, 96)))


def _cut(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A part of it, at another size, mirrored in one case of two."""
    side = min(picture.size) * rng.uniform(0.6, 1)
    left, top = (rng.uniform(0, length - side) for length in picture.size)
    part = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def measured(source: Path, n: int, workers: int | None) -> dict[str, Any]:
    """What a run over n pictures takes: seconds by the clock and of processors by phase, and MiB."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        made_up(source, folder, n)
        tiny_model(folder / "model")
        command = [sys.executable, "-c", BETWEEN, sys.executable, "-c", MEASURED, str(folder), json.dumps(workers)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise UserError(f"the run over {n} pictures ended with {done.returncode}")
        told = json.loads(done.stdout.splitlines()[-1])
    return {"pictures": n, **told, "phases": seconds(told["phases"])}


def seconds(phases: Sequence[tuple[str, float, float]]) -> dict[str, tuple[float, float]]:
    """Seconds by the clock and of processors of each phase, from when each began; of one that came again together."""
    found: dict[str, tuple[float, float]] = {}
    for (what, clock, processor), (_, next_clock, next_processor) in pairwise(phases):
        before = found.get(what, (0.0, 0.0))
        found[what] = (before[0] + next_clock - clock, before[1] + next_processor - processor)
    return found


def table(runs: Sequence[dict[str, Any]]) -> str:
    """What was measured, for the eye."""
    lines = []
    for run in runs:
        whole = sum(clock for clock, _ in run["phases"].values())
        lines.append(
            f"{run['pictures']} pictures: {whole:.0f} s, peak {run['peak_mib']:.0f} MiB, "
            f"largest process beside it {run['largest_child_mib']:.0f} MiB"
        )
        for what, (clock, processor) in run["phases"].items():
            if clock >= whole / 200:
                lines.append(f"  {what:40s} {clock:8.1f} s {clock / whole:6.1%}, of processors {processor:8.1f} s")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, required=True, help="a folder of PNG files")
    parser.add_argument("--pictures", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--workers", type=int, help="processes that take the inventory; one a core when not given")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    given = parser.parse_args(arguments)
    runs = []
    for n in given.pictures:
        runs.append(measured(given.source, n, given.workers))
        write_json(given.out, runs)
        sys.stdout.write(table(runs[-1:]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
