"""What the demo's model paints back of designs that it was trained on, and of designs that it never saw, as one PNG.

    python -m benchmarks.gallery --out docs/gallery.png [--seed N] [--each N]

The designs are drawn at random. The centre quarter of each is hidden and restored once by eq. 4 of the paper and once
with guidance, from the same noise. Printed is how far each row is from the originals, over the hidden part.

The artworks are OpenMoji's (openmoji.org), CC BY-SA 4.0: so is the figure.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from trainedon.attacks.drc.drc_hide import DRCHide
from trainedon.embedded import demo
from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.pictures import Batch, Picture, decode, to_levels
from trainedon.targets import Target, load_target

STEPS = 20
ROI = "center:0.25"
RESTORERS = {"plain (eq. 4)": "join", "guided": "guided"}
BLOCKS = {"The model was trained on these": True, "The model never saw these": False}

SCALE = 3  # a pixel becomes a square of so many
GAP, PAD, LABEL = 8, 20, 116  # between pictures; around everything; the column of row names
HEAD, BETWEEN, LINE = 32, 24, 20  # a block's title; from one block to the next; a line of the caption
LARGE, SMALL = 18, 14  # letters
# one light card for both themes, a little darker than the white that most designs stand on
CARD, INK, FAINT, EDGE = (246, 248, 250), (31, 35, 40), (87, 96, 106), (208, 215, 222)

Rows = Mapping[str, torch.Tensor]  # what a row shows -> float32 (n, c, h, w) in [-1, 1]


def drawn(seed: int, each: int) -> dict[bool, list[Picture]]:
    """`each` designs that the embedded model was trained on (True), and as many that it was not.

    Raises UserError when there are not so many, or a rendering is not the one that the model's manifest records.
    """
    rows = json.loads((demo.model_folder() / "manifest.json").read_text("utf-8"))["pictures"]
    rng = generator(seed, "gallery")
    chosen = {}
    for member in BLOCKS.values():
        those = [row for row in rows if row["member"] is member]
        if not 1 <= each <= len(those):
            raise UserError(f"--each must be from 1 to {len(those)}, not {each}")
        chosen[member] = [_picture(those[i]) for i in rng.permutation(len(those))[:each]]
    return chosen


def _picture(row: Mapping) -> Picture:
    return Picture(row["picture"], row["sha256"], *decode(demo.rendered(row)), None)


@torch.no_grad()
def restored(target: Target, batch: Batch, *, seed: int = 0, steps: int = STEPS) -> tuple[Rows, torch.Tensor]:
    """The figure's rows for these pictures; and what was hidden, bool (n, h, w)."""
    # noise is a function of picture, seed and step, and both restorers ask for as much of it in the same order
    attacks = {
        name: DRCHide(roi=ROI, restorer=restorer, steps=steps, restorations=1, encoder="pixel", seed=seed)
        for name, restorer in RESTORERS.items()
    }
    first = next(iter(attacks.values()))
    (hidden,) = first.roi.masks(target, batch)
    rows = {"original": batch.pixels, "hidden": first.degradation[0](batch, hidden, seed=seed)}
    rows |= {name: attack.restoring.restore(target, batch, [hidden])[:, 0, 0] for name, attack in attacks.items()}
    return {name: pixels.cpu() for name, pixels in rows.items()}, hidden.cpu()


def errors(rows: Rows, hidden: torch.Tensor) -> dict[str, float]:
    """Mean squared distance from the originals over the hidden part, levels in [-1, 1], for each row but the first."""
    original, *others = rows.values()
    where = hidden.unsqueeze(1).expand(original.shape)
    means = [float(((row - original)[where].double() ** 2).mean()) for row in others]
    return dict(zip(list(rows)[1:], means, strict=True))


def compose(blocks: Mapping[str, Rows], caption: Sequence[str]) -> Image.Image:
    """One block below another, each a title above its rows of RGB pictures; the lines of the caption last."""
    n, _, height, width = next(iter(next(iter(blocks.values())).values())).shape
    down, across = SCALE * height + GAP, SCALE * width + GAP
    tall = sum(HEAD + len(rows) * down + BETWEEN for rows in blocks.values()) + len(caption) * LINE - BETWEEN // 2
    card = Image.new("RGB", (2 * PAD + LABEL + n * across - GAP, 2 * PAD + tall), CARD)
    draw, y = ImageDraw.Draw(card), PAD
    for title, rows in blocks.items():
        draw.text((PAD, y + LARGE), title, INK, ImageFont.load_default(LARGE), anchor="ls")
        y += HEAD
        for name, pictures in rows.items():
            draw.text((PAD, y + SCALE * height / 2), name, INK, ImageFont.load_default(SMALL), anchor="lm")
            for i, picture in enumerate(pictures):
                _put(card, picture, PAD + LABEL + i * across, y)
            y += down
        y += BETWEEN
    y -= BETWEEN // 2
    for line in caption:
        draw.text((PAD, y + SMALL), line, FAINT, ImageFont.load_default(SMALL), anchor="ls")
        y += LINE
    return card


def _put(card: Image.Image, picture: torch.Tensor, x: int, y: int) -> None:
    """One picture, its pixels as squares, inside a thin line."""
    image = Image.fromarray(np.ascontiguousarray(to_levels(picture).transpose(1, 2, 0)))
    image = image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.NEAREST)
    ImageDraw.Draw(card).rectangle((x - 1, y - 1, x + image.width, y + image.height), outline=EDGE)
    card.paste(image, (x, y))


def gallery(out: Path, seed: int, each: int, steps: int = STEPS) -> str:
    """Writes the figure; returns the errors, a line a row."""
    target = load_target(demo.model_folder())
    chosen = drawn(seed, each)
    blocks, found = {}, {}
    for title, member in BLOCKS.items():
        batch = Batch.from_pictures(chosen[member], target.shape[1:], target.shape[0])
        blocks[title], hidden = restored(target, batch, seed=seed, steps=steps)
        found[member] = errors(blocks[title], hidden)
    caption = [
        f"Drawn at random (seed {seed}), not chosen by result. One restoration each, {steps} steps, the same noise.",
        "Artworks: OpenMoji, CC BY-SA 4.0.",
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    compose(blocks, caption).save(out, "PNG", optimize=True)
    lines = [
        f"mean squared error of the hidden part, levels in [-1, 1], {each} designs each",
        "row: trained on / unseen",
    ]
    return "\n".join([*lines, *(f"{name}: {found[True][name]:.3f} / {found[False][name]:.3f}" for name in found[True])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the PNG")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=8, help="designs of each kind (8)")
    given = parser.parse_args()
    try:
        print(gallery(given.out, given.seed, given.each))  # noqa: T201 (a command of its own)
    except UserError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
