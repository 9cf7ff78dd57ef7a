"""Shadow models: several models, each trained on its own recorded part of one pool of pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from trainedon.errors import UserError
from trainedon.files import whole, write_json
from trainedon.noise import generator
from trainedon.pictures import Batch, Item, inventory, scan
from trainedon.targets.helpers import POOL, SHADOWS, pool_digest
from trainedon.targets.load import model_digest
from trainedon.training.manifest import write_manifest
from trainedon.training.train import Recipe, train

Progress = Callable[[str, int, int], None]


def splits(pictures: int, models: int, draw: int | None, seed: int) -> np.ndarray:
    """Which pictures each model is trained on: bool (models, pictures).

    Models go in pairs: the first takes the first `draw` of a random order of the pictures, the second the last `draw`.
    With half of the pictures (the default) a pair shares all between them: each picture is in every second model.
    """
    draw = pictures // 2 if draw is None else draw
    if models < 2 or not 1 <= draw < pictures:
        raise UserError(
            f"{models} shadow models of {draw} out of {pictures} pictures: take 2 models or more, "
            "and for each fewer pictures than there are"
        )
    members = np.zeros((models, pictures), dtype=bool)
    for model in range(models):
        order = generator(seed, "shadows", model // 2).permutation(pictures)
        members[model, order[-draw:] if model % 2 else order[:draw]] = True
    return members


def train_shadows(
    source: Path, out: Path, recipe: Recipe, *, models: int, draw: int | None = None, progress: Progress
) -> None:
    """Train the models into `out/000`, `out/001`, ..., each a folder as `train` makes it, with a manifest.

    recipe: of all models; each has its own seed, and as many classes as the pool has. `out` also receives the pool at
    the models' size and, last, the record that `Shadows.open` reads. The same call goes on where it stopped. Raises
    UserError when `out` holds something else.
    """
    found = inventory(source, "member", progress=lambda d, t: progress("reading pictures", d, t))
    usable = [item for item in found if item.reason is None]
    members = splits(len(usable), models, draw, recipe.seed)
    batch = Batch.from_pictures(
        [e.read() for e in _entries(source, usable)], (recipe.size, recipe.size), recipe.channels
    )
    recipe = replace(recipe, classes=None if batch.labels is None else int(batch.labels.max()) + 1)
    record = {"pictures": len(usable), "draw": int(members[0].sum()), "recipe": json.loads(json.dumps(asdict(recipe)))}
    _write_pool(out, batch, members)
    names = [f"{number:03d}" for number in range(models)]
    if (out / SHADOWS).exists():
        _check_same(out, record | {"models": names})
        return
    for number, (name, chosen) in enumerate(zip(names, members, strict=True)):
        own = replace(recipe, seed=1000 * (recipe.seed + 1) + number)
        rows = np.flatnonzero(chosen)
        (out / name).mkdir(exist_ok=True)
        write_manifest(out / name, usable, chosen, own.seed)
        train(
            batch.pixels[rows],
            out / name,
            own,
            labels=None if batch.labels is None else batch.labels[rows],
            progress=lambda d, t, loss, n=number: progress(f"model {n + 1} of {models}, loss {loss:.4f}", d, t),
        )
    digest = pool_digest((out / POOL).read_bytes(), [model_digest(out / name) for name in names])
    write_json(out / SHADOWS, record | {"models": names, "digest": digest})


def _entries(source: Path, usable: list[Item]) -> list:
    names = {item.picture for item in usable}
    return [entry for entry in scan(source) if entry.name in names]


def _write_pool(out: Path, batch: Batch, members: np.ndarray) -> None:
    """`pool.npz`: pixels uint8 (n, c, h, w), sha256 (n,), members bool (models, n), and labels int64 (n,) if any.

    Raises UserError when there is a pool already and it is another one.
    """
    pixels = ((batch.pixels.numpy() + 1) * 127.5).round().astype(np.uint8)  # exact: it was made from 8 bits
    pool = {"pixels": pixels, "sha256": np.array(batch.sha256), "members": members}
    if batch.labels is not None:
        pool["labels"] = batch.labels.numpy()
    path = out / POOL
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            same = set(file.files) == set(pool) and all(np.array_equal(file[name], pool[name]) for name in pool)
        if not same:
            raise UserError(f"{out} was begun with other pictures, another seed or another draw: choose another --out")
        return
    with whole(path) as stream:
        np.savez(stream, **pool)


def _check_same(out: Path, record: dict) -> None:
    earlier = json.loads((out / SHADOWS).read_text("utf-8"))
    differing = [key for key, value in record.items() if earlier.get(key) != value]
    if differing:
        raise UserError(f"{out} holds other shadow models ({', '.join(differing)} differ): choose another --out")
