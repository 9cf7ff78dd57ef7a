"""What lowers a leak? One small model trained again and again, with one thing changed each time.

    python -m benchmarks.remedies --out DIR --faces DIR32 [--only NAME ...] [--page docs/lowering.md]

The pictures that are asked about are the same throughout: 96 faces on which every model is trained, and 256 that none
has seen. Beside each AUC stands how well the model predicts the noise in the pictures that it never saw, since what
ruins the model lowers any leak. Models and runs are kept in DIR, where the same command goes on where it stopped.

Training with per-example clipping and noise (`private`) needs `pip install dp-accounting` for its epsilon.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in trainedon.cli; before torch loads

import torch

import trainedon as to
from benchmarks.marks import write_between
from benchmarks.targets import stored
from trainedon.cli.terminal import Bars
from trainedon.errors import UserError
from trainedon.evidence import read_scores
from trainedon.files import write_text
from trainedon.noise import generator
from trainedon.pictures import scan
from trainedon.training import Recipe, make
from trainedon.training.families import Material
from trainedon.training.manifest import read_named
from trainedon.training.train import average, learning_rate

BEGIN, END = "<!-- remedies: begin -->", "<!-- remedies: end -->"
ATTACKS = ("drc", "fremia(pia(t=100))", "loss(draws=4)")
QUALITY = "timesteps(loss, t=100+300+500+700+900)"  # the training loss itself, at five places
ASKED, MOST, UNSEEN = 96, 288, 256
REPEATED, COPIES = 24, 4
USUAL = Recipe(widths=(16, 32, 48), passes=200, seed=41)


@dataclass(frozen=True)
class Noise:
    """Of training with differential privacy (Abadi et al., arXiv 1607.00133).

    clip: the largest norm of one picture's gradient. multiplier: standard deviation of the noise, as a multiple of it.
    """

    clip: float
    multiplier: float


@dataclass(frozen=True)
class Remedy:
    """One training. what: in words. members: pictures that are trained on. snapshot: stopped after so many passes of
    the training `of`. repeated: whether some of them lie there several times."""

    what: str
    recipe: Recipe = USUAL
    members: int = ASKED
    of: str | None = None
    snapshot: int | None = None
    repeated: bool = False
    noise: Noise | None = None
    snapshots: tuple[int, ...] = field(default=())


REMEDIES = {
    "usual": Remedy(f"as it is: {ASKED} faces, 200 passes", snapshots=(50, 100)),
    "stopped-100": Remedy("stopped after 100 of the 200 passes", of="usual", snapshot=100),
    "stopped-50": Remedy("stopped after 50 of the 200 passes", of="usual", snapshot=50),
    "repeated": Remedy("a quarter of the pictures lies there four times", repeated=True),
    "repeated-short": Remedy("the same in 67 passes", replace(USUAL, passes=67), repeated=True),
    "flip": Remedy("mirrored by a coin (`--flip`)", replace(USUAL, flip=True)),
    "augment": Remedy("cropped and recoloured (`--augment crop,colour`)", replace(USUAL, augment=("crop", "colour"))),
    "same-steps": Remedy(f"{MOST} faces, 67 passes: as many steps", replace(USUAL, passes=67), members=MOST),
    "small": Remedy("a network of a quarter of the size", replace(USUAL, widths=(8, 16, 24))),
    "private": Remedy("each picture's gradient clipped, and noise", noise=Noise(1.0, 1.0)),
    "more": Remedy(f"{MOST} faces, 200 passes", members=MOST),
}


@dataclass(frozen=True)
class Pictures:
    """Copies of the faces in an order of their own, below `root`."""

    root: Path
    faces: Path

    def folder(self, name: str, members: slice, copies: slice = slice(0)) -> Path:
        """A folder of some of the faces, and of further copies of some of these."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        files = self._in_order
        wanted = {f"{number:04}.png": data for number, data in enumerate(files[members])}
        for again in range(1, COPIES):
            wanted |= {f"{number:04}-again-{again}.png": data for number, data in enumerate(files[copies])}
        for name, data in wanted.items():
            path = folder / name  # the content says what it is, not the suffix
            if path.exists() and path.read_bytes() != data:
                raise UserError(f"{self.root} holds other faces: choose another --out")
            path.write_bytes(data)
        return folder

    @cached_property
    def _in_order(self) -> list[bytes]:
        files = [file.data for file in stored(self.faces)]
        if len(files) < MOST + UNSEEN:
            raise UserError(f"{self.faces} holds {len(files)} pictures: give {MOST + UNSEEN} or more")
        return [files[place] for place in generator(USUAL.seed, "faces").permutation(len(files))]


def train_all(names: Iterable[str], pictures: Pictures, out: Path, bars: Bars) -> None:
    """Train what is not there yet, into `out/models/NAME`."""
    for name in names:
        remedy = REMEDIES[name]
        if remedy.of is not None:
            continue
        copies = slice(REPEATED) if remedy.repeated else slice(0)
        source = pictures.folder(f"trained-{name}", slice(remedy.members), copies)

        def told(what: str, done: int, total: int, name: str = name) -> None:
            bars(f"{name}: {what}", done, total)

        folder = out / "models" / name
        if remedy.noise is None:
            make(source, folder, remedy.recipe, snapshots=remedy.snapshots, progress=told)
        elif not (folder / "model_index.json").exists():
            train_with_noise(source, folder, remedy.recipe, remedy.noise, told)


