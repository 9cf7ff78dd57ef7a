"""What one process does with a shard that a worker hands over: `python -m benchmarks.driver [--shards N]`.

Nothing is scored. Answers of workers are made up; what is timed is all that this process does with one before it looks
at the next, with the rows in it, which it writes, and without, where a worker has written them. Both in turn.
"""

from __future__ import annotations

import argparse
import json
import pickle
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from trainedon.attacks import Attack, parse_attacks
from trainedon.formats.arrow_schemas import SHARD_SCORES
from trainedon.pictures import Item
from trainedon.runs.scoring.engine import SHARD
from trainedon.runs.scoring.scorer import Finished, scored
from trainedon.runs.scoring.shard_files import save_shard, shard_path
from trainedon.runs.scoring.shared_shards import SharedShards


def table(attack: Attack, number: int) -> pa.Table:
    """The rows of a shard, names and digests as long as those of a run."""
    items = [Item(f"{number:05d}/{k:08d}.jpg", f"{number * SHARD + k:064x}", "suspect", None) for k in range(SHARD)]
    rows = [scored(item, attack, 1 / (k + number + 1), nfe=1, seconds=0.1) for k, item in enumerate(items)]
    return pa.Table.from_pylist(rows, schema=SHARD_SCORES)


def timed(folder: Path, answers: Sequence[bytes], attacks: Sequence[Attack]) -> tuple[float, float]:
    """Seconds a shard, by the clock and of the processor: each answer is unpickled, and its rows written, or looked at
    where a worker wrote them."""
    with SharedShards.offered(folder, None) as shared:
        began, busy = time.perf_counter(), time.process_time()
        for answer in answers:
            found: Finished = pickle.loads(answer)  # noqa: S301 (made above)
            if found.table is not None:
                save_shard(found.table, shard_path(folder, found.number, attacks[found.number], found.name))
            elif shared is not None:
                shared.check(found, attacks)
        return (time.perf_counter() - began) / len(answers), (time.process_time() - busy) / len(answers)


def measured(shards: int, rounds: int, folder_in: Path | None) -> dict[str, object]:
    """Of both ways the median milliseconds a shard, and bytes of an answer."""
    attacks = parse_attacks("loss")
    names = [f"{number:032x}" for number in range(shards)]
    whole = [Finished(name, 0, table(attacks[0], k), rows=SHARD) for k, name in enumerate(names)]
    told = [pickle.dumps(Finished(name, 0, rows=SHARD)) for name in names]
    rows = [pickle.dumps(one) for one in whole]
    found: dict[str, list[tuple[float, float]]] = {"rows": [], "names": []}
    for _ in range(rounds):
        with TemporaryDirectory(dir=folder_in) as folder:
            where = Path(folder)
            shard_path(where, 0, attacks[0], "").parent.mkdir()
            found["rows"].append(timed(where, rows, attacks))
            found["names"].append(timed(where, told, attacks))
    medians = {
        f"milliseconds a shard, by {way}, {what}": round(1000 * statistics.median(one[place] for one in every), 2)
        for way, every in found.items()
        for place, what in enumerate(("clock", "processor"))
    }
    return medians | {"bytes by rows": len(rows[0]), "bytes by names": len(told[0]), "rounds": rounds, "shards": shards}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="where the shards are written; the system's temporary folder")
    asked = parser.parse_args()
    sys.stdout.write(json.dumps(measured(asked.shards, asked.rounds, asked.dir), indent=1) + "\n")


if __name__ == "__main__":
    main()
