"""Which copies are found as near-duplicates, and how many different pictures are taken for one?

    python -m benchmarks.duplicates FOLDER [FOLDER ...] [--copies N]

For every folder: how many of its pictures, which should all be different ones, fall into clusters; and for N of them
which share of copies made in each way joins its original, by the perceptual hash alone and with the encoder.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from benchmarks.shifts import compressed, scaled
from trainedon.evidence import FeatureTable, near_duplicates
from trainedon.pictures.appearance import perceptual_hash
from trainedon.pictures.examining import statistics
from trainedon.runs.features import ROWS, encoder


def cropped(image: Image.Image, left: float, right: float) -> Image.Image:
    """Without a share of its width and height on the left and top, and on the right and bottom; at its own size."""
    width, height = image.size
    box = (left * width, left * height, (1 - right) * width, (1 - right) * height)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def labelled(image: Image.Image) -> Image.Image:
    """With a white label over 35 % of the width and 8 % of the height at the bottom."""
    copy, (width, height) = image.copy(), image.size
    ImageDraw.Draw(copy).rectangle((0.6 * width, 0.88 * height, 0.95 * width, 0.96 * height), fill="white")
    return copy


def bordered(image: Image.Image) -> Image.Image:
    """With a black border over 3 % of the width."""
    copy, (width, height) = image.copy(), image.size
    ImageDraw.Draw(copy).rectangle((0, 0, width - 1, height - 1), outline="black", width=max(1, round(0.03 * width)))
    return copy


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 75": lambda image: compressed(image, 75),
    "JPEG, quality 30": lambda image: compressed(image, 30),
    "half the size": lambda image: scaled(image, 0.5),
    "twice the size": lambda image: scaled(image, 2),
    "half the size, then JPEG of quality 50": lambda image: compressed(scaled(image, 0.5), 50),
    "10 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "10 % less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.9),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cropped by 2 % on each side": lambda image: cropped(image, 0.02, 0.02),
    "cropped by 5 % on each side": lambda image: cropped(image, 0.05, 0.05),
    "cropped by 10 % on each side": lambda image: cropped(image, 0.1, 0.1),
    "cropped by 5 % on two sides": lambda image: cropped(image, 0.05, 0.0),
    "mirrored": ImageOps.mirror,
    "with a white label": labelled,
    "with a black border of 3 %": bordered,
}


def facts(name: str, image: Image.Image) -> dict:
    """What an inventory would say of the picture, as far as near-duplicates go."""
    rgb = np.asarray(image)
    return {"set": "suspect", "picture": name, "sha256": name, "phash": perceptual_hash(rgb)} | statistics(rgb)


def seen(images: Sequence[Image.Image]) -> list[np.ndarray]:
    """The encoder's vectors, in blocks as a run makes them."""
    _, encode = encoder()
    blocks = [images[i : i + ROWS] for i in range(0, len(images), ROWS)]
    found = [encode([np.asarray(image) for image in block], [False] * len(block)) for block in blocks]
    return [vector for block in found for vector, _ in block]


def feature_table(rows: Sequence[dict], vectors: Sequence[np.ndarray]) -> FeatureTable:
    """What a run would know of these pictures by its encoder."""
    return FeatureTable(encoder()[0], {("suspect", row["picture"]): v for row, v in zip(rows, vectors, strict=True)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--copies", type=int, default=150)
    given = parser.parse_args()
    shares: dict[tuple[str, Path], tuple[float, float]] = {}
    for folder in given.folders:
        images = [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.png"))]
        rows, vectors = [facts(f"{i:06d}", image) for i, image in enumerate(images)], seen(images)
        for how, known in (("hash", None), ("hash and encoder", feature_table(rows, vectors))):
            sizes = Counter(Counter(near_duplicates(rows, known).values()).values())
            print(f"{folder}: {len(rows)} pictures, {how}: clusters by size {dict(sizes)}", flush=True)  # noqa: T201
        for name, copy in COPIES.items():
            copies = [copy(image) for image in images[: given.copies]]
            copied = [facts(f"{i:06d} copied", image) for i, image in enumerate(copies)]
            again = seen(copies)
            found = np.zeros(2)
            for i, (row, other) in enumerate(zip(rows, copied, strict=False)):
                pair = [row, other]
                found += [
                    bool(near_duplicates(pair)),
                    bool(near_duplicates(pair, feature_table(pair, [vectors[i], again[i]]))),
                ]
            shares[name, folder] = tuple(100 * found / len(copies))
    print(f"| copy | {' | '.join(map(str, given.folders))} |\n|---{'|---' * len(given.folders)}|")  # noqa: T201
    for name in COPIES:
        cells = (" / ".join(f"{share:.0f}" for share in shares[name, folder]) for folder in given.folders)
        print(f"| {name} | {' | '.join(cells)} |")  # noqa: T201


if __name__ == "__main__":
    main()
