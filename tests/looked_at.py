"""What a run stores of how its pictures look, of pictures that are made here."""

import numpy as np

from trainedon.evidence import FeatureTable
from trainedon.runs.features import LOOKED_AT


def blurred(rng, side=40):
    """Blobs of colour at chance places: uint8 (40, 40, 3)."""
    y, x = np.mgrid[:side, :side]
    out = np.full((side, side, 3), 128.0)
    for cx, cy in rng.uniform(0, side, (8, 2)):
        size = rng.uniform(2, 10)
        out += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * size**2))[..., None] * rng.uniform(-90, 90, 3)
    return np.clip(out + rng.normal(0, 3, out.shape), 0, 255).astype(np.uint8)


def stored(pictures, name="suspect"):
    """What a run stores of them: its inventory and its features."""
    rows = [
        {"set": name, "picture": f"{i}.png", "sha256": f"{i * 7919 % 10007:064x}", "reason": None, "phash": None}
        for i in range(len(pictures))
    ]
    keys = [(name, row["picture"]) for row in rows]
    looks = {column: dict(zip(keys, map(look, pictures), strict=True)) for column, look in LOOKED_AT.items()}
    return rows, FeatureTable("layout", looks["layout"], looks)
