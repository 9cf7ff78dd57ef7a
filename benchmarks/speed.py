"""How fast is `drc`? Beside the bare network, beside the same written with diffusers' RePaint, and beside SecMI.

    python -m benchmarks.speed TARGET --members DIR --unseen DIR --out FILE.json [--limit N] [--rounds N] ...

All of it runs in one process and in turn, several rounds of it, and ratios are medians over the rounds: what else the
machine does then meets all alike. The floor is the number of evaluations times what one takes in a bare forward pass at
the network's best batch size. RePaint at its default costs thousands of evaluations a picture, so it is run on few
pictures (--diffusers N of each set), and then its cheapest setting is looked for that tells members as well as ours
does on the same pictures. Parts that are skipped are null in FILE.json.

In FILE.json `wall_over_floor` is of the first attack; `auc` and `evaluations_over_diffusers_default` are of the
cheapest one whose AUC is not below that of RePaint at its default, on the same few pictures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in trainedon.cli; before torch loads

import numpy as np
import torch

from benchmarks import footprint, repaint
from trainedon.attacks import Attack, parse_attacks
from trainedon.attacks.core.answers import Progress
from trainedon.attacks.core.execute import run
from trainedon.errors import UserError
from trainedon.evidence.statistics.roc import auc
from trainedon.files import write_json
from trainedon.pictures import Batch, scan, take_inventory
from trainedon.runs.scoring.exhibit_files import Selection
from trainedon.runs.scoring.scorer import Scorer, Task
from trainedon.targets import load_target
from trainedon.targets.networks.unet import PixelUNet

SIZES = (8, 16, 32, 64, 128, 256)
FLOOR_ROWS = 256  # rows of one timing of the floor


@dataclass(frozen=True)
class Pictures:
    """What is scored. task: members, then unseen pictures, as the engine has them; members: how many there are."""

    task: Task
    batch: Batch
    members: int

    @classmethod
    def read(cls, target: PixelUNet, members: Path, unseen: Path, limit: int | None) -> Pictures:
        """Raises UserError when there is nothing to read."""
        entries = {"member": list(scan(members, limit)), "unseen": list(scan(unseen, limit))}
        items = [item for name, listed in entries.items() for item in take_inventory(listed, name)]
        pairs = [
            pair
            for pair in zip(items, [e for listed in entries.values() for e in listed], strict=True)
            if not pair[0].reason
        ]
        kept, sources = zip(*pairs, strict=True)
        batch = Batch.from_pictures([entry.read() for entry in sources], target.shape[1:], target.shape[0])
        return cls(Task("speed", kept, sources, (0,)), batch, sum(item.set == "member" for item in kept))

    def few(self, each: int) -> tuple[Batch, int]:
        """The first of each set, and how many of them are members."""
        chosen = [*range(min(each, self.members)), *range(self.members, min(self.members + each, len(self.batch)))]
        return self.batch.take(chosen), min(each, self.members)


@dataclass(frozen=True)
class Scored:
    """One attack. ratio: wall time over the floor, median of the rounds. nfe: evaluations a picture."""

    name: str
    nfe: float
    ratio: float
    seconds: float
    auc: float
    auc_ci: tuple[float, float]
    n: tuple[int, int]


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare(target: PixelUNet, rows: int) -> Callable[[], object]:
    """One forward pass of the network and nothing else."""
    x = torch.randn(rows, *target.shape, generator=torch.Generator().manual_seed(0)).to(target.device)
    x, t = x.to(memory_format=torch.channels_last), torch.full((rows,), target.timesteps // 5, device=target.device)
    labels = None if target.classes is None else torch.zeros(rows, dtype=torch.int64, device=target.device)

    def forward() -> None:
        with torch.no_grad():
            target.network(x, t, class_labels=labels)
        if target.device.type == "cuda":
            torch.cuda.synchronize()

    return forward


def best_batch(
    target: PixelUNet, rounds: int, progress: Progress, sizes: Sequence[int] = SIZES
) -> tuple[int, dict[int, float]]:
    """The batch size with the least time a row, and the median of that for every size: taken in turn."""
    passes = {rows: bare(target, rows) for rows in sizes}
    found: dict[int, list[float]] = {rows: [] for rows in sizes}
    for forward in passes.values():
        forward()
    for number in range(rounds):
        for rows, forward in passes.items():
            times = max(1, sizes[-1] // 2 // rows)
            found[rows].append(timed(lambda: [forward() for _ in range(times)]) / times / rows)  # noqa: B023
        progress("best batch", number + 1, rounds)
    medians = {rows: statistics.median(seconds) for rows, seconds in found.items()}
    return min(medians, key=medians.__getitem__), medians


def raced(
    target: PixelUNet, attacks: Sequence[Attack], pictures: Pictures, rows: int, rounds: int, progress: Progress
) -> tuple[list[Scored], float]:
    """The attacks and the floor in turn, through the engine's own way from files to rows of scores; and the floor's
    seconds an evaluation."""
    forward, floors = bare(target, rows), []
    times: list[list[float]] = [[] for _ in attacks]
    ratios: list[list[float]] = [[] for _ in attacks]
    scores, counts = [np.empty(0)] * len(attacks), [0.0] * len(attacks)
    for number in range(rounds):
        for k, attack in enumerate(attacks):
            passes = max(1, FLOOR_ROWS // rows)
            before = timed(lambda: [forward() for _ in range(passes)])  # noqa: B023
            with target.counted() as spent:
                began = time.perf_counter()
                scores[k] = through_the_engine(target, attack, pictures.task)
                times[k].append(time.perf_counter() - began)
            after = timed(lambda: [forward() for _ in range(passes)])  # noqa: B023
            floors.append((before + after) / 2 / passes / rows)
            counts[k] = spent.forward / len(pictures.batch)
            ratios[k].append(times[k][-1] / (spent.forward * floors[-1]))
            progress("in turn", number * len(attacks) + k + 1, rounds * len(attacks))
    found = []
    for k, attack in enumerate(attacks):
        value, interval, n = _auc(scores[k], pictures.members)
        wall = statistics.median(times[k]) / len(pictures.batch)
        found.append(Scored(attack.spelled(), counts[k], statistics.median(ratios[k]), wall, value, interval, n))
    return found, statistics.median(floors)


def through_the_engine(target: PixelUNet, attack: Attack, task: Task) -> np.ndarray:
    """Scores (n,): read, decoded, scored and made rows of, shard by shard, but not written."""
    from trainedon.runs.scoring.engine import SHARD

    scorer, scores = Scorer(target, [attack], _Nothing()), []
    for start in range(0, len(task.items), SHARD):
        part = slice(start, start + SHARD)
        for finished in scorer(Task(task.name, task.items[part], task.entries[part], (0,))):
            scores += finished.table["score"].to_pylist()
    return np.array(scores, dtype=float)


class _Nothing(Selection):
    """No picture is shown: passes for the eye alone are none of an attack's."""

    def wanted(self, candidates: Sequence[tuple[str, str, float]] = ()) -> set[str]:
        return set()


