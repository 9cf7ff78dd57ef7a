"""How well does every attack do? All of them on all targets, at their papers' settings and at calibrated ones.

    python -m benchmarks.accuracy --out DIR [--targets NAME=MODEL:MEMBERS:UNSEEN ...] [--markdown FILE]
    python -m benchmarks.accuracy --calibrate --out DIR --targets ...

A target is a model and two sources of pictures; for one that `trainedon train` or `benchmarks.targets` made,
NAME=MODEL:PICTURES is enough. Without targets it is the demo's embedded model. Each becomes an ordinary run folder
`DIR/NAME` under protocol standard-1, and the same command goes on where it stopped. What they say together is kept in
`DIR/accuracy.json`, where targets of earlier commands stay, and written as Markdown with a figure beside it.

With --calibrate the targets are those that timesteps are tuned on, with their labels in view, and no others may be:
what is printed goes into `benchmarks/peers.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in trainedon.cli; before torch loads

from benchmarks import accuracy_chart, accuracy_page, peers
from benchmarks.flow import opened
from benchmarks.standing import counted, rows
from benchmarks.targets import Known, known, openmoji
from trainedon.attacks import Attack
from trainedon.attacks.drc.by_family import for_model
from trainedon.cli.terminal import Bars
from trainedon.errors import UserError
from trainedon.evidence import Evaluation
from trainedon.files import write_json, write_text
from trainedon.runs import Plan, run
from trainedon.targets import Shadows, Target


def evaluated(one: Known, target: Target, attacks: Sequence[Attack], out: Path, limit: int | None) -> Evaluation:
    """The target's run folder `out/NAME`, made or gone on with."""
    target.identity = replace(target.identity, name=one.name)
    command = shlex.join(["python", "-m", "benchmarks.accuracy", *sys.argv[1:]])
    sets = {"member": one.members, "unseen": one.unseen}
    plan = Plan(kind="evaluate", sets=sets, attacks=attacks, limit=limit, command=command, controls=False)
    with Bars() as bars:
        return run(target, plan, out / one.name, bars)


def measured(
    one: Known, out: Path, asked: str | None, limit: int | None, device: str, shadows: Shadows | None = None
) -> dict:
    """What accuracy.json says of one target. asked: the attacks, or None for all. Resumable."""
    target = opened(one.model, device)
    attacks, left_out = peers.choose(asked, target, shadows)
    attacks, lead = for_model(attacks, target), peers.lead(target)
    document = evaluated(one, target, attacks, out, limit)
    record = json.loads((out / one.name / "run.json").read_text("utf-8"))
    blind = document.blind
    return {
        "name": one.name,
        "lead": lead,
        "digest": target.identity.digest,
        "parameters": target.identity.parameters,
        "shape": list(target.shape),
        "prediction": target.prediction,
        "members": max(attack.n_members for attack in document.attacks),
        "unseen": max(attack.n_unseen for attack in document.attacks),
        "blind": None if blind.auc is None else {"auc": blind.auc, "auc_ci": blind.auc_ci},
        "flags": [flag.code for flag in document.flags],
        "left_out": left_out,
        "versions": record["versions"],
        "rows": rows(document, counted(out / one.name), attacks, {repr(a): a.cost(target) for a in attacks}, lead),
    }


def collected(targets: Sequence[dict], out: Path) -> list[dict]:
    """These targets and those of earlier commands, as `out/accuracy.json` now holds them."""
    path = out / "accuracy.json"
    earlier = json.loads(path.read_text("utf-8"))["targets"] if path.exists() else []
    merged = {target["name"]: target for target in [*earlier, *targets]}
    write_json(path, {"protocol": "standard-1", "targets": list(merged.values())})
    return json.loads(path.read_text("utf-8"))["targets"]


def publish(targets: Sequence[dict], page: Path) -> None:
    """The Markdown, and the figure beside it, of the same name."""
    figure = page.with_suffix(".svg")
    accuracy_page.put(targets, figure.name, page)
    write_text(figure, accuracy_chart.svg(targets))


def calibrated(
    tuning: Sequence[Known], out: Path, limit: int | None, device: str, grid: dict[str, tuple[str, ...]] = peers.GRID
) -> str:
    """The Markdown of the calibration, also as `out/calibration.md`. Resumable."""
    aucs: dict[str, dict[str, float]] = {spec: {} for specs in grid.values() for spec in specs}
    attacks = {spec: peers.parse_attacks(spec, peers.HAVE)[0] for spec in aucs}
    for one in tuning:
        document = evaluated(one, opened(one.model, device), list(attacks.values()), out, limit)
        found = {attack.repr: attack.auc for attack in document.attacks}
        for spec, attack in attacks.items():
            area: Any = found[repr(attack)]
            if area is None:
                raise UserError(f"{spec} has no score on {one.name}: leave this target out")
            aucs[spec][one.name] = area
    text = peers.calibration_markdown(aucs, grid)
    write_text(out / "calibration.md", text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder for all runs and what they say together")
    parser.add_argument(
        "--targets", nargs="+", action="extend", help="NAME=MODEL:MEMBERS:UNSEEN or NAME=MODEL:PICTURES"
    )
    parser.add_argument("--attacks", help="as in `trainedon evaluate`; all, and peers calibrated, when not given")
    parser.add_argument("--shadows", nargs="+", action="extend", default=[], help="NAME=DIR: a target's shadow models")
    parser.add_argument("--limit", type=int, help="take the first N pictures of each source")
    parser.add_argument("--markdown", type=Path, help="the page, or one with the marks; DIR/accuracy.md if not given")
    parser.add_argument("--calibrate", action="store_true", help="tune timesteps on these targets")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    try:
        _main(given)
    except UserError as error:
        parser.exit(2, f"{error}\n")


def _main(given: argparse.Namespace) -> None:
    if given.calibrate and not given.targets:
        raise UserError("give --targets to tune on; `python -m benchmarks.targets` makes some")
    chosen = [known(text, given.out) for text in given.targets] if given.targets else [openmoji(given.out)]
    if len({one.name for one in chosen}) < len(chosen):
        raise UserError("two targets have one name: give each its own")
    if given.calibrate:
        print(calibrated(chosen, given.out, given.limit, given.device))  # noqa: T201 (a command of its own)
        return
    page = given.markdown or given.out / "accuracy.md"
    accuracy_page.check(page)  # hours pass before it is written
    shadows = {name: Shadows.open(folder) for name, _, folder in (text.partition("=") for text in given.shadows)}
    if stranger := next((name for name in shadows if name not in {one.name for one in chosen}), None):
        raise UserError(f"--shadows {stranger}=...: there is no target of that name")
    for one in chosen:
        target = measured(one, given.out, given.attacks, given.limit, given.device, shadows.get(one.name))
        for spec, why in target["left_out"].items():
            sys.stderr.write(f"{one.name}: {spec} left out: {why}\n")
        # after each target, so that a command which is stopped leaves what it has
        publish(collected([target], given.out), page)


if __name__ == "__main__":
    main()
