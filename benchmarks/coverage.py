"""Do intervals cover, and are p-values valid? The whole protocol on simulated scores in which nothing is to be found.

    python -m benchmarks.coverage --out FILE.json [--page docs/evidence.md] [--replicates N] [--only NAME]

Suspects (or members) and unseen pictures score alike in every condition but the last two of runs. For each number a
share is counted over independent data sets: how often an interval held the truth (it should at least at its level), or
how often a p-value was at or below a level (it should at most). A share is out of bounds when one as bad would be rarer
than 0.00135 (three standard errors) at the bound. Kinds of scores:

- plain: normal, one attack
- ties: normal, rounded to whole numbers
- clusters: every picture comes in five near-duplicates, named by the column `cluster`
- motifs: half of all pictures come in pairs that are nearly equal, in one set or in both, and score two higher
- best of 8: eight attacks whose scores correlate by one half; looked at is the one that happens to look best
- pictures: plain, and every picture comes with facts and an encoder's vector, drawn alike for both sets
- uneven: members score one standard deviation higher and spread three times as wide; only intervals are looked at
- half used: half of the suspects score three standard deviations higher; only the part is looked at

What `benchmarks.coverage_parts` lists is looked at by itself. Runs are audited with 999 deals in place of 99 999, which
changes the resolution of p-values and not their size; `deals` makes all of them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
from scipy.stats import norm

from benchmarks.coverage_page import CLAIM, markdown, summary, write
from benchmarks.coverage_parts import COVERS, PARTS, Bound, Finding
from trainedon.evidence import FeatureTable, Scores, audit_table, evaluate_table
from trainedon.evidence.protocol.one_run import one_run
from trainedon.evidence.protocol.rules import STANDARD_2
from trainedon.evidence.statistics.pvalues import Deals
from trainedon.evidence.table.rows import Rows
from trainedon.evidence.table.scores import Sample
from trainedon.files import write_json

SIZES = (20, 60, 300)
KINDS = ("plain", "ties", "clusters", "best of 8", "pictures", "half used", "uneven", "motifs")
ALL = (*KINDS, *PARTS)
COPIES = 5
ATTACKS = 8
SHIFT = 3.0
WIDER = 3.0
FEATURES = 64
MEMBERS = {"uneven": norm(1, WIDER)}  # how members score, where not like unseen pictures
REPLICATES = 1010  # from 1004 on a size of .03 in place of .01 is found with 95 %, ...
INTERVALS = ("half used", "uneven")  # ... and from 593 on a coverage of .90 in place of .95, all that is asked of these
CHUNK = 50  # data sets after which what was counted is written
COSTLY = ("best of 8", "pictures")  # n of 20 and 60 alone
LEVELS = (0.01, 0.05)


RULES = replace(STANDARD_2, deals=Deals(999))


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
        if name == asked and kind == "half used":
            values[: n // 2] += SHIFT
        if name == asked and kind == "uneven":
            values = 1 + WIDER * values
        for i, row in enumerate(values):
            for copy in range(COPIES if kind == "clusters" else 1):
                digest = rng.bytes(32).hex()  # the seed of deals follows from it, and is to be another one each time
                picture = {"picture": f"{name}-{i}-{copy}", "set": name, "cluster": f"{name}-{i}", "sha256": digest}
                rows += [picture | {"score": x + 0.01 * copy, "attack": f"a{j}"} for j, x in enumerate(row)]
    return Scores.from_rows(rows)


def _motifs(n: int, rng: np.random.Generator, asked: str) -> Scores:
    """2 n pictures, of which every second pair shows a common motif; chance decides about the set of each."""
    motif = (np.arange(2 * n) // 2) % 2 == 0
    values = rng.normal(size=2 * n) + 2 * motif
    where = rng.permutation(np.arange(2 * n) < n)
    rows = []
    for i in range(2 * n):
        digest = rng.bytes(32).hex()
        row = {"picture": digest, "sha256": digest, "score": values[i]}  # a name that says nothing of its motif
        rows.append(row | {"set": asked if where[i] else "unseen", "cluster": f"c{i // 2}" if motif[i] else None})
    return Scores.from_rows(rows)


def findings(kind: str, n: int | str, seed: int) -> Iterator[Finding]:
    """What is found on one data set. seed: its number. n: of pictures a side; the column of a part."""
    rng = np.random.Generator(np.random.Philox(key=[seed, crc32(f"{kind}, {n}".encode())]))
    if kind in PARTS:
        yield from PARTS[kind].findings(str(n), rng)
        return
    if kind in MEMBERS:
        yield from _of_evaluation(evaluate_table(scores(kind, n, rng, "member"), rules=RULES), kind)
        return
    if kind == "half used":
        part = audit_table(scores(kind, n, rng, "suspect"), rules=RULES).set.part
        yield "interval of the part", COVERS, part.ci[0] <= 0.5 <= part.ci[1]
        return
    yield from _of_evaluation(evaluate_table(table := scores(kind, n, rng, "member"), rules=RULES), kind)
    asked = scores(kind, n, rng, "suspect")
    if kind == "pictures":
        yield from _of_audit(document := audit_table(asked, *_pictures(asked, rng), rules=RULES))
        yield from _at_most("p of the blind baseline", document.blind.p_value)
        for view in document.blind.views:
            yield f"interval of {view.name}", COVERS, view.auc_ci[0] <= 0.5 <= view.auc_ci[1]
        return
    yield from _of_audit(audit_table(asked, rules=RULES))
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
        known.append({"picture": row.picture, "set": row.set, "sha256": row.sha256} | drawn | same)
        features[row.set, row.picture] = rng.normal(size=FEATURES).astype(np.float32)
    return known, FeatureTable("simulated", features)


def _of_evaluation(document, kind: str) -> Iterator[Finding]:
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
    if kind == "best of 8":
        held = [one.auc_ci[0] <= 0.5 <= one.auc_ci[1] for one in document.attacks]
        yield "intervals of all AUCs", COVERS, all(held)
        if rate.estimable:
            held += [_holds_the_rates(one.tpr_at_fpr["0.05"]) for one in document.attacks]
            yield "intervals of all AUCs, TPRs and FPRs", Bound("at least", 0.85), all(held)  # three kinds of 0.95


def _holds_the_rates(rate) -> bool:
    above = float(norm.sf(rate.threshold))
    return all(low <= above <= high for low, high in (rate.tpr_ci, rate.fpr_ci))


def _of_audit(document) -> Iterator[Finding]:
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
    yield CLAIM, Bound("at most", 0.01), document.claim.level > 1


def _at_most(what: str, p: float | None) -> Iterator[Finding]:
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


def condition(kind: str, n: int | str, replicates: int, seed: int = 0) -> list[dict]:
    """All shares of one condition: rows with kind, n, what, bound, hits and of. seed: number of the first data set."""
    hits: dict[tuple[str, Bound], list[bool]] = defaultdict(list)
    for replicate in range(replicates):
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


def added(rows: list[dict], more: list[dict]) -> list[dict]:
    """Both together: of shares that both counted the sums, in the order in which they came."""
    sums: dict[tuple, dict] = {}
    for row in (*rows, *more):
        key = tuple(row[name] for name in ("kind", "n", "what", "bound"))
        one = sums.setdefault(key, row | {"hits": 0, "of": 0})
        sums[key] = one | {name: one[name] + row[name] for name in ("hits", "of")}
    return [*sums.values()]


def counted(rows: list[dict], kind: str, n: int | str, of: Callable[..., int] = max) -> int:
    """Of how many data sets of a condition the rows tell. of: `min` for the row of fewest, as some numbers are there in
    some data sets alone."""
    return of((row["of"] for row in rows if (row["kind"], row["n"]) == (kind, n)), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON with every share; it is added to")
    parser.add_argument("--page", type=Path, help="Markdown in which the tables are to stand")
    parser.add_argument("--replicates", type=float, default=1.0, help="times the usual number of data sets")
    parser.add_argument("--only", choices=ALL, help="one kind of scores")
    given = parser.parse_args()
    rows = json.loads(given.out.read_text()) if given.out.exists() else []
    for kind in ALL if given.only is None else (given.only,):
        for n, usual in _columns(kind).items():
            wanted = max(1, round(given.replicates * usual))
            while (least := counted(rows, kind, n, min)) < wanted and (done := counted(rows, kind, n)) < 2 * wanted:
                rows = added(rows, condition(kind, n, min(CHUNK, wanted - least), done))
                write_json(given.out, rows)
                sys.stderr.write(f"{kind}, {n}: {counted(rows, kind, n, min)} of {wanted}\n")
    text = "\n".join(textwrap.wrap(summary(rows), 120)) + "\n" + markdown(rows)
    print(text)  # noqa: T201 (a command of its own)
    if given.page:
        write(given.page, text)


def _columns(kind: str) -> dict[int | str, int]:
    """Number of pictures, or column of a part -> data sets."""
    if kind in PARTS:
        return dict.fromkeys(PARTS[kind].columns, PARTS[kind].replicates)
    replicates = 600 if kind in INTERVALS else REPLICATES
    return dict.fromkeys((n for n in SIZES if n < 300 or kind not in COSTLY), replicates)


if __name__ == "__main__":
    main()
