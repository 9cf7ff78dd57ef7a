"""Execute a run on this machine: pictures in shards, each shard's scores written whole."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainedon.attacks import Attack, Judged, Progress, short
from trainedon.errors import PictureError, UserError
from trainedon.files import whole
from trainedon.pictures import Batch, Entry, Item, Picture
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
# A shard also holds what an attack that learns has observed, until all shards are there.
SHARD_SCHEMA = SCHEMA.append(pa.field("observed", pa.list_(pa.float64())))


def score_all(
    target: Target,
    attacks: Sequence[Attack],
    items: Sequence[Item],
    entries: Sequence[Entry],
    out: Path,
    progress: Progress,
) -> None:
    """Score every usable picture by every attack into `out/scores.parquet`.

    entries: where to read each item. Shards that are there already are not done again. All attacks go over
    one shard before the next, so that the network is asked once where several ask the same. The first attack that can
    show what it saw fills `out/restored`.
    """
    if (out / "scores.parquet").exists():
        return
    usable = [i for i, item in enumerate(items) if item.reason is None]
    showing = next((attack for attack in attacks if attack.shows), None)
    exhibits = Exhibits(out / "restored")
    folders = [_shards(out, number, attack) for number, attack in enumerate(attacks)]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(usable), SHARD):
        chosen = usable[start : start + SHARD]
        part = [items[i] for i in chosen]
        paths = [folder / f"{start // SHARD:06d}.parquet" for folder in folders]
        missing = [path for path in paths if not path.exists()]
        batch = read_batch(target, part, [entries[i] for i in chosen]) if missing else None
        with target.sharing():
            for attack, path in zip(attacks, paths, strict=True):
                if path in missing:
                    attack.prepare(target, progress)
                    _score_shard(target, attack, part, batch, path, exhibits if attack is showing else None)
                progress(short(attack), start + len(part), len(usable))
    _merge(attacks, items, out, progress)


def _score_shard(
    target: Target, attack: Attack, part: Sequence[Item], batch: Batch, path: Path, exhibits: Exhibits | None
) -> None:
    """Score one shard, keep what there is to show, and write the shard last.

    The seconds are those that the attack alone would take: what an answer took that was known already is added.
    """
    began = time.perf_counter()
    with target.counted() as spent:
        judged = attack.judge(target, batch)
    seconds = (time.perf_counter() - began + spent.spared) / len(part)
    costs = {"nfe": spent.forward // len(part), "seconds": seconds}
    if attack.learns:
        rows = [_row(i, attack, **costs) | {"observed": o} for i, o in zip(part, judged.scores, strict=True)]
    else:
        rows = [_scored(i, attack, s, **costs) for i, s in zip(part, judged.scores.tolist(), strict=True)]
    if exhibits is not None:
        _keep_exhibits(target, attack, part, batch, judged, exhibits)
    with whole(path) as stream:
        pq.write_table(pa.Table.from_pylist(rows, schema=SHARD_SCHEMA), stream)


def _keep_exhibits(
    target: Target, attack: Attack, part: Sequence[Item], batch: Batch, judged: Judged, exhibits: Exhibits
) -> None:
    """Keep what there is to show of the pictures that are to be shown; passes for the eye alone are not counted."""
    scored = [i for i, score in enumerate(judged.scores.tolist()) if math.isfinite(score)]
    wanted = exhibits.wanted([(str(part[i].sha256), part[i].set, float(judged.scores[i])) for i in scored])
    chosen = [i for i in scored if part[i].sha256 in wanted]
    if not chosen:
        return
    found = [judged.exhibits[i] for i in chosen] if judged.exhibits else attack.show(target, batch.take(chosen))
    for i, exhibit in zip(chosen, found):  # an attack may have nothing to show
        exhibits.add(
            picture=part[i].picture,
            sha256=str(part[i].sha256),
            set_name=part[i].set,
            attack=attack.name,
            score=float(judged.scores[i]),
            exhibit=exhibit,
        )
    exhibits.prune()


def read_batch(target: Target, items: Sequence[Item], entries: Sequence[Entry]) -> Batch:
    """The pictures of some inventory rows at the target's size, with the rows' labels where all have one.

    Raises UserError as `read_again` does.
    """
    pictures = [replace(read_again(item, entry), label=item.label) for item, entry in zip(items, entries, strict=True)]
    return Batch.from_pictures(pictures, target.shape[1:], target.shape[0])


def read_again(item: Item, entry: Entry) -> Picture:
    """The picture of an inventory row. Raises UserError when it is no longer what it was when that was taken."""
    try:
        picture = entry.read()
    except PictureError as error:
        raise UserError(f"{item.picture} could be read at first and cannot now ({error}): run again") from None
    if picture.sha256 != item.sha256:
        raise UserError(f"{item.picture} changed during the run: start anew with another --out")
    return picture


def _scored(item: Item, attack: Attack, score: float, **costs: float) -> dict:
    """A row with a score, or with the reason why there is none."""
    answer = {"score": score} if math.isfinite(score) else {"reason": attack.unscored}
    return _row(item, attack, **answer, **costs)


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


def _merge(attacks: Sequence[Attack], items: Sequence[Item], out: Path, progress: Progress) -> None:
    """All shards, and the pictures that were not scored, in the order of attacks and inventory."""
    usable = [item for item in items if item.reason is None]
    excluded = [item for item in items if item.reason is not None]
    with whole(out / "scores.parquet") as stream, pq.ParquetWriter(stream, SCHEMA) as writer:
        for number, attack in enumerate(attacks):
            paths = sorted(_shards(out, number, attack).glob("*.parquet"))
            if attack.learns:
                progress(f"{short(attack)} learning", 0, 1)
                rows = _concluded(attack, usable, [pq.read_table(path, schema=SHARD_SCHEMA) for path in paths])
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                progress(f"{short(attack)} learning", 1, 1)
            else:
                for path in paths:
                    writer.write_table(pq.read_table(path, schema=SHARD_SCHEMA).select(SCHEMA.names))
            rows = [_row(item, attack, reason=item.reason) for item in excluded]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def _concluded(attack: Attack, usable: Sequence[Item], shards: Sequence[pa.Table]) -> list[dict]:
    """The rows of an attack that learns, from what it has observed of all pictures."""
    table = pa.concat_tables(shards)
    observed = np.stack(table["observed"].combine_chunks().to_numpy(zero_copy_only=False))
    began = time.perf_counter()
    scores = attack.conclude(observed, [item.set for item in usable], [str(item.sha256) for item in usable])
    learning = (time.perf_counter() - began) / len(usable)
    costs = zip(table["nfe"].to_pylist(), table["seconds"].to_pylist(), strict=True)
    return [
        _scored(item, attack, score, nfe=nfe, seconds=seconds + learning)
        for item, score, (nfe, seconds) in zip(usable, scores.tolist(), costs, strict=True)
    ]


def _shards(out: Path, number: int, attack: Attack) -> Path:
    return out / "shards" / f"{number:02d}-{attack.name}"
