"""Memory and time that a long table of scores takes, from the files to the finished document.

    python -m benchmarks.tables [ROWS]

Writes ROWS (1 000 000) made-up pictures, half of them suspects, with scores of one attack, and audits them in a process
of its own. Prints for each step its seconds and the peak of resident memory so far, that of the imports first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUP = 1 << 16  # rows of a row group
# The process between this one and the one that is measured is small: a process starts with its parent's peak.
BETWEEN = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
MEASURED = """
import resource, sys, time
from pathlib import Path
start = time.perf_counter()

def step(name):
    global start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:8s} {time.perf_counter() - start:7.1f} s {peak:8.0f} MiB", flush=True)
    start = time.perf_counter()

from trainedon.evidence import audit_table, json_parts, read_scores
step("import")
scores = read_scores(sys.argv[1] + "/scores.parquet")
step("read")
document = audit_table(scores, pictures=Path(sys.argv[2]))
step("audit")
size = sum(map(len, json_parts(document)))
step("write")
"""


def made_up(rows: int, folder: Path) -> None:
    """Write `scores.parquet` and `pictures.parquet`, a group of rows at a time."""
    rng = np.random.default_rng(0)
    with ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for start in range(0, rows, GROUP):
            pictures = _pictures(np.arange(start, min(start + GROUP, rows)), rows, rng)
            for name, table in (("pictures", pictures), ("scores", _scores(pictures, rng))):
                if name not in writers:
                    writer = pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
                    writers[name] = stack.enter_context(writer)
                writers[name].write_table(table)


def _scores(pictures: pa.Table, rng: np.random.Generator) -> pa.Table:
    n, table = len(pictures), pictures.select(["picture", "set", "sha256", "reason"])
    more = {"attack": ["drc"] * n, "attack_repr": ["DRC()"] * n, "score": rng.normal(size=n), "nfe": np.full(n, 20.0)}
    for name, values in more.items():
        table = table.append_column(name, pa.array(values))
    return table


def _pictures(numbers: np.ndarray, of: int, rng: np.random.Generator) -> pa.Table:
    digests, hashes = rng.bytes(32 * len(numbers)).hex(), rng.bytes(8 * len(numbers)).hex()
    columns = {
        "picture": [f"folder/{number:08d}.png" for number in numbers],
        "set": np.where(numbers < of // 2, "suspect", "unseen").tolist(),
        "sha256": [digests[64 * k : 64 * k + 64] for k in range(len(numbers))],
        "reason": pa.nulls(len(numbers), pa.string()),
        "phash": [hashes[16 * k : 16 * k + 16] for k in range(len(numbers))],
    }
    return pa.table(columns | {f"mean_{channel}": rng.uniform(size=len(numbers)) for channel in "rgb"})


def measured(folder: Path) -> str:
    """What the steps take over the files in the folder, a line each."""
    child = [sys.executable, "-c", MEASURED, str(folder), str(folder / "pictures.parquet")]
    return subprocess.run([sys.executable, "-c", BETWEEN, *child], stdout=subprocess.PIPE, text=True, check=True).stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        made_up(given.rows, Path(folder))
        sys.stdout.write(measured(Path(folder)))


if __name__ == "__main__":
    main()