def _auc(scores: np.ndarray, members: int) -> tuple[float, tuple[float, float], tuple[int, int]]:
    there, not_there = scores[:members], scores[members:]
    there, not_there = there[np.isfinite(there)], not_there[np.isfinite(not_there)]
    found = auc(there, not_there)
    return found.value, found.interval, (len(there), len(not_there))


def beside_diffusers(
    target: PixelUNet,
    ours: Sequence[Attack],
    pictures: Pictures,
    few: int,
    rows: int,
    progress: Progress,
    grid: Sequence,
) -> dict[str, Any]:
    """RePaint at its default and the cheapest of `grid` that reaches the AUC of our first, on `few` pictures a set.

    Also our cheapest attack that reaches the AUC of RePaint at its default there, as its place in `ours`.
    """
    batch, members = pictures.few(few)
    reached = [_auc(run(attack, target, batch).scores, members) for attack in ours]
    needed, interval, n = reached[0]
    painter = repaint.RePaint(target)
    tried = []
    for setting in dict.fromkeys([repaint.DEFAULT, *grid]):
        began = time.perf_counter()
        scores, evaluations = painter.scores(batch, setting, rows, progress)
        seconds = (time.perf_counter() - began) / len(batch)
        value, its, _ = _auc(scores, members)
        tried.append({"setting": str(setting), "nfe": evaluations, "seconds": seconds, "auc": value, "auc_ci": its})
        if len(tried) > 1 and value >= needed:
            break  # the grid goes from cheap to dear
    enough = [one for one in tried if one["auc"] >= needed]
    as_good = [k for k, (value, _, _) in enumerate(reached) if value >= tried[0]["auc"]]
    return {
        "ours_as_good": min(as_good, key=lambda k: ours[k].cost(target).forward, default=0),
        "n": n,
        "ours_auc": needed,
        "ours_auc_ci": interval,
        "default": tried[0],
        "cheapest_that_reaches_ours": min(enough, key=lambda one: one["nfe"]) if enough else None,
        "tried": tried,
    }


