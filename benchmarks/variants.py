"""Would another choice of levels, draws and views tell more than `drc@2`?

    python -m benchmarks.variants --out DIR --target NAME MODEL MEMBERS UNSEEN [--target ...] [--page docs/accuracy.md]

Log errors at six levels with four draws are measured once, under the model and in three views. Then settings are put
together of these: their AUC, and how much it is above that of `drc@2`, with the standard error of the difference on the
same pictures (DeLong). Settings look at nothing but the picture, so that its score stays a function of it alone.

--out: a folder where what was measured is kept. --page: write the table between the marks in that file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.flow import opened
from benchmarks.looks import log_errors
from benchmarks.marks import write_between
from benchmarks.weak import of_both
from trainedon.pictures import load_pictures
from trainedon.targets import TRANSFORMATIONS

BEGIN, END = "<!-- variants: begin -->", "<!-- variants: end -->"
LEVELS, DRAWS = (50, 100, 150, 200, 250, 300), 4
BOTH, HALF_TURN, ALL = (0, 1), (1,), (0, 1, 2)  # which of VIEWS
VIEWS = ("mirror", "half-turn", "upside-down")
Scores = np.ndarray  # float64 (n,)
FOUR = (50, 100, 200, 300)
NEAREST, NEAR, SOFT = 0.02, 0.05, 0.1  # shares of the picture's variance


@dataclass(frozen=True)
class Seen:
    """gains: how much larger log errors are in each view, float64 (n, views, levels, draws). apart: half the mean
    squared difference of picture and view as a share of the picture's variance, 0 for a picture that the view leaves as
    it is, float64 (n, views). member: bool (n,)."""

    gains: np.ndarray
    apart: np.ndarray
    member: np.ndarray

    def score(
        self, levels: Sequence[int], draws: int, views: Sequence[int], weights: np.ndarray | None = None
    ) -> Scores:
        """Mean over levels and draws, and over views with weights, (n, views), alike where none are given."""
        places = [LEVELS.index(level) for level in levels]
        by_view = self.gains[:, :, places, :draws].mean((2, 3))[:, list(views)]
        found: np.ndarray = by_view.mean(1) if weights is None else (weights * by_view).sum(1) / weights.sum(1)
        return found

    def in_turn(self, levels: Sequence[int], draws: int, nearest: float = 0.0) -> Scores:
        """Mean over levels and draws, each asked in one of both views alone, by turns. A picture that one of them
        changes by less than the share `nearest` is asked in the other alone."""
        looks = [(place, draw) for place in range(len(levels)) for draw in range(draws)]
        near = self.apart[:, :2] < nearest
        near[near.all(1)] = False
        rows, gains = np.arange(len(near)), []
        for place, draw in looks:
            view = np.where(near[:, 0], 1, np.where(near[:, 1], 0, (place + draw) % 2))
            gains.append(self.gains[rows, view, LEVELS.index(levels[place]), draw])
        found: np.ndarray = np.mean(gains, axis=0)
        return found


def seen(spec: Sequence[str], out: Path, limit: int) -> Seen:
    """What is measured of a target."""
    return Seen(*of_both(spec, out, limit, measured))


def measured(model: str, source: Path, kept: Path, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Of one source what `Seen` has of it; from the file `kept` where it is there."""
    if not kept.exists():
        target = opened(Path(model))
        errors, _ = log_errors(target, source, limit, LEVELS, DRAWS, VIEWS)
        errors = errors.reshape(len(errors), 1 + len(VIEWS), len(LEVELS), DRAWS)
        x = load_pictures(source, target, limit).pixels
        spread = 2 * x.flatten(1).var(1, unbiased=False).clamp_min(1e-9)
        apart = [(TRANSFORMATIONS[view].move(x) - x).square().flatten(1).mean(1) / spread for view in VIEWS]
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, gains=errors[:, 1:] - errors[:, :1], apart=np.stack([one.numpy() for one in apart], axis=1))
    with np.load(kept) as found:
        return found["gains"], found["apart"]


