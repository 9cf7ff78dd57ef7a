"""Where a model remembers little, what gathers most from a set: more draws, or weights for what was drawn?

    python -m benchmarks.weak --out DIR --target NAME MODEL MEMBERS UNSEEN [--target ...] [--page docs/accuracy.md]

Of members and unseen pictures the log errors at four levels with six draws are measured once, under the model and in
two views, and the scores of four peers. Then ways to make one score of these are compared: their AUC, and how often
suspects, drawn from the members, are told from all unseen pictures by the set test (p < .01). All ways but `logistic`
learn from unseen pictures alone, cross-fitted, so that an audit could take them.

Below stand tests of the set that keep the two views apart, as `drc-set` does; in brackets how often they find suspects
that are drawn from unseen pictures, among the other ones.

--out: a folder where what was measured is kept. --page: write the table between the marks in that file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import norm, rankdata

from benchmarks.flow import opened
from benchmarks.looks import log_errors
from benchmarks.marks import write_between
from trainedon.attacks import parse_attacks
from trainedon.attacks.core.crossfit import Predict, crossfit
from trainedon.attacks.learned.fusion import Logistic, RankAverage
from trainedon.evidence import auc
from trainedon.evidence.statistics.pvalues import Deals, holm, permutation_test
from trainedon.evidence.statistics.two_sample import View, classifier_two_sample_test, one_sided
from trainedon.pictures import load_pictures

BEGIN, END = "<!-- weak: begin -->", "<!-- weak: end -->"
LEVELS, DRAWS, VIEWS = (50, 100, 200, 400), 6, ("mirror", "half-turn")
DRC_LEVELS, DRC_DRAWS = (1, 2), 4  # which of these are those of drc@2
PEERS = ("loss(t=150)", "pia(t=50)", "sima", "fremia(pia(t=100))")
SUSPECTS = (20, 40, 80)
LEVEL, TIMES = 0.01, 100
CDI_DEALS, ENOUGH = 999, 50  # of the tests of several columns; after so many as striking as the data they stop
FEWEST = 20  # unseen pictures that a set is compared with
DEALT = Deals(999, one_by_one=0)
RIDGE = 0.01  # share of the mean variance
Measure = Callable[[str, Path, Path, int], tuple[np.ndarray, np.ndarray]]  # model, source, where it is kept, limit


@dataclass(frozen=True)
class Looked:
    """errors: log errors, float64 (n, 1 + views, levels, draws), the picture itself first. peers: (n, peers).
    member: bool (n,)."""

    errors: np.ndarray
    peers: np.ndarray
    member: np.ndarray

    @property
    def gains(self) -> np.ndarray:
        """How much larger the errors are in each view: float64 (n, views, levels, draws)."""
        return self.errors[:, 1:] - self.errors[:, :1]

    @property
    def drc(self) -> np.ndarray:
        """Scores (n,) of all draws at the levels of drc@2."""
        return self.gains[:, :, DRC_LEVELS].mean((1, 2, 3))


def looked(spec: Sequence[str], out: Path, limit: int) -> Looked:
    """What is measured of a target."""
    return Looked(*of_both(spec, out, limit, measured))


def of_both(spec: Sequence[str], out: Path, limit: int, measure: Measure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `measure` finds of members and unseen pictures, one after the other, and which of them are members, bool
    (n,). Kept in `out`, a file for each source."""
    name, model, members, unseen = spec
    found = [
        measure(model, Path(source), out / f"{name}-{kind}.npz", limit)
        for kind, source in (("members", members), ("unseen", unseen))
    ]
    first, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second, np.arange(len(first)) < len(found[0][0])