class Parts:
    """The parts of the measurement, and the seconds that each took; one that is skipped gives None."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], Any], *, skip: bool = False) -> Any:
        if skip:
            return None
        began = time.perf_counter()
        found = work()
        self.seconds[name] = time.perf_counter() - began
        return found


def measured(given: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """What FILE.json holds."""
    target = load_target(given.target, device=given.device, rows=given.batch_size)
    if not isinstance(target, PixelUNet):
        raise UserError("the floor is measured on pixel UNets alone")
    ours = parse_attacks(given.attacks)
    attacks = [*ours, *([] if given.skip_secmi else parse_attacks("secmi"))]
    grid = () if given.skip_search else repaint.GRID
    limit = [] if given.limit is None else ["--limit", given.limit]
    sources = ["--members", given.members, "--unseen", given.unseen, *limit]
    part = Parts()
    pictures = part("reading", lambda: Pictures.read(target, given.members, given.unseen, given.limit))
    rows, sizes = part("best batch", lambda: best_batch(target, given.rounds, progress))
    lines, floor = part("in turn", lambda: raced(target, attacks, pictures, rows, given.rounds, progress))
    other = part(
        "diffusers",
        lambda: beside_diffusers(target, ours, pictures, given.diffusers, rows, progress, grid),
        skip=given.skip_diffusers,
    )
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        small, large = (
            part(f"memory of {n}", lambda: footprint.peak_mib(n, folder / str(n)), skip=given.skip_memory)  # noqa: B023
            for n in given.memory
        )
        workers = part(
            "workers",
            lambda: footprint.two_over_one(given.target, sources, given.workers_attack, folder),
            skip=given.skip_workers,
        )
    chosen = lines[other["ours_as_good"]] if other else lines[0]
    return {
        "wall_over_floor": lines[0].ratio,
        "evaluations_over_diffusers_default": other and chosen.nfe / other["default"]["nfe"],
        "auc": chosen.auc,
        "auc_diffusers_default": other and other["default"]["auc"],
        "peak_mib_1000": small,
        "peak_mib_100000": large,
        "two_workers_over_one": workers,
        "target": {"digest": target.identity.digest, "parameters": target.identity.parameters, "shape": target.shape},
        "attacks": [asdict(line) for line in lines],
        "floor": {"rows": rows, "seconds_an_evaluation": floor, "seconds_a_row": sizes},
        "diffusers": other,
        "rows": target.batching.rows,
        "device": str(target.device),
        "threads": torch.get_num_threads(),
        "rounds": given.rounds,
        "seconds": part.seconds,
    }


def table(found: dict[str, Any]) -> str:
    """What was measured, for the eye."""
    lines = ["| | evaluations | wall / floor | seconds a picture | AUC | n |", "|---|---|---|---|---|---|"]
    lines += [_line(f"`{one['name']}`", one, one["ratio"], one["n"]) for one in found["attacks"]]
    floor, other = found["floor"]["seconds_an_evaluation"], found["diffusers"]
    if other:
        named = {"RePaint": other["default"], "RePaint, cheapest as good as ours": other["cheapest_that_reaches_ours"]}
        for name, one in named.items():
            if one is not None:
                ratio = one["seconds"] / (one["nfe"] * floor)
                lines.append(_line(f"{name}: {one['setting']}", one, ratio, other["n"]))
        if other["cheapest_that_reaches_ours"] is None:
            tried = f"none of the {len(other['tried'])} settings that were tried"
            lines += ["", f"On these pictures ours has an AUC of {other['ours_auc']:.3f}, and {tried} reaches it."]
    best, where = found["floor"]["rows"], f"{found['threads']} threads on {found['device']}"
    lines += ["", f"Floor: {1000 * floor:.2f} ms an evaluation with {best} rows at once; {where}."]
    for key in ("peak_mib_1000", "peak_mib_100000", "two_workers_over_one", "evaluations_over_diffusers_default"):
        lines.append(f"{key}: {'not measured' if found[key] is None else format(found[key], '.3f')}")
    return "\n".join(lines)


def _line(name: str, one: dict[str, Any], ratio: float, n: Sequence[int]) -> str:
    low, high = one["auc_ci"]
    cells = [
        f"{one['nfe']:.0f}",
        f"{ratio:.3f}",
        f"{one['seconds']:.3f}",
        f"{one['auc']:.3f} ({low:.3f} to {high:.3f})",
    ]
    return f"| {name} | {' | '.join(cells)} | {n[0]} + {n[1]} |"


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="a model folder")
    parser.add_argument("--members", type=Path, required=True)
    parser.add_argument("--unseen", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--limit", type=int, help="take the first N pictures of each set")
    parser.add_argument("--attacks", default="drc, drc-fast", help="ours; the first one is measured against the floor")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--diffusers", type=int, default=8, metavar="N", help="pictures of each set for RePaint")
    parser.add_argument(
        "--batch-size", type=int, help="rows at once for the attacks; the package's choice if not given"
    )
    sizes = {"type": int, "nargs": 2, "default": (1_000, 100_000), "metavar": "N"}
    parser.add_argument("--memory", **sizes, help="pictures of the two runs whose memory is measured")
    parser.add_argument("--workers-attack", default="drc-fast")
    parser.add_argument("--device", default="cpu")
    for name in ("diffusers", "search", "secmi", "memory", "workers"):
        parser.add_argument(f"--skip-{name}", action="store_true")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    from trainedon.cli.terminal import Bars

    asked = parser()
    given = asked.parse_args(arguments)
    warnings.filterwarnings("ignore")
    try:
        with Bars() as bars:
            found = measured(given, bars)
    except UserError as error:
        asked.exit(2, f"{error}\n")
    write_json(given.out, found)
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
