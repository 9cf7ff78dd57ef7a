"""Does the mirror test hold what it says, and how much does it find?

    python -m benchmarks.mirror --out FOLDER [--target NAME MODEL MEMBERS UNSEEN ...] [--page docs/mirror.md]

First, without a model: sets of differences whose signs are coins, how often the test finds something at its level, and
how many of the pictures that the knockoff filter names it names wrongly. Then, for each target, the differences of its
members and of pictures that it never saw, kept in FOLDER, where the same command goes on; audits are drawn from them,
and the same draws are audited against unseen pictures. Draws take the same pictures anew each time: a share of draws is
that of these pictures, and its interval says how well the draws tell it, not how it would vary with other pictures.

--page: write the tables between the marks in that file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu

from benchmarks.marks import tell
from trainedon.attacks import Attack, parse_attacks
from trainedon.attacks.wrappers.symmetric import against
from trainedon.evidence import clopper_pearson, knockoff_q, sign_flip_test
from trainedon.evidence.protocol.mirror_test import FALSE_DISCOVERY_RATE, LEVEL, Odds, mirror_test
from trainedon.files import write_json
from trainedon.pictures import scan, take_inventory
from trainedon.runs.scoring.scorer import read_batch
from trainedon.targets import Target, load_target

BEGIN, END = "<!-- mirror: begin -->", "<!-- mirror: end -->"
ATTACKS = "drc, pia, loss(draws=4), sima"
CHUNK = 64  # pictures that are scored before anything is kept
SETS, DRAWS = 4_000, 400
SUSPECTS = (12, 20, 40, 80)
UNSEEN = 120


@dataclass(frozen=True)
class Counted:
    """How many of n did something."""

    k: int
    n: int

    def __str__(self) -> str:
        low, high = clopper_pearson(self.k, self.n)
        return f"{self.k / self.n:.3f} ({low:.3f}-{high:.3f})"


def sizes(rng: np.random.Generator, shape: tuple[int, int], kind: str) -> np.ndarray:
    """Sizes of differences: smooth, with ties, or with a few that dwarf the rest."""
    size = np.abs(rng.standard_t(2, shape) if kind == "heavy tails" else rng.normal(size=shape))
    return np.ceil(size * 2) / 2 if kind == "ties" else size


def validity(sets: int) -> list[str]:
    """How often the test finds something among coins that fall positive as often as it allows for."""
    lines = [
        "| differences | sign of each | n | odds that are true and allowed | p < .05 | p < .01 |",
        "|---|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(1)
    for kind, n, unit, odds in CELLS:
        many = sets if n < 300 else sets // 10
        size = sizes(rng, (many, n), kind)
        flips = rng.random((many, -(-n // unit))) < odds / (1 + odds)
        signs = np.where(np.repeat(flips, unit, axis=1)[:, :n], 1, -1)
        units = None if unit == 1 else np.arange(n) // unit
        p = np.array([sign_flip_test(row, odds, units).p_value for row in size * signs])
        found = [Counted(int((p < level).sum()), many) for level in (0.05, 0.01)]
        whose = "its own" if unit == 1 else f"that of its source, of {unit} each"
        lines.append(f"| {kind} | {whose} | {n} | {odds:g} | {found[0]} | {found[1]} |")
    return lines


CELLS = [
    ("smooth", 12, 1, 1.0),
    ("smooth", 12, 1, 2.0),
    ("smooth", 40, 1, 1.0),
    ("smooth", 40, 1, 2.0),
    ("smooth", 40, 1, 4.0),
    ("ties", 40, 1, 2.0),
    ("heavy tails", 40, 1, 2.0),
    ("smooth", 100, 1, 2.0),
    ("smooth", 100, 5, 1.0),
    ("smooth", 100, 5, 2.0),
    ("smooth", 1000, 1, 1.0),
    ("smooth", 1000, 1, 2.0),
    ("smooth", 5, 1, 1.0),
    ("ties", 1000, 1, 4.0),
    ("smooth", 3000, 1, 2.0),
]


def names(sets: int) -> list[str]:
    """What the knockoff filter names among pictures that were used and as many or more that were not."""
    lines = [
        "| used | not used | odds that are true and allowed | used ones lie at | named of the used ones | "
        "named wrongly, of those named |",
        "|---|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(2)
    for m, n, odds, shift in [
        (64, 64, 1.0, 3.0),
        (64, 64, 2.0, 3.0),
        (64, 64, 4.0, 3.0),
        (64, 64, 2.0, 1.5),
        (20, 80, 2.0, 3.0),
        (0, 100, 2.0, 0.0),
    ]:
        named = []
        for _ in range(sets // 4):
            null = np.abs(rng.normal(size=n)) * np.where(rng.random(n) < odds / (1 + odds), 1, -1)
            named.append(knockoff_q(np.concatenate([rng.normal(shift, 1, m), null]), odds) <= FALSE_DISCOVERY_RATE)
        lines.append(f"| {m} | {n} | {odds:g} | {shift:g} | {shares_named(named, m)} |")
    return lines


def shares_named(named: Sequence[np.ndarray], used: int) -> str:
    """Two cells of a table: the mean share of the used pictures that are named, and of the named ones that are wrongly
    so. named: of each set which pictures are, bool (n,), the used ones first."""
    right = f"{np.mean([one[:used].mean() for one in named]):.2f}" if used else "-"
    wrong = np.mean([one[used:].sum() / max(1, one.sum()) for one in named])
    return f"{right} | {wrong:.3f}"


@dataclass(frozen=True)
class Bank:
    """The scores of pictures under several attacks, which share what they ask of the target; kept in `folder`."""

    folder: Path
    target: Target
    attacks: Sequence[Attack]

    def of(self, pictures: Path) -> list[np.ndarray]:
        """Of each attack, float64 (n,), NaN where a picture has none."""
        entries = scan(pictures)
        items = take_inventory(entries, "suspect")
        usable = [i for i in range(len(items)) if items[i].reason is None]
        known = [self._known(attack) for attack in self.attacks]
        missing = [i for i in usable if any(items[i].sha256 not in one for one in known)]
        for start in range(0, len(missing), CHUNK):
            part = missing[start : start + CHUNK]
            batch = read_batch(self.target, [items[i] for i in part], [entries[i] for i in part], views=("mirror",))
            with self.target.sharing():
                for attack, one in zip(self.attacks, known, strict=True):
                    told = attack.score(self.target, batch).tolist()
                    one |= {name: s if isfinite(s) else None for name, s in zip(batch.sha256, told, strict=True)}
            for attack, one in zip(self.attacks, known, strict=True):
                write_json(self._path(attack), one)
        return [np.array([one[str(items[i].sha256)] for i in usable], float) for one in known]

    def _known(self, attack: Attack) -> dict[str, float | None]:
        path = self._path(attack)
        return json.loads(path.read_text()) if path.exists() else {}

    def _path(self, attack: Attack) -> Path:
        key = hashlib.sha256(f"{self.target.identity.digest} {attack!r}".encode()).hexdigest()[:16]
        return self.folder / f"{key}.json"


@dataclass(frozen=True)
class Scored:
    """One attack on one target: differences to mirror images, float64, of members and of pictures that it never saw;
    and scores of the same attack as it is."""

    target: str
    attack: str
    members: np.ndarray
    unseen: np.ndarray
    plain_members: np.ndarray
    plain_unseen: np.ndarray


def finite(scores: np.ndarray) -> np.ndarray:
    return scores[np.isfinite(scores)]


def signs(scored: Sequence[Scored]) -> list[str]:
    """How often the pictures of each target are ahead of their mirror images."""
    lines = ["| target | attack | members ahead | unseen ahead |", "|---|---|---|---|"]
    for one in scored:
        ahead = [Counted(int((d > 0).sum()), int(np.count_nonzero(d))) for d in (one.members, one.unseen)]
        lines.append(f"| {one.target} | {one.attack} | {ahead[0]} | {ahead[1]} |")
    return lines


def claims(scored: Sequence[Scored], draws: int) -> list[str]:
    """How often audits find something: of pictures that were not used, of used ones, and of both in equal parts. Beside
    it the same draws against other unseen pictures, by the attack as it is (test of Mann and Whitney)."""
    lines = [
        "| target | attack | suspects | none used | half used | all used | half used, against unseen | named of half | "
        "named wrongly |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in scored:
        for m in SUSPECTS:
            rng = np.random.default_rng(m)
            counted = np.zeros(4, int)
            named, wrong = [], []
            for _ in range(draws):
                seen, not_seen = rng.permutation(len(one.members)), rng.permutation(len(one.unseen))
                half = m // 2
                mixed = np.concatenate([one.members[seen[:half]], one.unseen[not_seen[: m - half]]])
                sets = (one.unseen[not_seen[:m]], mixed, one.members[seen[:m]])
                found = [mirror_test(d, Odds()) for d in sets]
                counted[:3] += [test is not None and test.finds for test in found]
                plain = np.concatenate([one.plain_members[seen[:half]], one.plain_unseen[not_seen[: m - half]]])
                others = one.plain_unseen[not_seen[m : m + UNSEEN]]
                counted[3] += mannwhitneyu(plain, others, alternative="greater").pvalue < LEVEL
                q = knockoff_q(mixed, Odds().value) <= FALSE_DISCOVERY_RATE
                named.append(q[:half].mean())
                wrong.append(q[half:].sum() / max(1, q.sum()))
            shares = " | ".join(str(Counted(int(k), draws)) for k in counted)
            lines.append(
                f"| {one.target} | {one.attack} | {m} | {shares} | {np.mean(named):.2f} | {np.mean(wrong):.3f} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--target", nargs=4, action="append", default=[], metavar=("NAME", "MODEL", "MEMBERS", "UNSEEN")
    )
    parser.add_argument("--attacks", default=ATTACKS)
    parser.add_argument("--sets", type=int, default=SETS)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    scored = []
    for name, model, members, unseen in args.target:
        attacks = parse_attacks(args.attacks, [])
        bank = Bank(args.out, load_target(model), [*(against(one, "mirror") for one in attacks), *attacks])
        first, other = (bank.of(Path(pictures)) for pictures in (members, unseen))
        for i, attack in enumerate(attacks):
            k = i + len(attacks)
            scored.append(Scored(name, attack.spelled(), *map(finite, (first[i], other[i], first[k], other[k]))))
    parts = [
        f"How often the test finds something where signs are coins, {args.sets} sets each (a tenth of that from 300 "
        "on):",
        *validity(args.sets),
        f"What the knockoff filter names at a false discovery rate of 5 %, {args.sets // 4} sets each:",
        *names(args.sets),
    ]
    if scored:
        parts += [
            "How often pictures are ahead of their mirror images:",
            *signs(scored),
            f"How often audits find something (p < .01, odds 2 to 1 assumed), {args.draws} draws each; *against "
            f"unseen*: the same suspects against {UNSEEN} other pictures, by the attack as it is:",
            *claims(scored, args.draws),
        ]
    tell(parts, args.page, BEGIN, END)


if __name__ == "__main__":
    main()