def measured(model: str, source: Path, kept: Path, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Of one source log errors and scores of peers, as `Looked` has them; from the file `kept` where it is there."""
    if not kept.exists():
        target = opened(Path(model))
        errors, _ = log_errors(target, source, limit, LEVELS, DRAWS, VIEWS)
        batch = load_pictures(source, target, limit)
        peers = np.stack([attack.score(target, batch) for attack in parse_attacks(", ".join(PEERS))], axis=1)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, errors=errors.reshape(len(errors), 1 + len(VIEWS), len(LEVELS), DRAWS), peers=peers)
    with np.load(kept) as found:
        return found["errors"], found["peers"]


def standardised_gls(known: np.ndarray, _: np.ndarray) -> Predict:
    """The sum that tells best what raises all columns by as many of their standard deviations."""
    centre, spread = known.mean(0), known.std(0)
    weights = _gls((known - centre) / spread)
    return lambda x: ((x - centre) / spread) @ weights


def plain_gls(known: np.ndarray, _: np.ndarray) -> Predict:
    """The sum that tells best what raises all columns by the same amount: weights by the inverse covariance."""
    weights = _gls(known - known.mean(0))
    return lambda x: x @ weights


def _gls(centred: np.ndarray) -> np.ndarray:
    covariance = centred.T @ centred / len(centred)
    covariance += RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    weights: np.ndarray = np.linalg.solve(covariance, np.ones(len(covariance)))
    return weights


def regressed(levels: int, known: np.ndarray, _: np.ndarray) -> Predict:
    """Minus the sum over levels of what the picture's own error is above its fit on those of its views, each in
    standard deviations. known: own errors (m, levels), then those of the views."""

    def designed(x: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(x)), x[:, levels:]])

    beta = np.linalg.lstsq(designed(known), known[:, :levels], rcond=None)[0]
    spread = (known[:, :levels] - designed(known) @ beta).std(0)
    return lambda x: -((x[:, :levels] - designed(x) @ beta) / spread).sum(1)


def ways(one: Looked) -> dict[str, tuple[int, np.ndarray, bool]]:
    """name -> passes a picture, scores (n,), and whether it may be used in an audit."""
    gains, views = one.gains, 1 + len(VIEWS)
    by_level = gains.mean(3).reshape(len(gains), -1)  # (n, views * levels)
    errors = one.errors.mean(3)
    own_first = np.concatenate([errors[:, 0], errors[:, 1:].reshape(len(errors), -1)], axis=1)
    joined = np.column_stack([one.drc, one.peers])
    two, four = views * len(DRC_LEVELS) * DRAWS, views * len(LEVELS) * DRAWS
    learnt = partial(_learnt, member=one.member)
    drc2 = gains[:, :, DRC_LEVELS, :DRC_DRAWS].mean((1, 2, 3))
    peers = {spec: (1 + ("pia" in spec), one.peers[:, k], True) for k, spec in enumerate(PEERS)}
    cheap = sum(passes for passes, *_ in peers.values())
    return peers | {
        "`drc@2`": (views * len(DRC_LEVELS) * DRC_DRAWS, drc2, True),
        f"`drc(restorations={DRAWS})`": (two, one.drc, True),
        **{
            f"`drc(symmetries={view}, restorations={DRAWS})`": (
                2 * len(DRC_LEVELS) * DRAWS,
                gains[:, k, DRC_LEVELS].mean((1, 2)),
                True,
            )
            for k, view in enumerate(VIEWS)
        },
        "both views at four levels": (four, gains.mean((1, 2, 3)), True),
        "levels and views by inverse covariance": (four, learnt(by_level, plain_gls), True),
        "the same, in standard deviations": (four, learnt(by_level, standardised_gls), True),
        "regression on the views' errors": (four, learnt(own_first, partial(regressed, len(LEVELS))), True),
        "`rank-average` of `drc` and the peers": (two + cheap, learnt(joined, RankAverage.fit), True),
        "`drc` and the peers by inverse covariance": (two + cheap, learnt(joined, standardised_gls), True),
        "`logistic` of `drc` and the peers": (
            two + cheap,
            learnt(joined, Logistic.fit, known=("member", "unseen")),
            False,
        ),
    }


def _learnt(
    observed: np.ndarray, fit: Callable[..., Predict], member: np.ndarray, known: tuple[str, ...] = ("unseen",)
) -> np.ndarray:
    sets = np.where(member, "member", "unseen").tolist()
    return crossfit(observed, sets, [str(n) for n in range(len(sets))], fit, known=known, least=2)


def drawn_sets(
    member: np.ndarray, suspects: int, share: float, *, null: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """TIMES times the rows of suspects, `share` of them members, and of the unseen pictures that are none of these.
    null: of suspects none of which is a member. Nothing where there are too few pictures for that."""
    members, unseen = np.flatnonzero(member), np.flatnonzero(~member)
    used = 0 if null else round(share * suspects)
    others = suspects - used
    if used >= len(members) or (others and others > len(unseen) - FEWEST):
        return
    rng = np.random.default_rng(suspects)
    for _ in range(TIMES):
        asked = np.concatenate([rng.permutation(members)[:used], rng.permutation(unseen)[:others]])
        yield asked, rng.permutation(np.setdiff1d(unseen, asked))


def power(scores: np.ndarray, member: np.ndarray, suspects: int, share: float = 1.0) -> float | None:
    """How often so many suspects are told from all unseen pictures; None where there are not more than that."""
    found = [
        permutation_test(scores[asked], scores[unseen], DEALT, seed=n).p_value < LEVEL
        for n, (asked, unseen) in enumerate(drawn_sets(member, suspects, share))
    ]
    return float(np.mean(found)) if found else None


@dataclass(frozen=True)
class Columns:
    """A test of the set on several scores of each picture. x: float64 (n, k). passes: a picture, its own errors shared.
    p_value: (x of suspects and then of unseen pictures, how many suspects, seed) -> p."""

    passes: int
    x: np.ndarray
    p_value: Callable[[np.ndarray, int, int], float]


def set_tests(one: Looked) -> dict[str, Columns]:
    """name -> a test of the set on several columns."""
    by_view = one.gains[:, :, DRC_LEVELS].mean((2, 3))
    views = (1 + len(VIEWS)) * len(DRC_LEVELS) * DRAWS
    cheap = sum(1 + ("pia" in spec) for spec in PEERS)
    joined = np.column_stack([one.drc, one.peers])
    return {
        "`cdi` of `drc` and the peers": Columns(views + cheap, joined, cdi_p),
        "`drc-set`: `cdi` of both views": Columns(views, by_view, cdi_p),
        "the same, corrected as an audit does": Columns(views, by_view, corrected_p),
        "the more striking view, Holm": Columns(views, by_view, holm_p),
        "the more striking view, permuted together": Columns(views, by_view, most_striking_p),
    }


def cdi_p(x: np.ndarray, suspects: int, seed: int) -> float:
    """That of `cdi`, of fewer deals."""
    normal = norm.ppf(rankdata(x, axis=0) / (len(x) + 1))
    return classifier_two_sample_test([View(normal, one_sided())], suspects, CDI_DEALS, seed=seed, enough=ENOUGH)[1]


def single_p(x: np.ndarray, suspects: int, seed: int) -> list[float]:
    """Those of the set test of each column."""
    return [permutation_test(row[:suspects], row[suspects:], DEALT, seed=seed).p_value for row in x.T]


def corrected_p(x: np.ndarray, suspects: int, seed: int) -> float:
    """That of `cdi` where it is corrected for the tests of the columns (Holm)."""
    return float(holm(np.array([cdi_p(x, suspects, seed), *single_p(x, suspects, seed)]))[0])


def holm_p(x: np.ndarray, suspects: int, seed: int) -> float:
    """The smallest of the columns', corrected for their number (Holm)."""
    return float(holm(np.array(single_p(x, suspects, seed))).min())


def most_striking_p(x: np.ndarray, suspects: int, seed: int) -> float:
    """That of the most striking column, with its value under the same permutations (Westfall and Young)."""
    views = [View(row[:, None], _itself) for row in x.T]
    return classifier_two_sample_test(views, suspects, CDI_DEALS, seed=seed)[1]


def _itself(x: np.ndarray, labels: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.broadcast_to(z, (len(z), labels.shape[1]))


def found_by(
    test: Columns, member: np.ndarray, suspects: int, share: float = 1.0, *, null: bool = False
) -> float | None:
    """The same by a test of several columns; where nobody is a member (`null`), how often it is wrong."""
    found = [
        test.p_value(test.x[np.concatenate(rows)], suspects, n) < LEVEL
        for n, rows in enumerate(drawn_sets(member, suspects, share, null=null))
    ]
    return float(np.mean(found)) if found else None


def table(one: Looked, share: float = 1.0) -> str:
    """Markdown: ways against AUC, and how often sets of each size are found."""
    lines = [f"| score | passes | AUC | {' | '.join(f'{m} suspects' for m in SUSPECTS)} |"]
    lines.append("|---|---|---|" + "---|" * len(SUSPECTS))
    for name, (passes, scores, usable) in ways(one).items():
        area = auc(scores[one.member], scores[~one.member]).value
        found = [power(scores, one.member, m, share) if usable else None for m in SUSPECTS]
        shown = name if "`" in name or " " in name else f"`{name}`"
        lines.append(f"| {shown} | {passes} | {area:.3f} | {' | '.join(map(_share, found))} |")
    for name, test in set_tests(one).items():
        found, none = ([found_by(test, one.member, m, share, null=null) for m in SUSPECTS] for null in (False, True))
        cells = (f"{_share(a)} ({_share(b)})" for a, b in zip(found, none, strict=True))
        lines.append(f"| {name} | {test.passes} | - | {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--target", nargs=4, action="append", metavar=("NAME", "MODEL", "MEMBERS", "UNSEEN"), required=True
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=256, help="pictures of each set")
    parser.add_argument("--share", type=float, default=1.0, help="of suspects that are members; the others are unseen")
    parser.add_argument("--page", type=Path)
    given = parser.parse_args(arguments)
    parts = []
    for spec in given.target:
        one = looked(spec, given.out, given.limit)
        counts = f"{one.member.sum()} members, {(~one.member).sum()} unseen pictures"
        parts.append(f"`{spec[0]}`, {counts}:\n\n{table(one, given.share)}")
    text = "\n\n".join(parts)
    print(text)  # noqa: T201 (a command of its own)
    if given.page is not None:
        write_between(given.page, BEGIN, END, f"\n{text}\n")


if __name__ == "__main__":
    main()