def settings() -> dict[str, tuple[int, Callable[[Seen], Scores]]]:
    """name -> passes a picture, and the score."""
    two = (100, 200)
    return {
        "`drc@2`": (24, lambda one: one.score(two, 4, BOTH)),
        f"views left out that change less than {NEAR:g}": (24, lambda one: one.score(two, 4, BOTH, _changing(one))),
        f"views weighed by what they change, half at {SOFT:g}": (24, lambda one: one.score(two, 4, BOTH, _softly(one))),
        "six levels once": (18, lambda one: one.score(LEVELS, 1, BOTH)),
        "100, 150, 200 and 250 twice": (24, lambda one: one.score((100, 150, 200, 250), 2, BOTH)),
        "100, 200 and 300 three times": (27, lambda one: one.score((100, 200, 300), 3, BOTH)),
        "50, 100, 200 and 300 three times, a view each in turn": (24, lambda one: one.in_turn(FOUR, 3)),
        f"the same, none that changes less than {NEAREST:g}": (24, lambda one: one.in_turn(FOUR, 3, NEAREST)),
        "six levels twice, a view each in turn": (24, lambda one: one.in_turn(LEVELS, 2)),
        "six levels twice, the half-turn alone": (24, lambda one: one.score(LEVELS, 2, HALF_TURN)),
        "six levels twice": (36, lambda one: one.score(LEVELS, 2, BOTH)),
        "six levels four times": (72, lambda one: one.score(LEVELS, 4, BOTH)),
        "six levels four times, all three views": (96, lambda one: one.score(LEVELS, 4, ALL)),
    }


def _changing(one: Seen) -> np.ndarray:
    """Weights of the two views of `drc@2`: none for one that leaves the picture nearly as it is, unless both do."""
    changing = (one.apart[:, :2] >= NEAR).astype(float)
    changing[changing.sum(1) == 0] = 1.0
    return changing


def _softly(one: Seen) -> np.ndarray:
    return one.apart[:, :2] / (one.apart[:, :2] + SOFT) + 1e-9


def compared(scores: Scores, others: Scores, member: np.ndarray) -> tuple[float, float, float]:
    """AUC, how much it is above that of the others, and the standard error of that (DeLong et al., Biometrics 44,
    1988)."""
    (first, areas), (second, besides) = (_placed(one[member], one[~member]) for one in (scores, others))
    differences = first - second, areas - besides
    error = sum(one.var(ddof=1) / len(one) for one in differences) ** 0.5
    return float(first.mean()), float(differences[0].mean()), float(error)


def _placed(members: Scores, unseen: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Of each member the share of unseen pictures below it, of each of these that of members above it; ties half."""

    def below(x: Scores, others: Scores) -> np.ndarray:
        ordered = np.sort(others)
        return (np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")) / (2 * len(others))

    return below(members, unseen), 1 - below(unseen, members)


def table(targets: dict[str, Seen]) -> str:
    """Markdown: settings against targets."""
    heads = [f"`{name}` ({one.member.sum()} + {(~one.member).sum()})" for name, one in targets.items()]
    lines = [f"| setting | passes | {' | '.join(heads)} |", "|---|---|" + "---|" * len(targets)]
    plain = settings()["`drc@2`"][1]
    for name, (passes, score) in settings().items():
        cells = []
        for one in targets.values():
            area, more, error = compared(score(one), plain(one), one.member)
            cells.append(f"{area:.3f}" + (f" ({more:+.3f} ± {error:.3f})" if error else ""))
        lines.append(f"| {name} | {passes} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--target", nargs=4, action="append", metavar=("NAME", "MODEL", "MEMBERS", "UNSEEN"), required=True
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=320, help="pictures of each set")
    parser.add_argument("--page", type=Path)
    given = parser.parse_args(arguments)
    text = table({spec[0]: seen(spec, given.out, given.limit) for spec in given.target})
    print(text)  # noqa: T201 (a command of its own)
    if given.page is not None:
        write_between(given.page, BEGIN, END, f"\n{text}\n")


if __name__ == "__main__":
    main()
