"""How much do more looks at a picture tell, and in which views?

    python -m benchmarks.looks --target NAME MODEL MEMBERS UNSEEN [--target ...] [--page docs/accuracy.md]

A look is one restoration of the noised picture and of each of its views. Errors are measured once, at several levels
with several draws of the noise each; then looks are chosen at random among them, many times over, and the AUC of
members against unseen pictures is taken of every choice. So how far AUC hangs on the draws is seen beside it.

--page: write the table between the marks in that file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.marks import write_between
from trainedon.attacks import parse_attacks
from trainedon.attacks.core.execute import valid
from trainedon.attacks.drc.drc import DRC
from trainedon.evidence import auc
from trainedon.pictures import load_pictures
from trainedon.targets import Target, changed, load_target

BEGIN, END = "<!-- looks: begin -->", "<!-- looks: end -->"
LEVELS, DRAWS, CHOICES = (75, 100, 150, 200), 6, 40
VIEWS = (("mirror",), ("half-turn",), ("mirror", "half-turn"), ("mirror", "upside-down", "half-turn"))
ASKED = ("mirror", "upside-down", "half-turn")
LOOKS = (4, 8, 12, 24)
CHUNK = 32


def log_errors(
    target: Target,
    source: Path,
    limit: int,
    levels: Sequence[int] = LEVELS,
    draws: int = DRAWS,
    asked: Sequence[str] = ASKED,
) -> tuple[np.ndarray, np.ndarray]:
    """Log errors of a source's first pictures, float64 (n, 1 + views, levels * draws), the picture itself first; and
    which of the views change it, bool (n, views)."""
    degradation = "+".join(f"diffuse:{level}" for level in levels)
    (attack,) = parse_attacks(
        f"drc(degradation={degradation}, restorations={draws}, symmetries={'+'.join(asked)})", seed=0
    )
    assert isinstance(attack, DRC)
    batch, found = valid(target, load_pictures(source, target, limit)), []
    for start in track(range(0, len(batch), CHUNK), description=source.name):
        views = attack.views(target, batch[start : start + CHUNK])
        drawn = views.drawn()
        each = [views.under(one, drawn).similarities[:, 0] for one in views.asked]
        found.append(np.stack([np.log(np.maximum(-one.numpy(), 1e-6)) for one in each], axis=1))
    return np.concatenate(found), np.stack([changed(batch.pixels, name) for name in asked], axis=1)


def differences(errors: np.ndarray, changes: np.ndarray, views: Sequence[str]) -> np.ndarray:
    """Of each look the mean over the views that change the picture, minus the picture's own: float64 (n, looks)."""
    columns = [ASKED.index(name) for name in views]
    weights = changes[:, columns, None].astype(float)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = (weights * errors[:, [1 + k for k in columns]]).sum(1) / weights.sum(1)
    return mean - errors[:, 0]


def spread(members: np.ndarray, unseen: np.ndarray, looks: int, rng: np.random.Generator) -> tuple[float, float]:
    """Mean and standard deviation of the AUC over choices of so many looks."""
    chosen = [rng.permutation(members.shape[1])[:looks] for _ in range(CHOICES)]
    found = [auc(*(_scored(one[:, columns]) for one in (members, unseen))).value for columns in chosen]
    return float(np.mean(found)), float(np.std(found))


def _scored(looks: np.ndarray) -> np.ndarray:
    scores: np.ndarray = looks.mean(1)
    return scores[np.isfinite(scores)]


def table(targets: Sequence[Sequence[str]], limit: int) -> str:
    """Markdown: views and looks against targets."""
    measured = {}
    for name, model, members, unseen in targets:
        target = load_target(model)
        measured[name] = [log_errors(target, Path(source), limit) for source in (members, unseen)]
    lines = [f"| views | looks | passes | {' | '.join(f'`{name}`' for name in measured)} |"]
    lines.append("|---|---|---|" + "---|" * len(measured))
    for views in VIEWS:
        for looks in LOOKS:
            rng, cells = np.random.default_rng(0), []
            for sets in measured.values():
                mean, deviation = spread(*(differences(*one, views) for one in sets), looks, rng)
                cells.append(f"{mean:.3f} ± {deviation:.3f}")
            lines.append(f"| {', '.join(views)} | {looks} | {looks * (1 + len(views))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--target", nargs=4, action="append", metavar=("NAME", "MODEL", "MEMBERS", "UNSEEN"), required=True
    )
    parser.add_argument("--limit", type=int, default=64, help="pictures of each set")
    parser.add_argument("--page", type=Path)
    given = parser.parse_args(arguments)
    text = table(given.target, given.limit)
    print(text)  # noqa: T201 (a command of its own)
    if given.page is not None:
        write_between(given.page, BEGIN, END, f"\n{text}\n")


if __name__ == "__main__":
    main()
