"""How much of a hidden region a latent model's autoencoder gives away elsewhere.

    python -m benchmarks.leak MODEL PICTURES [--roi center:0.25] [--limit N]

The pixels of the region are exchanged for those of the next picture. Printed is how far latents of kept places move,
as a share of how far they lie from those of the next picture altogether: once with the whole picture encoded, and once
with the kept part encoded by itself, as `drc` does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch

from trainedon.degrade import Hide, Roi
from trainedon.errors import UserError
from trainedon.pictures import Batch, load_pictures
from trainedon.targets import Target, load_target


def leak(target: Target, batch: Batch, roi: str) -> tuple[float, float, float]:
    """How far kept places move when the hidden part is another one, as a share of their own variation: with the whole
    picture encoded, in places beside hidden ones and in those further away; and with the kept part encoded by itself.
    """
    (region,) = Roi.parse(roi).masks(target, batch)
    swapped = torch.where(region[:, None], batch.pixels.roll(1, 0), batch.pixels)
    hidden = target.onto_states(region)
    wide = torch.nn.functional.max_pool2d(hidden.float()[:, None], 3, stride=1, padding=1)[:, 0] > 0
    states = target.encode(batch.pixels)
    apart = (states - states.roll(1, 0)).square().mean(1)
    moved = (states - target.encode(swapped)).square().mean(1)
    alone = target.encode(Hide()(batch, region)) - target.encode(Hide()(Batch(swapped, batch.sha256), region))

    def share(change: torch.Tensor, where: torch.Tensor) -> float:
        return float((change[where].sum() / apart[where].sum()).sqrt()) if where.any() else float("nan")

    return share(moved, wide & ~hidden), share(moved, ~wide), share(alone.square().mean(1), ~hidden)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leak", description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("pictures")
    parser.add_argument("--roi", default="center:0.25")
    parser.add_argument("--limit", type=int, default=64)
    given = parser.parse_args(arguments)
    target = load_target(given.model)
    if not target.latent:
        raise UserError(f"{given.model} works on pixels, where nothing leaks: give a latent model")
    beside, further, alone = leak(target, load_pictures(given.pictures, target, given.limit), given.roi)
    sys.stdout.write(
        f"whole picture encoded: {beside:.3f} beside the region, {further:.3f} further away; "
        f"kept part alone: {alone:.3f}\n"
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
