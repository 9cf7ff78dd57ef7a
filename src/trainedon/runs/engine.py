"""Execute a run on this machine: pictures in shards, each shard's scores written whole."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainedon.attacks import Attack
from trainedon.errors import PictureError, UserError
from trainedon.files import whole
from trainedon.pictures import Batch, Entry, Item
from trainedon.runs.exhibits import Exhibits
from trainedon.targets import Target

SHARD = 64
SCHEMA = pa.schema(
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
Progress = Callable[[str, int, int], None]


def score_all(
    target: Target, attacks: Sequence[Attack], items: Sequence[Item], entries: dict, out: Path, progress: Progress
) -> None:
    """Score every usable picture by every attack into `out/scores.parquet`.

    entries: (set, picture) -> where to read it. Shards that are there already are not done again. The first attack that
    can show what it saw fills `out/restored`.
    """
    if (out / "scores.parquet").exists():
        return
    usable = [item for item in items if item.reason is None]
    showing = next((attack for attack in attacks if attack.shows), None)
    exhibits = Exhibits(out / "restored")
    for number, attack in enumerate(attacks):
        folder = _shards(out, number, attack)
        folder.mkdir(parents=True, exist_ok=True)
        for start in range(0, len(usable), SHARD):
            part = usable[start : start + SHARD]
            path = folder / f"{start // SHARD:06d}.parquet"
            if not path.exists():
                _score_shard(target, attack, part, entries, path, exhibits if attack is showing else None)
            progress(attack.name, min(start + SHARD, len(usable)), len(usable))
    _merge(attacks, items, out)


def _score_shard(
    target: Target, attack: Attack, part: Sequence[Item], entries: dict, path: Path, exhibits: Exhibits | None
) -> None:
    """Score one shard, keep what there is to show, and write the shard last."""
    batch = read_batch(target, part, entries)
    began = time.perf_counter()
    with target.counted() as spent:
        judged = attack.judge(target, batch)
    seconds = (time.perf_counter() - began) / len(part)
    scored = [(item, float(score)) for item, score in zip(part, judged.scores, strict=True)]
    rows = []
    for item, score in scored:
        finite = math.isfinite(score)
        answer = {"score": score} if finite else {"reason": "the score is not a finite number"}
        rows.append(_row(item, attack, **answer, nfe=spent.forward // len(part), seconds=seconds))
    if exhibits is not None:
        for (item, score), exhibit in zip(scored, judged.exhibits, strict=True):
            if math.isfinite(score):
                exhibits.add(
                    picture=item.picture,
                    sha256=str(item.sha256),
                    set_name=item.set,
                    attack=attack.name,
                    score=score,
                    exhibit=exhibit,
                )
        exhibits.prune()
    with whole(path) as stream:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), stream)


def read_batch(target: Target, items: Sequence[Item], entries: dict[tuple[str, str], Entry]) -> Batch:
    """The pictures of some inventory rows at the target's size, with the rows' labels where all have one.

    Raises UserError when a picture is no longer what it was when the inventory was taken.
    """
    pictures = []
    for item in items:
        try:
            picture = entries[item.set, item.picture].read()
        except PictureError as error:
            raise UserError(f"{item.picture} could be read at first and cannot now ({error}): run again") from None
        if picture.sha256 != item.sha256:
            raise UserError(f"{item.picture} changed during the run: start anew with another --out")
        pictures.append(replace(picture, label=item.label))
    return Batch.from_pictures(pictures, target.shape[1:], target.shape[0])


def _row(
    item: Item,
    attack: Attack,
    *,
    score: float | None = None,
    reason: str | None = None,
    nfe: int = 0,
    seconds: float = 0.0,
) -> dict:
    return {
        "picture": item.picture,
        "sha256": item.sha256,
        "set": item.set,
        "attack": attack.name,
        "attack_repr": repr(attack),
        "score": score,
        "reason": reason,
        "nfe": nfe,
        "seconds": seconds,
    }


def _merge(attacks: Sequence[Attack], items: Sequence[Item], out: Path) -> None:
    """All shards, and the pictures that were not scored, in the order of attacks and inventory."""
    excluded = [item for item in items if item.reason is not None]
    with whole(out / "scores.parquet") as stream, pq.ParquetWriter(stream, SCHEMA) as writer:
        for number, attack in enumerate(attacks):
            for path in sorted(_shards(out, number, attack).glob("*.parquet")):
                writer.write_table(pq.read_table(path, schema=SCHEMA))
            rows = [_row(item, attack, reason=item.reason) for item in excluded]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def _shards(out: Path, number: int, attack: Attack) -> Path:
    return out / "shards" / f"{number:02d}-{attack.name}"
