"""Do sets that differ by themselves ever get above claim level 2? Real pictures, and the most convincing attack.

    python -m benchmarks.shifts PICTURES [--other DIR] [--draws N]

From one folder of pictures suspects and unseen ones are drawn at random. The unseen ones are then saved in another way,
or taken from another folder, and an attack that scores every suspect above every unseen picture is put on top. Whatever
it says, the claim must stay at level 2, because the pictures can be told apart without a model. Where nothing was
changed, the claim is 3 but for the share that the controls cost.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from trainedon.evidence import Audit, Scores, audit_table, read_features
from trainedon.pictures import cross_duplicates, scan, take_inventory
from trainedon.runs.features import write_features

SIZES = ((20, 60), (40, 300))


def saved(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    """The picture as a file's bytes."""
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def compressed(image: Image.Image, quality: int) -> Image.Image:
    """The picture after one round of JPEG."""
    return Image.open(io.BytesIO(saved(image, "JPEG", quality=quality))).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """The picture with its sides times `factor`."""
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


SHIFTS: dict[str, Callable[[Image.Image], bytes]] = {
    "none": saved,
    "saved as JPEG": lambda image: saved(image, "JPEG", quality=95),
    "once a JPEG (quality 90)": lambda image: saved(compressed(image, 90)),
    "once a JPEG (quality 75)": lambda image: saved(compressed(image, 75)),
    "twice the size": lambda image: saved(scaled(image, 2)),
    "once 3/4 of the size": lambda image: saved(scaled(image, 0.75).resize(image.size, Image.Resampling.BICUBIC)),
    "once half the size": lambda image: saved(scaled(image, 0.5).resize(image.size, Image.Resampling.BICUBIC)),
}


def audited(suspects: Sequence[Path], unseen: Sequence[Path], shift: Callable[[Image.Image], bytes]) -> Audit:
    """The audit of these files by an attack that parts the sets without an error, the unseen ones saved by `shift`."""
    with tempfile.TemporaryDirectory() as folder:
        items, entries = [], []
        for name, paths, how in (("suspect", suspects, saved), ("unseen", unseen, shift)):
            source = Path(folder) / name
            source.mkdir()
            for i, path in enumerate(paths):
                data = how(Image.open(path).convert("RGB"))
                suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
                (source / f"{i:05d}.{suffix}").write_bytes(data)
            listed = scan(source)
            items += take_inventory(listed, name)
            entries += listed
        items = cross_duplicates(items)
        write_features(items, entries, Path(folder), lambda what, done, total: None)
        features = read_features(Path(folder) / "looks.parquet")
    rows = [
        {"picture": item.picture, "set": item.set, "sha256": item.sha256, "score": (item.set == "suspect") + i * 1e-6}
        for i, item in enumerate(item for item in items if item.reason is None)
    ]
    return audit_table(Scores.from_rows(rows), [vars(item) for item in items], features)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="a folder of at least 340 PNG pictures")
    parser.add_argument("--other", type=Path, help="a folder of at least 300 pictures of another kind")
    parser.add_argument("--draws", type=int, default=20)
    given = parser.parse_args()
    files, others = (sorted(folder.glob("*.png")) if folder else [] for folder in (given.pictures, given.other))
    print("| unseen pictures | suspects, unseen | above level 2 |\n|---|---|---|")  # noqa: T201 (a command of its own)
    for m, n in SIZES:
        for name in [*SHIFTS, *(["of another kind"] if others else [])]:
            above = 0
            for draw in range(given.draws):
                rng = np.random.Generator(np.random.Philox(key=[draw, m]))
                chosen = [files[i] for i in rng.permutation(len(files))]
                unseen = [others[i] for i in rng.permutation(len(others))] if name not in SHIFTS else chosen[m:]
                above += audited(chosen[:m], unseen[:n], SHIFTS.get(name, saved)).claim.level > 2
            print(f"| {name} | {m}, {n} | {above} of {given.draws} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
