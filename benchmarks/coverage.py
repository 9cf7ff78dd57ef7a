"""Do intervals cover, and are p-values valid? The whole protocol on simulated scores in which nothing is to be found.

    python -m benchmarks.coverage --out FILE.json [--replicates N] [--only NAME]

Suspects (or members) and unseen pictures score alike in every condition but the last three. For each number a share is
counted over independent data sets: how often an interval held the truth (it should at least at its level), or how often
a p-value was at or below a level (it should at most). A share is out of order when one as bad would be rarer than
0.00135 (three standard errors) at the bound. Kinds of scores:

- plain: normal, one attack
- ties: normal, rounded to whole numbers
- clusters: every picture comes in five near-duplicates, named by the column `cluster`
- motifs: half of all pictures come in pairs that are nearly equal, in one set or in both, and score two higher
- best of 8: eight attacks whose scores correlate by one half; looked at is the one that happens to look best
- pictures: plain, and every picture comes with facts and an encoder's vector, drawn alike for both sets
- remembered: members score three standard deviations higher; only intervals are looked at
- uneven: members score one standard deviation higher and spread three times as wide; only intervals are looked at
- half used: half of the suspects score three standard deviations higher; only the part is looked at
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track
from scipy.stats import binom, norm

from trainedon.evidence import FeatureTable, Scores, audit_table, evaluate_table
from trainedon.evidence.protocol.one_run import one_run
from trainedon.evidence.table.rows import Rows
from trainedon.evidence.table.scores import Sample

SIZES = (20, 60, 300, 3000)
KINDS = ("plain", "ties", "clusters", "best of 8", "pictures", "remembered", "half used", "uneven", "motifs")
COPIES = 5
ATTACKS = 8
SHIFT = 3.0
WIDER = 3.0
FEATURES = 64
MEMBERS = {"remembered": norm(SHIFT), "uneven": norm(1, WIDER)}  # how members score, where not like unseen pictures
REPLICATES = {20: 1000, 60: 1000, 300: 400, 3000: 200}
LEVELS = (0.01, 0.05)


RARE = 0.00135  # one-sided, as three standard errors of a normal share


class Bound(NamedTuple):
    """What a share must keep: `at least` its level (intervals), or `at most` (p-values and false findings)."""

    side: str
    level: float

    def kept(self, hits: int, n: int) -> bool:
        """Whether hits of n agree with the bound: as bad a share, or a worse one, would not be rare at the bound."""
        worse = binom.cdf(hits, n, self.level) if self.side == "at least" else binom.sf(hits - 1, n, self.level)
        return bool(worse >= RARE)


COVERS = Bound("at least", 0.95)


def scores(kind: str, n: int, rng: np.random.Generator, asked: str) -> Scores:
    """A table of n pictures a side (n clusters a side with copies), the asked-about set first."""
    k = ATTACKS if kind == "best of 8" else 1
    rows = []
    if kind == "motifs":
        return _motifs(n, rng, asked)
    for name in (asked, "unseen"):
        values = rng.normal(size=(n, k)) * math.sqrt(0.5) + rng.normal(size=(n, 1)) * math.sqrt(0.5)
        if kind == "ties":
            values = values.round()
        if name == asked and kind in ("half used", "remembered"):
            values[: n // 2 if kind == "half used" else n] += SHIFT
        if name == asked and kind == "uneven":
            values = 1 + WIDER * values
        for i, row in enumerate(values):
            for copy in range(COPIES if kind == "clusters" else 1):
                picture = {"picture": f"{name}-{i}-{copy}", "set": name, "cluster": f"{name}-{i}"}
                rows += [picture | {"score": x + 0.01 * copy, "attack": f"a{j}"} for j, x in enumerate(row)]
    return Scores.from_rows(rows)


def _motifs(n: int, rng: np.random.Generator, asked: str) -> Scores:
    """2 n pictures, of which every second pair shows a common motif; chance decides about the set of each."""
    motif = (np.arange(2 * n) // 2) % 2 == 0
    values = rng.normal(size=2 * n) + 2 * motif
    where = rng.permutation(np.arange(2 * n) < n)
    return Scores.from_rows(
        {
            "picture": f"{i}-0-0",
            "set": asked if where[i] else "unseen",
            "score": values[i],
            "cluster": f"c{i // 2}" if motif[i] else None,
        }
        for i in range(2 * n)
    )


def findings(kind: str, n: int, seed: int) -> Iterator[tuple[str, Bound, bool]]:
    """(what, its bound, whether it happened) on one data set. seed: its number."""
    rng = np.random.Generator(np.random.Philox(key=[seed, n * 10 + KINDS.index(kind)]))
    if kind in MEMBERS:
        yield from _of_evaluation(evaluate_table(scores(kind, n, rng, "member")), kind)
        return
    if kind == "half used":
        part = audit_table(scores(kind, n, rng, "suspect")).set.part
        yield "interval of the part", COVERS, part.ci[0] <= 0.5 <= part.ci[1]
        return
    yield from _of_evaluation(evaluate_table(table := scores(kind, n, rng, "member")), kind)
    asked = scores(kind, n, rng, "suspect")
    if kind == "pictures":
        yield from _of_audit(document := audit_table(asked, *_pictures(asked, rng)))
        yield from _at_most("p of the blind baseline", document.blind.p_value)
        for view in document.blind.views:
            yield f"interval of {view.name}", COVERS, view.auc_ci[0] <= 0.5 <= view.auc_ci[1]
        return
    yield from _of_audit(audit_table(asked))
    yield "epsilon above 0", Bound("at most", 0.05), _leaks(table)


def _pictures(table: Scores, rng: np.random.Generator) -> tuple[list[dict], FeatureTable]:
    """Facts and features of every picture of a table, drawn alike for both sets."""
    facts = ("width", "height", "bytes", "sharpness", "jpeg_trace", "detail")
    colours = [f"{kind}_{channel}" for kind in ("mean", "std") for channel in "rgb"]
    known, features = [], {}
    for row in table.rows:
        drawn = {name: float(rng.lognormal()) for name in facts} | {name: float(rng.random()) for name in colours}
        same = {
            "format": rng.choice(["PNG", "JPEG"]),
            "mode": "RGB",
            "reason": None,
            "phash": f"{rng.integers(2**63):016x}",
        }
        sha256 = hashlib.sha256(f"{row.set}/{row.picture}".encode()).hexdigest()
        known.append({"picture": row.picture, "set": row.set, "sha256": sha256} | drawn | same)
        features[row.set, row.picture] = rng.normal(size=FEATURES).astype(np.float32)
    return known, FeatureTable("simulated", features)


def _of_evaluation(document, kind: str) -> Iterator[tuple[str, Bound, bool]]:
    best = max(document.attacks, key=lambda attack: attack.auc)
    member = MEMBERS.get(kind, norm())
    truth = float(norm.cdf(member.mean() / math.hypot(member.std(), 1)))
    yield "interval of the AUC", COVERS, best.auc_ci[0] <= truth <= best.auc_ci[1]
    best = max(document.attacks, key=lambda attack: attack.tpr_at_fpr["0.05"].tpr or 0)
    rate = best.tpr_at_fpr["0.05"]
    if rate.estimable and kind != "motifs":  # there the share above a threshold has no simple form
        # rounded scores exceed a whole number t when the normal one exceeds t + 1/2
        above = float(norm.sf(rate.threshold + 0.5 * (kind == "ties")))
        caught = float(member.sf(rate.threshold + 0.5 * (kind == "ties")))
        yield "interval of the TPR", COVERS, rate.tpr_ci[0] <= caught <= rate.tpr_ci[1]
        yield "interval of the FPR", COVERS, rate.fpr_ci[0] <= above <= rate.fpr_ci[1]


def _of_audit(document) -> Iterator[tuple[str, Bound, bool]]:
    smallest = min(attack.set.p_value_holm for attack in document.attacks)
    counted = [picture for picture in document.pictures if picture.near is None]
    p_values = {
        "p of the set": smallest,
        "p of one picture": min(counted, key=lambda picture: picture.picture).p_value,
        "p of unseen against unseen": document.attacks[0].unseen_control.p_value,
        "p of CDI": document.cdi and document.cdi.p_value,
    }
    for what, p in p_values.items():
        yield from _at_most(what, p)
    best = max(document.attacks, key=lambda attack: attack.set.effect).set
    yield "interval of the effect", COVERS, best.effect_ci[0] <= 0.5 <= best.effect_ci[1]
    if len(document.attacks) == 1:
        yield "some picture named", Bound("at most", 0.05), document.n_named > 0
        yield "part above 0", Bound("at most", 0.05), document.set.part.ci[0] > 0
    yield "claim above level 1", Bound("at most", 0.01), document.claim.level > 1


def _at_most(what: str, p: float | None) -> Iterator[tuple[str, Bound, bool]]:
    if p is not None:
        yield from ((f"{what} <= {level}", Bound("at most", level), p <= level) for level in LEVELS)


def _leaks(table: Scores) -> bool:
    """Whether a positive lower bound on epsilon is found where coins decided and the model learnt nothing."""
    attack = table.attacks[0]
    first, second = (table.sample(attack, name) for name in ("member", "unseen"))
    return one_run(_one_each(first), _one_each(second)).epsilon > 0


def _one_each(sample: Sample) -> Sample:
    last = {row.cluster: place for place, row in zip(sample.rows.indices.tolist(), sample.rows, strict=True)}
    return Sample(Rows(sample.rows.columns, np.array([*last.values()])), sample.unscored[:0], sample.copies[:0])


def condition(kind: str, n: int, replicates: int, seed: int = 0, progress=iter) -> list[dict]:
    """All shares of one condition: rows with kind, n, what, bound, hits and of."""
    hits: dict[tuple[str, Bound], list[bool]] = defaultdict(list)
    for replicate in progress(range(replicates)):
        for what, bound, happened in findings(kind, n, seed + replicate):
            hits[what, bound].append(happened)
    return [
        {
            "kind": kind,
            "n": n,
            "what": what,
            "bound": f"{bound.side} {bound.level:g}",
            "hits": sum(happened),
            "of": len(happened),
        }
        for (what, bound), happened in hits.items()
    ]


def kept(row: dict) -> bool:
    """Whether the share of a row keeps its bound."""
    side, _, level = row["bound"].rpartition(" ")
    return Bound(side, float(level)).kept(row["hits"], row["of"])


def markdown(rows: list[dict]) -> str:
    """One table a kind: what is counted by row, the number of pictures by column; a share out of bounds is marked."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        cells = {(row["what"], row["bound"], row["n"]): row for row in rows if row["kind"] == kind}
        sizes = sorted({n for _, _, n in cells})
        lines += [
            "",
            f"**{kind}**",
            "",
            f"| | should be | {' | '.join(map(str, sizes))} |",
            "|---" * (2 + len(sizes)) + "|",
        ]
        for what, bound in dict.fromkeys(key[:2] for key in cells):
            found = [cells.get((what, bound, n)) for n in sizes]
            shares = [
                "-" if row is None else f"{row['hits'] / row['of']:.3f}{'' if kept(row) else ' (!)'}" for row in found
            ]
            lines.append(f"| {what} | {bound} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, required=True, help="JSON with every share; conditions in it are not redone"
    )
    parser.add_argument("--replicates", type=float, default=1.0, help="times the usual number of data sets")
    parser.add_argument("--only", choices=KINDS, help="one kind of scores")
    given = parser.parse_args()
    rows = json.loads(given.out.read_text()) if given.out.exists() else []
    done = {(row["kind"], row["n"]) for row in rows}
    for kind in KINDS if given.only is None else (given.only,):
        for n in SIZES:
            if (kind, n) in done:
                continue
            replicates = max(
                1, round(given.replicates * REPLICATES[n] / (4 if kind in ("best of 8", "pictures") else 1))
            )
            rows += condition(kind, n, replicates, progress=lambda of, k=kind, n=n: track(of, f"{k}, {n}"))
            given.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(markdown(rows))  # noqa: T201 (a command of its own)


if __name__ == "__main__":
    main()
