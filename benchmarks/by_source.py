"""Works of one artist against those of others: how often are they told apart, with and without a difference?

    python -m benchmarks.by_source --out FILE.json [--page docs/evidence.md] [--replicates N]

Scores (and what the blind baseline sees) are normal; of their variance a share r lies between sources. Each case is
drawn anew so many times: with nothing to find, with works in question that score higher, for the test of a set with
labels dealt by source, for the same test with labels dealt picture by picture, and for one classifier of the blind
baseline. Labels are dealt 999 times where they are not counted exactly: that changes the resolution of p-values, not
their size. Cells that are in FILE.json are not made again. --page: write the tables between the marks in that file.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from scipy.stats import mannwhitneyu

from benchmarks.coverage_page import kept
from benchmarks.marks import write_between
from trainedon.errors import UserError
from trainedon.evidence.protocol.blind_by_source import dealt, untaught
from trainedon.evidence.statistics import by_source
from trainedon.evidence.statistics.two_sample import View, classifier_two_sample_test, discriminant
from trainedon.files import write_json

BEGIN, END = "<!-- by source: begin -->", "<!-- by source: end -->"
DEALS = 999
BLIND_DEALS = 199
COLUMNS = 6  # numbers that a classifier of the blind baseline sees of a picture
CORRELATIONS = (0.0, 0.1, 0.3)
SHIFTS = (0.5, 1.0, 1.5)  # standard deviations of a score
Sizes = Callable[[np.random.Generator], list[tuple[int, int]]]


def others(k: int, least: int, most: int, *first: int) -> Sizes:
    """Sources in question with so many pictures, and k that are not, with least to most."""
    return lambda rng: [(n, 0) for n in first] + [(0, int(n)) for n in rng.integers(least, most + 1, k)]


def shared(k: int, suspects: int, unseen: int) -> Sizes:
    """Sources with pictures of both kinds."""
    return lambda rng: [(suspects, unseen)] * k


CASES: dict[str, Sizes] = {
    "1 source of 25, 120 others of 25": others(120, 25, 25, 25),
    "1 of 25, 120 of 1 to 80": others(120, 1, 80, 25),
    "1 of 5, 120 of 50": others(120, 50, 50, 5),
    "1 of 100, 120 of 2 to 5": others(120, 2, 5, 100),
    "3 of 10, 40 of 10": others(40, 10, 10, 10, 10, 10),
    "20 and 20 unseen of 1 source": shared(1, 20, 20),
    "5 and 5 unseen of each of 8": shared(8, 5, 5),
}
LOOKED_AT: dict[str, Sizes] = {
    "1 source of 15, 40 others of 15": others(40, 15, 15, 15),
    "10 of 4, 40 of 4": others(40, 4, 4, *[4] * 10),
    "30 of 2, 60 of 2": others(60, 2, 2, *[2] * 30),
    "2 and 3 unseen of each of 20": shared(20, 2, 3),
    "20 and 20 unseen of 1 source": shared(1, 20, 20),
}


@dataclass(frozen=True)
class Works:
    """Pictures of one draw: value float64 (n, d), is_suspect bool (n,), source int (n,)."""

    value: np.ndarray
    is_suspect: np.ndarray
    source: np.ndarray


def drawn(sizes: Sizes, r: float, shift: float, rng: np.random.Generator, columns: int = 1) -> Works:
    """Pictures whose sources share r of the variance, the first number of those in question `shift` higher."""
    counts = sizes(rng)
    source = np.repeat(np.arange(len(counts)), [m + n for m, n in counts])
    is_suspect = np.concatenate([np.arange(m + n) < m for m, n in counts])
    level = rng.normal(size=(len(counts), columns))[source]
    value = math.sqrt(r) * level + math.sqrt(1 - r) * rng.normal(size=level.shape)
    value[is_suspect, 0] += shift
    return Works(value, is_suspect, source)


@contextmanager
def fewer_deals() -> Iterator[None]:
    """Tests by source make DEALS deals meanwhile."""
    usual = by_source.DEALS, by_source.FEWEST_DEALS
    by_source.DEALS = by_source.FEWEST_DEALS = DEALS
    try:
        yield
    finally:
        by_source.DEALS, by_source.FEWEST_DEALS = usual


def of_set(works: Works, seed: int) -> float:
    """The p-value of the set, labels dealt by source."""
    score, first, source = works.value[:, 0], works.is_suspect, works.source
    kind = by_source.kind_of(source[first], source[~first])
    test = by_source.within_test if kind == "within" else by_source.between_test
    found = test(score, first, source, seed)
    if found is None:
        raise UserError("a case needs sources that are in question and others that are not")
    return found.p_value


def of_pictures(works: Works, seed: int) -> float:
    """The p-value of the set, labels dealt picture by picture, by the normal formula of ranks, which needs no seed."""
    score, first = works.value[:, 0], works.is_suspect
    return float(mannwhitneyu(score[first], score[~first], alternative="greater").pvalue)


def of_blind(works: Works, seed: int) -> float:
    """The p-value of one classifier of the blind baseline, labels dealt by source; 1 where it cannot be taught."""
    rows = [
        {"set": "suspect" if mine else "unseen", "picture": str(at), "source": str(of)}
        for at, (mine, of) in enumerate(zip(works.is_suspect.tolist(), works.source.tolist(), strict=True))
    ]
    sides = ([row for row in rows if row["set"] == name] for name in ("suspect", "unseen"))
    found = dealt(*sides, BLIND_DEALS, seed)
    if isinstance(found, str):
        raise UserError(found)
    m = len(found.first)
    if untaught(found.deal.fold, m):
        return 1.0
    x = works.value[[int(row["picture"]) for row in (*found.first, *found.unseen)]]
    return classifier_two_sample_test([View(x, discriminant())], m, BLIND_DEALS, seed, deal=found.deal)[1]


Test = Callable[[Works, int], float]
Cell = tuple[str, str, float, float]  # of a test and a case: r and the shift
TESTS: dict[str, tuple[Test, dict[str, Sizes], int]] = {
    "by source": (of_set, CASES, 1),
    "by picture": (of_pictures, CASES, 1),
    "blind": (of_blind, LOOKED_AT, COLUMNS),
}


def cells() -> Iterator[Cell]:
    """All that is drawn."""
    for name, (_, cases, _) in TESTS.items():
        for case in cases:
            yield from ((name, case, r, 0.0) for r in CORRELATIONS)
            if name != "by picture":
                yield from ((name, case, 0.1, shift) for shift in SHIFTS)


def p_values(cell: Cell, replicates: int) -> list[float]:
    """Of so many draws; each has a seed of its own."""
    name, case, r, shift = cell
    test, cases, columns = TESTS[name]
    found = []
    for number in range(replicates):
        rng = np.random.Generator(np.random.Philox(key=[number, crc32(repr(cell).encode())]))
        found.append(test(drawn(cases[case], r, shift, rng, columns), number))
    return found


Counted = dict[str, dict[str, int]]  # by the text of a cell: draws, and p-values up to 0.05 and below 0.01


def counted(found: Sequence[float]) -> dict[str, int]:
    return {"draws": len(found), "0.05": sum(p <= 0.05 for p in found), "0.01": sum(p < 0.01 for p in found)}


def markdown(known: Counted) -> str:
    """The tables. A share out of its bound by three standard errors or more is marked."""
    parts = [
        _table("Labels dealt by source, nothing to find: p < 0.01 / p ≤ 0.05", "by source", known),
        _table("Labels dealt picture by picture, nothing to find: p < 0.01 / p ≤ 0.05", "by picture", known),
        _table("Labels dealt by source, works in question higher, r = 0.1: p < 0.01", "by source", known, SHIFTS),
        _table("A classifier of the blind baseline, nothing to find: p ≤ 0.05", "blind", known, levels=("0.05",)),
        _table("The same, one number in six higher, r = 0.1: p ≤ 0.05", "blind", known, SHIFTS, ("0.05",)),
    ]
    return "\n\n".join(parts)


def _table(
    title: str,
    test: str,
    known: Counted,
    shifts: Sequence[float] = (),
    levels: Sequence[str] = (),
) -> str:
    levels = levels or (("0.01",) if shifts else ("0.01", "0.05"))
    heads = [f"by {shift:g}" for shift in shifts] or [f"r = {r:g}" for r in CORRELATIONS]
    keys = [(0.1, shift) for shift in shifts] or [(r, 0.0) for r in CORRELATIONS]
    lines = [f"{title}:", "", f"| in question, others | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    columns = {case: [known[repr((test, case, *key))] for key in keys] for case in TESTS[test][1]}
    if not shifts:
        columns["all of these"] = [_sum(column) for column in zip(*columns.values(), strict=True)]
    for case, found in columns.items():
        shares = [" / ".join(_share(one, level, bounded=not shifts) for level in levels) for one in found]
        lines.append(f"| {case} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _sum(some: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: sum(one[name] for one in some) for name in some[0]}


def _share(found: dict[str, int], level: str, *, bounded: bool) -> str:
    hits, of = found[level], found["draws"]
    out = bounded and not kept({"bound": f"at most {level}", "hits": hits, "of": of})
    return f"{hits / of:.3f}{' (!)' if out else ''}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON with every cell that was made")
    parser.add_argument("--page", type=Path, help="Markdown in which the tables are to stand")
    parser.add_argument("--replicates", type=int, default=1000, help="draws of each cell")
    given = parser.parse_args(arguments)
    known: Counted = json.loads(given.out.read_text()) if given.out.exists() else {}
    for cell in cells():
        if repr(cell) not in known:
            with fewer_deals():
                known[repr(cell)] = counted(p_values(cell, given.replicates))
            write_json(given.out, known)
            print(cell, known[repr(cell)], flush=True)  # noqa: T201 (a command of its own)
    text = markdown(known)
    print(text)  # noqa: T201 (a command of its own)
    if given.page:
        write_between(given.page, BEGIN, END, f"\n{given.replicates} draws of each cell.\n\n{text}\n")


if __name__ == "__main__":
    main()
