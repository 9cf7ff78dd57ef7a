"""The attacks of a run: what each is called on the page, its place, its figures, and what its paper printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainedon.report import words
from trainedon.report.folder import Attack, RunFolder

LEVELS = (0.01, 0.001)
LABEL = 36  # characters


@dataclass(frozen=True)
class Entry:
    """One attack. number: its place by AUC in an evaluation, the order of naming in an audit; from 1."""

    number: int
    label: str
    attack: Attack
    found: dict[str, Any]  # its statistics, empty where the document has none


@dataclass(frozen=True)
class Cell:
    """One figure of the table; below it in small print its interval, and what a paper printed in its place."""

    text: str
    small: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """One row of the table of attacks; `cost` is in words, and empty where it was not recorded."""

    entry: Entry
    cells: tuple[Cell, ...]
    cost: str


def entries(run: RunFolder) -> list[Entry]:
    """Every attack in the order named. Labels are those that the run recorded, or names; equal ones are numbered."""
    known = {found.get("repr") or found.get("name"): found for found in run.document.get("attacks") or []}
    names = [attack.name for attack in run.attacks]
    recorded = run.run.get("labels") or {}
    labels = [words.shorten(str(recorded.get(attack.repr) or attack.name), LABEL) for attack in run.attacks]
    found = [
        known.get(attack.repr) or (known.get(attack.name) if names.count(attack.name) == 1 else None) or {}
        for attack in run.attacks
    ]
    places = list(range(len(found)))
    if run.kind == "evaluate":
        places.sort(key=lambda i: -1.0 if found[i].get("auc") is None else found[i]["auc"], reverse=True)
    return [
        Entry(
            number=places.index(i) + 1,
            label=label if labels.count(label) == 1 else f"{label} {labels[: i + 1].count(label)}",
            attack=attack,
            found=found[i],
        )
        for i, (attack, label) in enumerate(zip(run.attacks, labels))
    ]


def ranked(run: RunFolder) -> list[Entry]:
    """Every attack by its number."""
    return sorted(entries(run), key=lambda entry: entry.number)


def rate(found: dict[str, Any], level: float) -> dict[str, Any] | None:
    """The record of TPR at FPR <= `level` in one attack's statistics."""
    return (found.get("tpr_at_fpr") or {}).get(f"{level:g}")


def heads(run: RunFolder) -> list[str]:
    """The heads of the table of attacks, without the first, which is the attack's."""
    if run.kind == "audit":
        own = ["p-value of the set", "corrected (Holm)", "Suspect above unseen", "Suspects"]
    else:
        own = ["AUC", "ASR (best accuracy, optimistic)", "TPR at 1 % FPR", "TPR at 0.1 % FPR"]
        own.append("Training")
    return [*own, "Unseen", "Not scored", "NFE a picture", "Seconds a picture"]


def table(run: RunFolder) -> list[Line]:
    """The rows of the table of attacks, by number."""
    costs = {cost.get("attack"): _cost(cost) for cost in run.run.get("costs") or []}
    return [Line(entry, _cells(run, entry), costs.get(entry.attack.repr, "")) for entry in ranked(run)]


def papers(run: RunFolder) -> list[str]:
    """Where the reported figures come from, one text a source, each after the attacks that it speaks of."""
    labels: dict[str, list[str]] = {}
    for entry in ranked(run):
        for source in dict.fromkeys(map(_source, _reported(run, entry))):
            labels.setdefault(source, []).append(entry.label)
    return [f"{', '.join(names)}: {source}" for source, names in labels.items()]


def _source(figures: dict[str, Any]) -> str:
    paper, note = str(figures.get("paper") or ""), str(figures.get("note") or "")
    return f"{paper} for {figures.get('data')}{f' ({note})' if note else ''}".strip()


def _cost(cost: dict[str, Any]) -> str:
    """What an attack asks of the network for one picture, as planned."""
    forward, backward = cost.get("forward_per_picture"), cost.get("backward_per_picture")
    also = f" and {words.count(backward)} backward" if backward else ""
    setup = cost.get("setup_passes")
    once = f", and {words.count(setup)} forward passes once a model" if setup else ""
    return f"{words.count(forward)} forward{also} passes of the network a picture{once}"


def _reported(run: RunFolder, entry: Entry) -> list[dict[str, Any]]:
    return [figures for figures in run.run.get("reported") or [] if figures.get("attack") == entry.attack.repr]


def _cells(run: RunFolder, entry: Entry) -> tuple[Cell, ...]:
    attack, found = entry.attack, entry.found
    unseen = len(attack.rows("unseen"))
    lost = found.get("n_not_scored")
    lost = int((~np.isfinite(attack.scores)).sum()) if lost is None else lost
    nfe, seconds = found.get("nfe_per_picture"), found.get("seconds_per_picture")
    rest = [
        words.count(len(attack.rows(run.asked))),
        words.count(unseen),
        words.count(lost),
        words.number(attack.mean("nfe") if nfe is None else nfe, 4),
        words.number(attack.mean("seconds") if seconds is None else seconds, 2),
    ]
    if run.kind == "audit":
        test = found.get("set") or {}
        tests = [words.p_value(test.get("p_value")), words.p_value(test.get("p_value_holm"))]
        return tuple(map(Cell, [*tests, words.share(test.get("effect")), *rest]))
    auc, bounds = words.number(found.get("auc")), found.get("auc_ci")
    one, tenth = (words.rate(level, rate(found, level), unseen) for level in LEVELS)
    reported = _reported(run, entry)

    def cell(text: str, interval: str, key: str = "", show: Any = words.share) -> Cell:
        printed = [f"reported {show(figures[key])}" for figures in reported if figures.get(key) is not None]
        return Cell(text, tuple(filter(None, [interval, *printed])))

    return (
        cell(auc, words.interval(bounds) if bounds else "", "auc", words.number),
        cell(words.share(found.get("asr")), "", "asr"),
        cell(*one, "tpr_1"),
        cell(*tenth),
        *map(Cell, rest),
    )