def train_with_noise(
    source: Path, folder: Path, recipe: Recipe, noise: Noise, progress: Callable[[str, int, int], None]
) -> None:
    """The same training, but each picture's gradient is clipped by itself and noise is added to their sum."""
    assert recipe.size is not None and recipe.channels is not None
    names = {entry.name for entry in scan(source)}
    lesson = recipe.lesson(Material(read_named(source, names, recipe.size, recipe.channels).pixels))
    parameters = [value for value in lesson.network.parameters() if value.requires_grad]
    averaged = copy.deepcopy(lesson.network)
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.0)
    single = replace(recipe, batch_size=1)  # a step of one picture, so that its gradient is known
    lesson.recipe = single
    steps = recipe.passes * math.ceil(lesson.rows / recipe.batch_size)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, steps)
        total = [torch.zeros_like(value) for value in parameters]
        for place in range(recipe.batch_size):
            gradients = torch.autograd.grad(lesson.loss(step * recipe.batch_size + place), parameters)
            norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
            share = min(1.0, noise.clip / (float(norm) + 1e-12))
            for whole, gradient in zip(total, gradients, strict=True):
                whole.add_(gradient, alpha=share)
        rng = torch.Generator().manual_seed(int(generator(recipe.seed, "privacy", step).integers(2**62)))
        for value, whole in zip(parameters, total, strict=True):
            drawn = torch.randn(whole.shape, generator=rng) * (noise.clip * noise.multiplier)
            value.grad = (whole + drawn) / recipe.batch_size
        optimizer.step()
        average(averaged.parameters(), lesson.network.parameters(), recipe, step)
        if step % 20 == 0 or step + 1 == steps:
            progress("training with noise", step + 1, steps)
    folder.mkdir(parents=True, exist_ok=True)
    lesson.save(averaged.eval(), folder)


def epsilon(remedy: Remedy) -> float | None:
    """The bound that the noise proves at delta 1e-5 where batches are drawn at random (Mironov et al., arXiv
    1908.10530); None where the training had none. Here they are drawn in turns: a figure to compare with, no proof."""
    if remedy.noise is None:
        return None
    import dp_accounting  # for one row of the table alone

    share = remedy.recipe.batch_size / remedy.members
    steps = remedy.recipe.passes * math.ceil(remedy.members / remedy.recipe.batch_size)
    accountant = dp_accounting.rdp.RdpAccountant()
    event = dp_accounting.PoissonSampledDpEvent(share, dp_accounting.GaussianDpEvent(remedy.noise.multiplier))
    accountant.compose(dp_accounting.SelfComposedDpEvent(event, steps))
    return float(accountant.get_epsilon(1e-5))


def model_of(name: str, out: Path) -> Path:
    remedy = REMEDIES[name]
    whole = out / "models" / (remedy.of or name)
    return whole if remedy.snapshot is None else whole / f"after-{remedy.snapshot}-passes"


def measured(name: str, members: Path, unseen: Path, out: Path, bars: Bars, asked: str = "") -> list[str]:
    """The cells of a row: AUC by each attack, and the error on pictures that were never seen."""
    run = out / "runs" / f"{name}{asked}"
    found = to.evaluate(
        model_of(name, out),
        members,
        unseen,
        attacks=[*ATTACKS, QUALITY],
        out=run,
        controls=False,
        progress=lambda what, done, total: bars(f"{name}: {what}", done, total),
    )
    *leaks, _ = found.attacks
    cells = [f"{one.auc:.3f} ({one.auc_ci[0]:.3f} to {one.auc_ci[1]:.3f})" for one in leaks]
    return [*cells, f"{error_on_unseen(run):.4f}"]


def error_on_unseen(run: Path) -> float:
    scores = read_scores(run)
    quality = scores.attacks[-1]
    sample = scores.sample(quality, "unseen")
    return -fmean(sample.score.tolist())


def table(names: Sequence[str], pictures: Pictures, out: Path, bars: Bars) -> list[str]:
    heads = [f"`{attack}`" for attack in ATTACKS]
    lines = [f"| training | {' | '.join(heads)} | error of the noise on unseen faces |", "|---|" + "---|" * 4]
    asked = pictures.folder("asked", slice(ASKED))
    unseen = pictures.folder("unseen", slice(MOST, MOST + UNSEEN))
    for name in names:
        what = REMEDIES[name].what
        if (bound := epsilon(REMEDIES[name])) is not None:
            what += f" (epsilon {bound:.3g} at delta 1e-5)"
        sets = {"": (what, asked)}
        if REMEDIES[name].repeated:
            sets = {
                "-repeated": (f"{what}: these", pictures.folder("repeated", slice(REPEATED))),
                "-single": ("the same model: the others", pictures.folder("single", slice(REPEATED, ASKED))),
            }
        for suffix, (words, members) in sets.items():
            lines.append(f"| {words} | {' | '.join(measured(name, members, unseen, out, bars, suffix))} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True, help="544 pictures of 32 x 32 pixels or more, of one kind")
    parser.add_argument("--only", nargs="+", choices=REMEDIES, default=list(REMEDIES), help="these trainings alone")
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    pictures = Pictures(given.out / "pictures", given.faces)
    names = [name for name in REMEDIES if name in given.only or name in {REMEDIES[one].of for one in given.only}]
    try:
        if any(REMEDIES[name].noise for name in names) and not find_spec("dp_accounting"):
            raise UserError("the row with noise needs `pip install dp-accounting`; --only names others")
        with Bars() as bars:
            train_all(names, pictures, given.out, bars)
            text = "\n".join(table(names, pictures, given.out, bars))
        if given.page:
            write_between(given.page, BEGIN, END, f"\n\n{text}\n\n")
    except UserError as error:
        parser.exit(2, f"{error}\n")
    write_text(given.out / "table.md", text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
