"""What `benchmarks.coverage` counted, as tables that say which shares are out of bounds and what could not be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import beta, binom

from benchmarks.coverage_parts import Bound
from benchmarks.marks import write_between
from trainedon.evidence import clopper_pearson

BEGIN, END = "<!-- coverage -->", "<!-- end -->"
CLAIM = "claim above level 1"
RARE = 0.00135  # one-sided, as three standard errors of a normal share
WORSE = {0.95: 0.9, 0.01: 0.03}  # what a share may be in truth that must not pass for its bound, and is to be found ...
FOUND = 0.95  # ... with this chance


def kept(row: dict) -> bool:
    """Whether hits of n agree with the bound of a row: as bad a share, or a worse one, would not be rare at it."""
    return _keeps(*_bound(row), row["hits"], row["of"])


def _keeps(side: str, level: float, hits: int, n: int) -> bool:
    worse = binom.cdf(hits, n, level) if side == "at least" else binom.sf(hits - 1, n, level)
    return bool(worse >= RARE)


def _bound(row: dict) -> Bound:
    side, _, level = row["bound"].rpartition(" ")
    return Bound(side, float(level))


def chance_of_finding(bound: Bound, n: int) -> float | None:
    """How likely n data sets show that a share is out of its bound where the truth is that of WORSE; None without."""
    if (truth := WORSE.get(bound.level)) is None:
        return None
    hits = np.arange(n + 1)
    out = [not _keeps(*bound, int(k), n) for k in hits]
    return float(binom.pmf(hits[out], n, truth).sum())


def seen_from(bound: Bound, n: int) -> float:
    """The truth nearest to a bound that n data sets show to be out of it with a chance of FOUND."""
    out = [k for k in range(n + 1) if not _keeps(*bound, k, n)]
    if not out:
        return 0.0 if bound.side == "at least" else 1.0
    if bound.side == "at least":
        return float(1 - beta.ppf(FOUND, n - max(out), max(out) + 1))
    return float(beta.ppf(FOUND, min(out), n - min(out) + 1))


def markdown(rows: list[dict]) -> str:
    """One table a kind: what is counted by row, the number of pictures, and of data sets, by column.

    A share out of bounds is marked.
    """
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        cells = {(row["what"], row["bound"], row["n"]): row for row in rows if row["kind"] == kind}
        sizes = [*dict.fromkeys(n for _, _, n in cells)]
        most = {n: max(row["of"] for key, row in cells.items() if key[2] == n) for n in sizes}
        lines += [
            "",
            f"**{kind}**",
            "",
            f"| | should be | {' | '.join(f'{n} (of {most[n]})' for n in sizes)} |",
            "|---" * (2 + len(sizes)) + "|",
        ]
        for what, bound in dict.fromkeys(key[:2] for key in cells):
            found = [cells.get((what, bound, n)) for n in sizes]
            shares = [
                "-" if row is None else f"{row['hits'] / row['of']:.3f}{'' if kept(row) else ' (!)'}" for row in found
            ]
            lines.append(f"| {what} | {bound} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


def summary(rows: list[dict]) -> str:
    """How many data sets there were, which shares are out of bounds, and what so many data sets could not show."""
    counts = sorted({row["of"] for row in rows})
    out = [f"{row['kind']}, {row['n']}: {row['what']}" for row in rows if not kept(row)]
    chances = [(row, chance_of_finding(_bound(row), row["of"])) for row in rows]
    weak = [(row["kind"], str(row["n"])) for row, chance in chances if chance is not None and chance < FOUND]
    said = [
        f"{counts[0]:,} to {counts[-1]:,} data sets a column".replace(",", " "),
        f"{len(out) or 'none'} of the {len(rows)} shares out of bounds" + (f" ({'; '.join(out)})" if out else ""),
    ]
    for level, truth in WORSE.items():
        found = [chance for row, chance in chances if _bound(row).level == level and chance is not None]
        if found:
            said.append(f"a share of {truth:g} in place of {level:g} would be seen with {min(found):.0%} or more")
    for bound in dict.fromkeys(map(_bound, rows)):
        if bound.level not in WORSE:
            worst = seen_from(bound, min(row["of"] for row in rows if _bound(row) == bound))
            which = "less" if bound.side == "at least" else "more"
            said.append(
                f"where {bound.side} {bound.level:g} is due, {worst:.2f} or {which} would be seen with {FOUND:.0%}"
            )
    if claims := [row for row in rows if row["what"] == CLAIM]:
        k, n = (sum(row[name] for row in claims) for name in ("hits", "of"))
        low, high = clopper_pearson(k, n)
        said.append(f"in all {n:,} data sets of whole runs together".replace(",", " "))
        said[-1] += f" the claim went above level 1 in {k} ({low:.2%} to {high:.2%})"
    text = "; ".join(said) + "."
    if weak:
        text += f" Where that is less than {FOUND:.0%}: {', '.join(f'{kind} {n}' for kind, n in dict.fromkeys(weak))}."
    return text[0].upper() + text[1:]


def write(page: Path, text: str) -> None:
    """Puts the text between the page's two marks."""
    write_between(page, BEGIN, END, f"\n{text}")
