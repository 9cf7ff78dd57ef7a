"""Does the test of twins hold what it says, and how much does it find?

    python -m benchmarks.twins --out FOLDER [--faces FACES] [--page docs/twins.md]

First, without a model: copies whose scores owe nothing to the coins, how often the test finds something at its level;
copies of which the published one scores higher, how many pictures it takes; and how many of the pictures that are named
are named wrongly. Then, with FACES (pictures of one kind, of 64 pixels or so, 384 at least), whole ways from pictures
to a claim: twins of some of them are made, a small model is trained on the published copies alone, and asked about
these twins and about those of other faces, which it never saw. What is trained lies in FOLDER, where the same command
goes on.

--page: write the tables between the marks in that file.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

import trainedon
from benchmarks.marks import tell
from benchmarks.mirror import Counted, shares_named
from trainedon import run_files
from trainedon.evidence.protocol.twins import LEVEL, TwinScores
from trainedon.evidence.statistics.quade import chosen_test
from trainedon.training import Recipe, make
from trainedon.twinning import make_twins

BEGIN, END = "<!-- twins: begin -->", "<!-- twins: end -->"
SETS = 4_000
NAMED = 0.05  # q-value
COPIES = 5  # near-duplicates of each picture
LOST = 0.1  # of the pictures
TWINNED, OTHERS = 64, 5  # faces in a set, and sets that the model never saw
RECIPE = Recipe(size=16, widths=(16, 32), passes=250, batch_size=24, learning_rate=0.003, seed=1)

CELLS = [
    *((kind, n, k) for kind in ("smooth", "ties") for k in (1, 3, 9) for n in (5, 20, 100)),
    *(("smooth", 1000, k) for k in (1, 3, 9)),
    *((kind, 40, k) for kind in ("one copy likelier", "near-duplicates", "missing") for k in (1, 3, 9)),
]
POWER = [
    *((1, share, n) for share, n in ((0.9, 14), (0.8, 27), (0.7, 64), (0.6, 252))),
    *((3, share, n) for share, n in ((0.9, 6), (0.7, 13), (0.5, 39))),
    *((9, share, n) for share, n in ((0.7, 5), (0.5, 12))),
]


def unlearnt(kind: str, n: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Scores, float64 (n, k + 1), of pictures of which a model has learnt nothing, the published copy first.

    ties: whole numbers. one copy likelier: the model likes the first of a picture's copies, whichever was published.
    near-duplicates: COPIES pictures each with nearly the same scores, and a coin of its own for each. missing: of a
    share LOST of the pictures a score is left out, of those that speak most against a finding.
    """
    scores = rng.normal(size=(n, k + 1))
    if kind == "ties":
        scores = scores.round()
    if kind == "one copy likelier":
        scores[:, 0] += 2
    if kind == "near-duplicates":
        scores = np.repeat(scores[: n // COPIES], COPIES, axis=0) + 0.01 * rng.normal(size=(n, k + 1))
    scores = rng.permuted(scores, axis=1)  # coins
    if kind == "missing":
        ahead = scores[:, 0] - scores[:, 1:].max(axis=1)
        scores[np.argsort(ahead)[: round(LOST * n)], 0] = np.nan
    return scores


def validity(sets: int) -> list[str]:
    """How often the test finds something where coins alone decided."""
    lines = ["| scores | kept copies | n | p < .05 | p < .01 |", "|---|---|---|---|---|"]
    rng = np.random.default_rng(1)
    for kind, n, k in CELLS:
        many = sets if n < 300 else max(1, sets // 10)
        p = np.array([p_of(unlearnt(kind, n, k, rng)) for _ in range(many)])
        found = [Counted(int((p < level).sum()), many) for level in (0.05, 0.01)]
        lines.append(f"| {kind} | {k} | {n} | {found[0]} | {found[1]} |")
    return lines


def p_of(scores: np.ndarray) -> float:
    return chosen_test(scores[:, 0], scores[:, 1:]).p_value


def ahead_by(share: float, k: int) -> float:
    """By how much one of k + 1 normal scores has to lie higher to be the highest with this chance."""

    def excess(by: float) -> float:
        return quad(lambda x: norm.pdf(x - by) * norm.cdf(x) ** k, -8, 12)[0] - share

    return float(brentq(excess, 0, 6))


def power(sets: int) -> list[str]:
    """How often published copies that are preferred are found."""
    lines = ["| kept copies | published copy preferred of | n | p < .01 |", "|---|---|---|---|"]
    rng = np.random.default_rng(2)
    for k, share, n in POWER:
        by = ahead_by(share, k)
        many = sets // 4
        p = [p_of(rng.normal(size=(n, k + 1)) + by * (np.arange(k + 1) == 0)) for _ in range(many)]
        lines.append(f"| {k} | {share:.0%} | {n} | {Counted(sum(one < LEVEL for one in p), many)} |")
    return lines


def names(sets: int) -> list[str]:
    """What is named among pictures whose published copies were used and others whose were not."""
    lines = [
        "| kept copies | used | not used | used ones lie at | named of the used ones | named wrongly, of those named |",
        "|---|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(3)
    for k in (1, 3, 9):
        for used, not_used, by in ((64, 64, 4.0), (64, 64, 2.0), (20, 80, 4.0), (0, 100, 0.0)):
            named = []
            for _ in range(sets // 4):
                scores = rng.normal(size=(used + not_used, k + 1))
                scores[:used, 0] += by
                named.append(TwinScores(scores[:, 0], scores[:, 1:]).q_values() <= NAMED)
            lines.append(f"| {k} | {used} | {not_used} | {by:g} | {shares_named(named, used)} |")
    return lines


@dataclass(frozen=True)
class Asked:
    """What an audit said of one set of twins."""

    set: str
    found: trainedon.AuditRun

    def __str__(self) -> str:
        twins, claim = self.found.twins, self.found.claim
        assert twins is not None  # it was asked about twins
        epsilon = f"{twins.one_run.epsilon:.2f}" if twins.one_run else "-"
        return (
            f"{twins.n_kept} | {self.set} | {twins.n} | {twins.n_first} | {twins.expected_first:.3g} | "
            f"{twins.p_value:.2g} | {claim.level} | {self.found.n_named} | {epsilon}"
        )


def trained(faces: Sequence[Path], out: Path, kept: int, recipe: Recipe, n: int = TWINNED) -> Iterator[Asked]:
    """Twins of n faces, a model of the published copies, and audits: of these twins, and of OTHERS sets of others."""
    groups = [faces[start : start + n] for start in range(0, n * (1 + OTHERS), n)]
    made = [twins_of(group, out / f"kept-{kept}" / f"set-{i}", kept) for i, group in enumerate(groups)]
    model = out / f"kept-{kept}" / "model"
    make(made[0] / "publish", model, recipe, progress=lambda *_: None)
    for i, twins in enumerate(made):
        found = trainedon.audit(model, twins, twins=twins / run_files.TWINS)
        yield Asked("used" if i == 0 else "never seen", found)


def twins_of(faces: Sequence[Path], folder: Path, kept: int) -> Path:
    """Twins of these pictures, in that folder. The secret is no secret, so that the command gives the same again."""
    if not (folder / "twins" / run_files.TWINS).exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "pictures").mkdir(parents=True)
        for path in faces:
            shutil.copy(path, folder / "pictures")
        make_twins(folder / "pictures", folder / "twins", "crop", kept=kept, secret=f"benchmark {folder.name}")
    return folder / "twins"


def models(faces: Sequence[Path], out: Path, recipe: Recipe = RECIPE, n: int = TWINNED) -> list[str]:
    """Whole audits of models that were trained here."""
    return [
        "| kept copies | the model's | n | published ahead | by chance | p | level | named | epsilon at least |",
        "|---|---|---|---|---|---|---|---|---|",
        *(f"| {asked} |" for kept in (1, 3) for asked in trained(faces, out, kept, recipe, n)),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--sets", type=int, default=SETS)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args(arguments)
    parts = [
        f"How often the test finds something where coins alone decided, {args.sets} sets each (a tenth of that from "
        "300 on):",
        *validity(args.sets),
        f"How often it finds copies that are preferred, {args.sets // 4} sets each:",
        *power(args.sets),
        f"What is named at a false discovery rate of 5 %, {args.sets // 4} sets each:",
        *names(args.sets),
    ]
    if args.faces:
        faces = sorted(args.faces.glob("*.png"))
        if len(faces) < TWINNED * (1 + OTHERS):
            parser.error(f"{args.faces} holds {len(faces)} PNG files: give {TWINNED * (1 + OTHERS)} or more")
        parts += ["Whole audits of models that were trained on published copies alone:", *models(faces, args.out)]
    tell(parts, args.page, BEGIN, END)


if __name__ == "__main__":
    main()
