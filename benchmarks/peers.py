"""Which attacks are measured, and at which settings: as papers say, and with a timestep that was tuned elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trainedon.attacks import DRC, Attack, attacks, parse_attacks
from trainedon.attacks.core.attack import HAVE
from trainedon.attacks.core.registry import works_alone
from trainedon.attacks.drc.by_family import for_model
from trainedon.attacks.learned.fusion import Fusion
from trainedon.errors import UserError
from trainedon.targets import Shadows, Target

FAMILY = "drc"  # what the names of its settings and versions begin with
LEAD = Attack.noun.recommended[FAMILY]  # the attack that every other one is compared with, on models in pixels
PAPER_DRC = "drc-paper"
# Peers with the reference of `drc`: what of its lead is due to the reference. And `drc` with a cheap unlike peer.
BORROWED = (
    *("symmetric(loss(draws=12))", "symmetric(pia)", "symmetric(sima)"),
    *("rank-average(drc, sima)", "rank-average(drc, symmetric(sima))"),
)
STUDIES = ("rise", "curvature")  # measurements of this project, after papers that propose other attacks
STEPS = (10, 30, 50, 100, 150, 200, 300)
# What calibration tries, one peer a line; t is all that changes, and the stride where it has to divide t.
GRID: dict[str, tuple[str, ...]] = {
    "loss": tuple(f"loss(t={t})" for t in STEPS),
    "secmi": tuple(f"secmi(t={t})" for t in (50, 100, 150, 200)),
    "pia": tuple(f"pia(t={t})" for t in STEPS),
    "pian": tuple(f"pian(t={t})" for t in STEPS),
    "sima": tuple(f"sima(t={t})" for t in STEPS),
    "rediffuse": tuple(
        f"rediffuse(t={t}, k={k})" for t, k in ((50, 50), (100, 100), (150, 50), (200, 100), (300, 100))
    ),
    "noise-aggregation": tuple(f"noise-aggregation(t={t})" for t in (10, 27, 50, 100, 150, 200)),
    "fremia(pia)": tuple(f"fremia(pia(t={t}))" for t in STEPS),
    "fremia(loss)": tuple(f"fremia(loss(t={t}))" for t in STEPS),
}
# As `python -m benchmarks.accuracy --calibrate` printed it, on targets and members that no table of accuracy shows.
CALIBRATED: dict[str, str] = {
    "loss": "loss(t=150)",
    "secmi": "secmi(t=150)",
    "pia": "pia(t=50)",
    "pian": "pian(t=200)",
    "sima": "sima(t=100)",
    "rediffuse": "rediffuse(t=200, k=100)",
    "noise-aggregation": "noise-aggregation(t=100)",
    "fremia(pia)": "fremia(pia(t=300))",
    "fremia(loss)": "fremia(loss(t=150))",
}


def lead(target: Target) -> str:
    """What `drc` means on this model: the attack, as `spelled` says it, that every other one is compared with."""
    (attack,) = for_model(parse_attacks(LEAD), target)
    return attack.spelled()


class Chosen(NamedTuple):
    """The attacks that a target is measured by, and those that it cannot be, with the reason."""

    attacks: list[Attack]
    left_out: dict[str, str]


def choose(asked: str | None, target: Target, shadows: Shadows | None = None) -> Chosen:
    """The attacks that are asked for; where none are, all that there are at their defaults, peers calibrated, and some
    of them with the reference of `drc`.

    Raises UserError for attacks that were asked for and cannot be run; of all others it says so in `left_out`.
    """
    if asked is not None:
        return Chosen(parse_attacks(asked, HAVE, shadows=shadows), {})
    chosen, left_out = Chosen([], {}), {}
    for spec in (*(name for name, kind in attacks().items() if works_alone(kind)), *CALIBRATED.values(), *BORROWED):
        try:
            (attack,) = parse_attacks(spec, HAVE, shadows=shadows)
            attack.check(target)
        except UserError as error:
            left_out[spec] = str(error)
            continue
        if attack not in chosen.attacks:
            chosen.attacks.append(attack)
    return chosen._replace(left_out=left_out)


def is_peer(attack: Attack) -> bool:
    """Whether an attack is another paper's idea, and none of those that this project puts forward."""
    ours = isinstance(attack, DRC | Fusion) or attack.name.startswith(FAMILY) or attack.name in (*STUDIES, "symmetric")
    return not ours


def is_usual(attack: Attack) -> bool:
    """Whether all parameters but seeds and helpers are at their defaults, which for peers are those of their papers."""
    kind = type(attack)
    return works_alone(kind) and attack.spelled() == kind().spelled()


def setting(attack: Attack) -> str:
    """Whose choice an attack's parameters are: paper, calibrated, both, ours, or given (on the command line)."""
    if not is_peer(attack):
        return "paper" if attack.name == PAPER_DRC else "ours"
    tuned = attack in [parse_attacks(spec, HAVE)[0] for spec in CALIBRATED.values()]
    return ", ".join(["paper"] * is_usual(attack) + ["calibrated"] * tuned) or "given"


def pick(aucs: Mapping[str, Mapping[str, float]], grid: Mapping[str, Sequence[str]] = GRID) -> dict[str, str]:
    """Of each peer's settings the one with the highest mean AUC over the targets, the first of equals.

    aucs: setting -> target -> AUC.
    """
    return {peer: max(specs, key=lambda spec: mean(aucs[spec].values())) for peer, specs in grid.items()}


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def calibration_markdown(aucs: Mapping[str, Mapping[str, float]], grid: Mapping[str, Sequence[str]] = GRID) -> str:
    """The AUC of every setting on every target, each peer's choice in bold, and the choices as Python."""
    targets = list(next(iter(aucs.values())))
    picked = pick(aucs, grid)
    lines = [f"| setting | {' | '.join(targets)} | mean |", "|---" * (len(targets) + 2) + "|"]
    for peer, specs in grid.items():
        for spec in specs:
            values = [aucs[spec][target] for target in targets]
            cells = [f"{value:.3f}" for value in (*values, mean(values))]
            bold = "**" * (picked[peer] == spec)
            lines.append(f"| {bold}`{spec}`{bold} | {' | '.join(cells)} |")
    chosen = [f'    "{peer}": "{spec}",' for peer, spec in picked.items()]
    return "\n".join([*lines, "", "```python", "CALIBRATED: dict[str, str] = {", *chosen, "}", "```", ""])
