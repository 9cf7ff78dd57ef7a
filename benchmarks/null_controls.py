"""What a control model and mirrored pictures leave of a difference, counted in many draws without the blind baseline.

    python -m benchmarks.null_controls UNSEEN --target NAME MODEL MEMBERS [--target ...] --control MODEL --out FOLDER

Pictures, changes and draws are those of `benchmarks.nulls`. There a draw is a whole audit, here three rank tests by
their normal formula (Mann and Whitney), which is quick: does the attack find a difference at 0.01, does the control
find it at 0.05, and is it left at 0.01 beyond the control? Where there is nothing to find, what is left is put to the
blind baseline. Of members the counts say what the controls cost.
Scores are kept in FOLDER, which may be that of `benchmarks.nulls`; the same command goes on there.

--mirrored: ask the audited model about mirrored pictures too. --page: write the tables between the marks in that file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm, rankdata

from benchmarks.marks import write_between
from benchmarks.nulls import CHANGES, TRUE, Bank, Case, designs
from trainedon.attacks import Attack, parse_attacks
from trainedon.attacks.wrappers.on_control import OnControl, on_control
from trainedon.attacks.wrappers.turned import turned
from trainedon.evidence import STANDARD_2
from trainedon.evidence.protocol.claims import LEVEL as FOUND
from trainedon.evidence.protocol.counterparts import LEFT, normal_scores
from trainedon.evidence.protocol.counterparts import LEVEL as FINDS
from trainedon.targets import ControlModel, load_target

BEGIN, END = "<!-- controls: begin -->", "<!-- controls: end -->"
CONTROLS = ("control model", "mirrored")


@dataclass(frozen=True)
class Row:
    """Of the draws of a design: found by the attack, and of those, by control: found there too or not (`silent`), and
    left beyond it besides (`past`). None where that control was not made. claimed: left beyond the control model, and
    past the blind baseline, which members are not put to."""

    target: str
    attack: str
    design: str
    draws: int
    found: int
    silent: dict[str, int | None]
    past: dict[str, int | None]
    claimed: int | None


def p_of(score: np.ndarray, is_suspect: np.ndarray) -> float:
    """One-sided p-value of suspects scoring higher. score: float64 (n,). is_suspect: bool (n,)."""
    m, n = int(is_suspect.sum()), int((~is_suspect).sum())
    above = float(rankdata(score)[is_suspect].sum()) - m * (m + 1) / 2
    return float(norm.sf((above - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12)))


def row(
    target: str, attack: Attack, controls: dict[str, Attack], design: str, cases: Sequence[Case], bank: Bank
) -> Row:
    """Count the draws of a design."""
    found, silent, past = 0, dict.fromkeys(controls, 0), dict.fromkeys(controls, 0)
    claimed = None if design in TRUE else 0
    for case in cases:
        is_suspect = np.array([name == "suspect" for _, places, name in case.parts for _ in places])
        own = np.array(bank.of(case, attack))
        if p_of(own, is_suspect) >= FOUND:
            continue
        found += 1
        for name, control in controls.items():
            other = np.array(bank.of(case, control))
            if p_of(other, is_suspect) < FINDS:
                continue
            silent[name] += 1
            left = p_of(normal_scores(own) - normal_scores(other), is_suspect) < LEFT
            past[name] += left
            if claimed is not None and left and name == CONTROLS[0]:
                claimed += not case.told_apart
    missing: dict[str, int | None] = dict.fromkeys(CONTROLS)
    return Row(target, attack.spelled(), design, len(cases), found, missing | silent, missing | past, claimed)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown: members one by one, everything else summed over the differences of the sets, and those
    differences that lead to most claims."""
    members = [one for one in rows if one.design in TRUE]
    nothing = [one for one in rows if one.design not in TRUE]
    summed = [_sum(some) for some in _by_attack(nothing)]
    worst = [max(some, key=_claims) for some in _by_attack(nothing)]
    parts = [
        ("Members among the suspects", members),
        ("Nothing to be found, all differences of the sets together", summed),
        ("Of these the difference of which most gets past both", worst),
    ]
    return "\n\n".join(_part(title, some) for title, some in parts if some)


