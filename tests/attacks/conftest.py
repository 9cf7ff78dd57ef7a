"""Shadow models for attacks that need them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from once import once
from PIL import Image

from trainedon.attacks.core.answers import silent
from trainedon.targets.helpers import POOL, SHADOWS, pool_digest
from trainedon.targets.load import model_digest
from trainedon.training import Recipe, train_shadows


@pytest.fixture(scope="session")
def shadow_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of four hardly trained shadow models, 16 x 16, on 24 pictures: "rgb", "grey", and "classes" (three).

    Each picture was in two models and not in the other two; the networks are built like those of `target_folders`.
    """
    kinds = ("rgb", "grey", "classes")
    root = once(tmp_path_factory, "shadows", _train_shadows)
    return {kind: root / kind for kind in kinds}


def _train_shadows(root: Path) -> None:
    rng = np.random.default_rng(4)
    for number in range(24):
        folder = root / "pictures" / str(number % 3)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number:02d}.png")
    plain = root / "plain"  # the same pictures without classes
    plain.mkdir()
    for path in (root / "pictures").glob("*/*.png"):
        (plain / path.name).write_bytes(path.read_bytes())
    recipe = Recipe(size=16, widths=(8, 16), passes=1, batch_size=6, warmup=1)
    grey = Recipe(size=16, channels=1, widths=(8, 16), passes=1, batch_size=6, warmup=1)
    kinds = {"rgb": (plain, recipe), "grey": (plain, grey), "classes": (root / "pictures", recipe)}
    for kind, (pictures, wanted) in kinds.items():
        train_shadows(pictures, root / kind, wanted, models=4, progress=silent)


@pytest.fixture(scope="session")
def shadows_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """shadows_of(family): a folder of four models of a family of `tiny`, with weights drawn at random, and their pool.

    Such shadow models are not trained here: the folder is written as `train --shadows` writes it.
    """
    root = tmp_path_factory.mktemp("family-shadows")
    rng = np.random.default_rng(5)
    pool = {
        "pixels": rng.integers(0, 256, (24, 3, 16, 16), dtype=np.uint8),
        "sha256": np.array([f"{number:064x}" for number in range(24)]),
        "members": np.array([[(number + model) % 4 < 2 for number in range(24)] for model in range(4)]),
        "labels": np.arange(24) % 3,
    }

    def make(family: str) -> Path:
        out = root / family
        if not out.exists():
            out.mkdir()
            np.savez(out / POOL, **pool)
            names = [f"{number:03d}" for number in range(4)]
            models = [model_digest(tiny.save(family, out / name, seed=1 + number)) for number, name in enumerate(names)]
            digest = pool_digest(hashlib.sha256((out / POOL).read_bytes()).digest(), models)
            (out / SHADOWS).write_text(json.dumps({"models": names, "digest": digest}))
        return out

    return make
