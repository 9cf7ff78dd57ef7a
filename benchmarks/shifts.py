"""How often do the controls see that two sets differ by themselves? Real pictures, changed in many small ways.

    python -m benchmarks.shifts NAME=PICTURES [NAME=PICTURES ...] [--draws N] [--side N] [--page docs/evidence.md]

PICTURES: a folder of square pictures of at least 64 pixels. From each a window of 60/64 of its sides is cut and brought
to the side asked for, so that a set can be moved, turned or enlarged as another person's cut would do it, without
invented borders. Suspects and unseen pictures are drawn from one folder; the unseen ones are cut or saved in another
way. Counted is how often the blind baseline, or the check of formats or sizes, tells the sets apart, so that no score
whatever could bring a claim above level 2. No encoder takes part: what one sees besides comes on top. Suspects and
unseen pictures come from two halves of the folder, which are dealt out; a half that is used up is dealt anew.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from benchmarks.marks import write_between
from trainedon.errors import UserError
from trainedon.evidence import Audit, FeatureTable, Scores, audit_table, clopper_pearson, read_features
from trainedon.evidence.protocol import blind
from trainedon.pictures import Inventory, Listing, cross_duplicates, scan, take_inventory
from trainedon.runs.features import BUILT_IN, LOOKED_AT, write_features

SIZES = ((12, 60), (20, 60), (40, 40), (40, 120), (40, 200))  # suspects, unseen
BEGIN, END = "<!-- shifts: begin -->", "<!-- shifts: end -->"
MOST = 2048  # pictures of a folder
ORIGINAL, WINDOW = 64, 60  # pixels
BICUBIC, LANCZOS = Image.Resampling.BICUBIC, Image.Resampling.LANCZOS
Shift = Callable[[Image.Image, np.random.Generator], Image.Image | bytes]


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
    return image.resize((round(image.width * factor), round(image.height * factor)), BICUBIC)


def mapped(image: Image.Image, change: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    """The picture with its levels, float64 (h, w, 3) in [0, 255], changed and rounded."""
    levels = change(np.asarray(image, dtype=np.float64))
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))


def shrunk(image: Image.Image, border: int) -> Image.Image:
    """The picture within a black border of so many pixels."""
    whole = Image.new("RGB", image.size)
    whole.paste(image.resize((image.width - 2 * border, image.height - 2 * border), BICUBIC), (border, border))
    return whole


def rolled(image: Image.Image, pixels: int) -> Image.Image:
    """The picture moved sideways, what leaves it on one side coming in on the other."""
    return Image.fromarray(np.roll(np.asarray(image), pixels, axis=1))


# Of the picture as it was cut.
SHIFTS: dict[str, Shift] = {
    "none": lambda image, rng: image,
    "saved as JPEG": lambda image, rng: saved(image, "JPEG", quality=95),
    "once a JPEG (quality 95)": lambda image, rng: compressed(image, 95),
    "once a JPEG (quality 75)": lambda image, rng: compressed(image, 75),
    "twice the size": lambda image, rng: scaled(image, 2),
    "once 3/4 of the size": lambda image, rng: scaled(image, 0.75).resize(image.size, BICUBIC),
    "once twice the size": lambda image, rng: scaled(image, 2).resize(image.size, BICUBIC),
    "blurred (0.3 px)": lambda image, rng: image.filter(ImageFilter.GaussianBlur(0.3)),
    "blurred (0.5 px)": lambda image, rng: image.filter(ImageFilter.GaussianBlur(0.5)),
    "sharpened (20 %)": lambda image, rng: ImageEnhance.Sharpness(image).enhance(1.2),
    "noise of half a level": lambda image, rng: mapped(image, lambda x: x + rng.normal(0, 0.5, x.shape)),
    "noise of one level": lambda image, rng: mapped(image, lambda x: x + rng.normal(0, 1, x.shape)),
    "contrast -10 %": lambda image, rng: ImageEnhance.Contrast(image).enhance(0.9),
    "contrast -15 to -5 %": lambda image, rng: ImageEnhance.Contrast(image).enhance(rng.uniform(0.85, 0.95)),
    "gamma 1.1": lambda image, rng: mapped(image, lambda x: 255 * (x / 255) ** 1.1),
    "brighter by 5 levels": lambda image, rng: mapped(image, lambda x: x + 5),
    "saturation -15 %": lambda image, rng: ImageEnhance.Color(image).enhance(0.85),
    "blue +5 levels": lambda image, rng: mapped(image, lambda x: x + np.array([0, 0, 5])),
    "blue +5 %": lambda image, rng: mapped(image, lambda x: x * np.array([1, 1, 1.05])),
    "black border (1 px)": lambda image, rng: shrunk(image, 1),
    "moved 1 px, wrapped around": lambda image, rng: rolled(image, 1),
    "mirrored": lambda image, rng: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}
# How the window lies: right and down in pixels of the result, turned by degrees, enlarged; and the filter.
Cut = tuple[float, float, float, float, Image.Resampling]
CUTS: dict[str, Callable[[np.random.Generator], Cut]] = {
    "cut 1/2 px off": lambda rng: (0.5, 0, 0, 1, LANCZOS),
    "cut 1 px off": lambda rng: (1, 0, 0, 1, LANCZOS),
    "cut -1, 0 or 1 px off": lambda rng: (*rng.integers(-1, 2, 2), 0, 1, LANCZOS),
    "turned 1 degree": lambda rng: (0, 0, 1, 1, LANCZOS),
    "turned -3 to 3 degrees": lambda rng: (0, 0, rng.uniform(-3, 3), 1, LANCZOS),
    "enlarged 3 %": lambda rng: (0, 0, 0, 1.03, LANCZOS),
    "enlarged -5 to 5 %": lambda rng: (0, 0, 0, rng.uniform(0.95, 1.05), LANCZOS),
    "resized bicubically": lambda rng: (0, 0, 0, 1, BICUBIC),
}
PLAIN: Cut = (0, 0, 0, 1, LANCZOS)
NAMES = [*SHIFTS, *CUTS]


def cut(image: Image.Image, side: int, how: Cut = PLAIN) -> Image.Image:
    """The window of a square picture, brought to `side` pixels."""
    right, down, turn, larger, resample = how
    if turn:
        image = image.rotate(turn, BICUBIC)
    middle, half, step = image.width / 2, image.width * WINDOW / ORIGINAL / 2, image.width * WINDOW / ORIGINAL / side
    x, y, reach = middle + right * step, middle + down * step, half / larger
    return image.resize((side, side), resample, box=(x - reach, y - reach, x + reach, y + reach))


def changed(paths: Sequence[Path], name: str, side: int) -> Iterator[bytes]:
    """Files as the change of that name makes them of the pictures."""
    rng = np.random.Generator(np.random.Philox(key=[NAMES.index(name), side]))
    for path in paths:
        image = Image.open(path).convert("RGB")
        if name in CUTS:
            result: Image.Image | bytes = cut(image, side, CUTS[name](rng))
        else:
            result = SHIFTS[name](cut(image, side), rng)
        yield result if isinstance(result, bytes) else saved(result)


@dataclass(frozen=True)
class Pool:
    """Pictures that draws are taken from: facts of each, and how each looks, by column."""

    facts: Sequence[dict[str, Any]]
    looks: Mapping[str, Sequence[np.ndarray]]


def pool(files: Iterator[bytes], set_name: str) -> Pool:
    """What a run would record of these files."""
    with tempfile.TemporaryDirectory() as folder:
        items, entries = inventory(files, set_name, Path(folder))
        pictures = [entry.read().rgb for entry in entries]
    looks = {column: [look(rgb) for rgb in pictures] for column, look in LOOKED_AT.items()}
    return Pool([vars(item) for item in items], looks)


def inventory(files: Iterable[bytes], set_name: str, folder: Path) -> tuple[Inventory, Listing]:
    """The files written into a folder of their own, and listed."""
    source = folder / set_name
    source.mkdir()
    for i, data in enumerate(files):
        suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
        (source / f"{i:05d}.{suffix}").write_bytes(data)
    entries = scan(source)
    return take_inventory(entries, set_name), entries


def told_apart(suspects: Pool, unseen: Pool, first: np.ndarray, second: np.ndarray) -> bool:
    """Whether the controls see a difference between those of the suspects and those of the unseen pictures."""
    parts = ((suspects, first), (unseen, second))
    facts = [part.facts[i] for part, rows in parts for i in rows]
    keys = [(row["set"], row["picture"]) for row in facts]
    looks = {
        column: dict(zip(keys, [part.looks[column][i] for part, rows in parts for i in rows], strict=True))
        for column in LOOKED_AT
    }
    found = blind.run(facts, "suspect", FeatureTable(BUILT_IN, looks[BUILT_IN], looks)).blind
    return bool(found.separates or found.codec_mismatch or found.resolution_mismatch)


def dealt(n: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draws of so many of n pictures; no picture comes twice before too few are left."""
    while True:
        order = rng.permutation(n)
        yield from order[: n // size * size].reshape(-1, size)


def rate(suspects: Pool, unseen: Pool, m: int, n: int, draws: int) -> str:
    """In how many draws the controls tell the sets apart, and the exact interval of that share."""
    rng = np.random.Generator(np.random.Philox(key=[m, n]))
    pairs = zip(dealt(len(suspects.facts), m, rng), dealt(len(unseen.facts), n, rng))
    hits = sum(told_apart(suspects, unseen, *pair) for pair in islice(pairs, draws))
    low, high = clopper_pearson(hits, draws)
    return f"{hits} ({low:.2f}-{high:.2f})"


def table(name: str, paths: Sequence[Path], side: int, draws: int) -> Iterator[str]:
    """The lines of a table: one a change, one column a size."""
    order = np.random.Generator(np.random.Philox(0)).permutation(len(paths))
    paths = [paths[i] for i in order[:MOST]]
    half = len(paths) // 2
    most = max(max(size) for size in SIZES)
    if half < most:
        raise UserError(f"{name}: {2 * most} pictures are needed; there are {len(paths)}")
    yield f"**{name}**, {side} pixels, {half} pictures a half, found in so many of {draws} draws (95 % interval):\n"
    heads = [f"{m}, {n}" for m, n in SIZES]
    yield f"| unseen pictures | {' | '.join(heads)} |"
    yield "|---" * (1 + len(SIZES)) + "|"
    suspects = pool(changed(paths[:half], NAMES[0], side), "suspect")
    for change in NAMES:
        unseen = pool(changed(paths[half:], change, side), "unseen")
        yield f"| {change} | {' | '.join(rate(suspects, unseen, m, n, draws) for m, n in SIZES)} |"
    yield ""


def audited(suspects: Sequence[Path], unseen: Sequence[Path], shift: Shift) -> Audit:
    """The audit of these files, the unseen ones changed, by an attack that puts every suspect above all of them."""
    rng = np.random.Generator(np.random.Philox(0))

    def files(paths: Sequence[Path], how: Shift) -> Iterator[bytes]:
        for path in paths:
            result = how(Image.open(path).convert("RGB"), rng)
            yield result if isinstance(result, bytes) else saved(result)

    with tempfile.TemporaryDirectory() as folder:
        parts = (("suspect", suspects, SHIFTS["none"]), ("unseen", unseen, shift))
        listed = [inventory(files(paths, how), name, Path(folder)) for name, paths, how in parts]
        items = cross_duplicates(listed[0][0] + listed[1][0])
        write_features(items, [*listed[0][1], *listed[1][1]], Path(folder), lambda what, done, total: None)
        features = read_features(Path(folder) / "looks.parquet")
    rows = [
        {"picture": item.picture, "set": item.set, "sha256": item.sha256, "score": (item.set == "suspect") + i * 1e-6}
        for i, item in enumerate(item for item in items if item.reason is None)
    ]
    return audit_table(Scores.from_rows(rows), [vars(item) for item in items], features)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", metavar="NAME=PICTURES")
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--side", type=int, default=32, help="pixels of the pictures that are compared")
    parser.add_argument("--page", type=Path, help="written between its two marks; else printed alone")
    given = parser.parse_args()
    lines = []
    try:
        for name, _, folder in (one.partition("=") for one in given.pictures):
            for line in table(name, sorted(Path(folder).rglob("*.png")), given.side, given.draws):
                print(line, flush=True)  # noqa: T201 (a command of its own)
                lines.append(line + "\n")
        if given.page:
            write_between(given.page, BEGIN, END, "\n" + "".join(lines))
    except (UserError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