def _claims(one: Row) -> tuple[float, float]:
    return _share(one.claimed, one.draws), _share(one.past[CONTROLS[0]], one.draws)


def _by_attack(rows: Sequence[Row]) -> Iterator[list[Row]]:
    for key in dict.fromkeys((one.target, one.attack) for one in rows):
        yield [one for one in rows if (one.target, one.attack) == key]


def _sum(rows: Sequence[Row]) -> Row:
    def total(counts: Sequence[dict[str, int | None]]) -> dict[str, int | None]:
        known = {name: [one[name] for one in counts] for name in CONTROLS}
        return {name: None if None in some else sum(filter(None, some)) for name, some in known.items()}

    first = rows[0]
    draws, found = (sum(some) for some in zip(*((one.draws, one.found) for one in rows), strict=True))
    silent, past = total([one.silent for one in rows]), total([one.past for one in rows])
    return Row(
        first.target,
        first.attack,
        f"{len(rows)} differences",
        draws,
        found,
        silent,
        past,
        sum(one.claimed or 0 for one in rows),
    )


def _part(title: str, rows: Sequence[Row]) -> str:
    asked = [name for name in CONTROLS if any(one.past[name] is not None for one in rows)]
    heads = ["target", "attack", "difference", "draws", "found"]
    heads += [f"{what} {name}" for name in asked for what in ("not found by", "left beyond")]
    heads += ["past control model and blind baseline"]
    lines = [f"{title}:", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for one in rows:
        counts = [one.found, *(kind[name] for name in asked for kind in (one.silent, one.past)), one.claimed]
        shares = ["-" if count is None else f"{100 * _share(count, one.draws):.1f} %" for count in counts]
        lines.append(f"| {one.target} | {one.attack} | {one.design} | {one.draws} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _share(count: int | None, of: int) -> float:
    return (count or 0) / of


def controls_of(attack: Attack, control: ControlModel, *, mirrored: bool) -> dict[str, Attack]:
    """The controls of an attack, by name; none with mirrored pictures where it is its own negative there."""
    views = turned([attack], STANDARD_2.turned) if mirrored else []
    return dict(zip(CONTROLS, (OnControl(attack, control), *views), strict=False))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unseen", type=Path)
    parser.add_argument("--target", nargs=3, action="append", metavar=("NAME", "MODEL", "MEMBERS"), required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--attacks", default="loss(t=100), pia, pian, sima")
    parser.add_argument("--changes", default=";".join(CHANGES), help="by name, with semicolons between")
    parser.add_argument("--mirrored", action="store_true")
    parser.add_argument("--suspects", type=int, default=40)
    parser.add_argument("--others", type=int, default=120, help="unseen pictures of a draw")
    parser.add_argument("--pictures", type=int, default=160, help="from which a draw is taken")
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    control, attacks = ControlModel.open(given.control), tuple(parse_attacks(given.attacks, seed=0))
    unseen = sorted(given.unseen.glob("*.png"))[: given.pictures]
    names, rows = [name.strip() for name in given.changes.split(";")], []
    for name, model, members in given.target:
        every = (*attacks, *turned(attacks, STANDARD_2.turned), *on_control(attacks, control))
        bank = Bank(load_target(model), given.out, every)
        known = sorted(Path(members).glob("*.png"))[: given.members]
        for design in designs(unseen, known, name, given.out, names, given.suspects, given.others):
            cases = [design.case(number) for number in range(given.draws)]
            for attack in attacks:
                controls = controls_of(attack, control, mirrored=given.mirrored)
                rows.append(row(name, attack, controls, design.name, cases, bank))
                print(rows[-1], flush=True)  # noqa: T201 (a command of its own)
    text = table(rows)
    print(text)  # noqa: T201 (a command of its own)
    if given.page is not None:
        write_between(given.page, BEGIN, END, f"\n{text}\n")


if __name__ == "__main__":
    main()
