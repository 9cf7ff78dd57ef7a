"""Shadow models: several models, each trained on its own recorded part of one pool of pictures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trainedon.checks import check_lock
from trainedon.errors import UserError
from trainedon.files import write_atomically, write_json
from trainedon.noise import generator
from trainedon.pictures import Batch, Rendering, scan, take_inventory, to_levels
from trainedon.pictures.pixels.rendering import DEFAULT
from trainedon.targets.helpers import POOL, SHADOWS, pool_digest, read_pool
from trainedon.targets.load import model_digest
from trainedon.training.families import Recipe
from trainedon.training.manifest import read_named, write_manifest
from trainedon.training.our_folders import read_object
from trainedon.training.train import recorded, train

Progress = Callable[[str, int, int], None]


def splits(pictures: int, models: int, draw: int | None, seed: int) -> np.ndarray:
    """Which pictures each model is trained on: bool (models, pictures).

    Models go in pairs: the first takes the first `draw` of a random order of the pictures, the second the last `draw`.
    With half of the pictures (the default) a pair shares all between them, so that each picture is in every second
    model. Raises UserError when a model would see no picture, or every one.
    """
    draw = pictures // 2 if draw is None else draw
    if models < 2 or not 1 <= draw < pictures:
        raise UserError(
            f"{models} shadow models of {draw} out of {pictures} pictures: take 2 models or more, and fewer pictures "
            "for each than there are"
        )
    members = np.zeros((models, pictures), dtype=bool)
    for model in range(models):
        order = generator(seed, "shadows", model // 2).permutation(pictures)
        members[model, order[-draw:] if model % 2 else order[:draw]] = True
    return members


def train_shadows(
    source: str | Path,
    out: Path,
    recipe: Recipe,
    *,
    models: int,
    draw: int | None = None,
    rendering: Rendering = DEFAULT,
    progress: Progress,
    follow_links: bool = False,
) -> None:
    """Train the models into `out/000`, `out/001`, ..., each a folder as `train` makes it, with a manifest.

    recipe: of all models; each has its own seed, and as many classes as the pool has. `out` also receives the pool at
    the models' size and, last, the record that `Shadows.open` reads. The same call goes on where it stopped. Raises
    UserError when `out` holds something else, which is left as it is.
    """
    check_shadows_folder(out)
    told = partial(progress, "reading pictures")
    items = take_inventory(scan(source, follow_links=follow_links), "member", progress=told, rendering=rendering)
    usable = items.take(items.usable)
    members = splits(len(usable), models, draw, recipe.seed)
    every = set(usable.values("picture"))
    pool = read_named(source, every, recipe.size, recipe.channels, rendering, follow_links)
    recipe = replace(recipe, classes=None if pool.labels is None else int(pool.labels.max()) + 1)
    names = [f"{number:03d}" for number in range(models)]
    record = {
        "models": names,
        "pictures": len(usable),
        "draw": int(members[0].sum()),
        "recipe": recorded(recipe),
    }
    _check_same(out, record)
    _write_pool(out, pool, members)

    def trained(number: int, done: int, total: int, loss: float) -> None:
        known = "" if math.isnan(loss) else f", loss {loss:.4f}"
        progress(f"model {number + 1} of {models}{known}", done, total)

    for number, (name, chosen) in enumerate(zip(names, members, strict=True)):
        own = replace(recipe, seed=1000 * (recipe.seed + 1) + number)
        write_manifest(out / name, usable, chosen, own.seed, rendering=rendering)
        train(
            pool.pixels[chosen],
            out / name,
            own,
            labels=None if pool.labels is None else pool.labels[chosen],
            progress=partial(trained, number),
        )
    pool_sha256 = hashlib.sha256((out / POOL).read_bytes()).digest()
    digest = pool_digest(pool_sha256, [model_digest(out / name) for name in names])
    write_json(out / SHADOWS, record | {"digest": digest})


def _write_pool(out: Path, pool: Batch, members: np.ndarray) -> None:
    """`pool.npz`: pixels uint8 (n, c, h, w), sha256 (n,), members bool (models, n), and labels int64 (n,) if any.

    Raises UserError when there is a pool already and it is another one.
    """
    arrays: dict[str, Any] = {"pixels": to_levels(pool.pixels), "sha256": np.array(pool.sha256), "members": members}
    if pool.labels is not None:
        arrays["labels"] = pool.labels.numpy()
    if (out / POOL).exists():
        earlier = read_pool(out)
        if set(earlier) != set(arrays) or not all(np.array_equal(earlier[name], arrays[name]) for name in arrays):
            raise UserError(f"{out} was begun with other pictures, another seed or another draw: choose another --out")
        return
    out.mkdir(parents=True, exist_ok=True)
    with write_atomically(out / POOL) as stream:
        np.savez(stream, **arrays)


def check_shadows_folder(out: Path) -> None:
    """Raises UserError for a folder that holds other things than shadow models; writes nothing."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file, and shadow models are written to a folder: choose another --out")
    check_lock(out)
    strangers = [] if (out / POOL).exists() or not out.exists() else [p for p in out.iterdir() if p.name[0] != "."]
    if strangers:
        raise UserError(
            f"{out} is not empty and holds no shadow models (but {min(strangers).name}): choose another --out"
        )


def _check_same(out: Path, record: dict[str, Any]) -> None:
    """Finished models must be of this record."""
    if not (out / SHADOWS).exists():
        return
    earlier = read_object(out / SHADOWS)
    differing = [key for key, value in record.items() if earlier.get(key) != value]
    if differing:
        raise UserError(f"{out} holds other shadow models ({', '.join(differing)} differ): choose another --out")
