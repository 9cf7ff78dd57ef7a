"""The attacks of a run: what each is called on the page, its place, its figures, and what its paper printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from trainedon.evidence import Audit, Evaluation
from trainedon.evidence.protocol.documents import AttackAudit, AttackEvaluation, Rate
from trainedon.formats.run_record import CostEntry, ReportedEntry
from trainedon.reporting import words
from trainedon.reporting.run_folder import RunFolder, ScoredAttack

LEVELS = ("0.01", "0.001")
LABEL = 36  # characters
# The attack that scores what is shown for the eye, by whether that is a mosaic or a hidden centre.
PAINTED = {
    True: re.compile(r"drc-paint(@2)?(\(seed=\d+\))?"),
    False: re.compile(r"drc-paint(@1)?(\(seed=\d+\))?"),
}
Show = Callable[[float | None], str]


@dataclass(frozen=True)
class TableEntry:
    """One attack. number: its place by AUC in an evaluation, the order of naming in an audit; from 1."""

    number: int
    label: str
    attack: ScoredAttack
    found: AttackAudit | AttackEvaluation

    @property
    def auc(self) -> float | None:
        """How often a picture that the question is about scores higher than an unseen one."""
        return self.found.auc if isinstance(self.found, AttackEvaluation) else self.found.set.effect

    @property
    def auc_ci(self) -> tuple[float, float] | None:
        return self.found.auc_ci if isinstance(self.found, AttackEvaluation) else self.found.set.effect_ci

    def rate(self, level: str) -> Rate | None:
        """TPR at FPR <= `level`, as the document writes it; None in an audit."""
        return self.found.tpr_at_fpr.get(level) if isinstance(self.found, AttackEvaluation) else None


@dataclass(frozen=True)
class Cell:
    """One figure of the table; below it in small print its interval, and what a paper printed in its place."""

    text: str
    small: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """One row of the table of attacks; `cost` is in words, and empty where it was not recorded."""

    entry: TableEntry
    cells: tuple[Cell, ...]
    cost: str


def entries(run: RunFolder) -> list[TableEntry]:
    """Every attack in the order named. Labels are those that the run recorded, or names; equal ones are numbered."""
    known = {found.repr: found for found in run.document.attacks}
    labels = [words.shorten(run.record.labels.get(attack.repr) or attack.name, LABEL) for attack in run.attacks]
    named = [
        TableEntry(
            number=i + 1,
            label=label if labels.count(label) == 1 else f"{label} {labels[: i + 1].count(label)}",
            attack=attack,
            found=known[attack.repr],
        )
        for i, (attack, label) in enumerate(zip(run.attacks, labels))
    ]
    if run.kind == "audit":
        return named
    best_first = sorted(named, key=lambda entry: -1.0 if entry.auc is None else entry.auc, reverse=True)
    places = [entry.number for entry in best_first]
    return [replace(entry, number=places.index(entry.number) + 1) for entry in named]


def ranked(run: RunFolder) -> list[TableEntry]:
    """Every attack by its number."""
    return sorted(entries(run), key=lambda entry: entry.number)


def strongest(run: RunFolder) -> TableEntry:
    """Of an evaluation the attack with the highest AUC, whose interval holds although it was picked."""
    best = run.document.strongest if isinstance(run.document, Evaluation) else None
    return next((entry for entry in entries(run) if entry.found is best), ranked(run)[0])


def painted(run: RunFolder, mosaic: bool) -> TableEntry | None:
    """Of an evaluation the attack that scores what is shown for the eye, if it is one of the run, as it is frozen, and
    has an AUC. mosaic: whether pictures are shown that became a mosaic, or their hidden centre."""
    if run.kind == "audit":
        return None
    said = ((run.record.labels.get(one.attack.repr) or one.attack.name, one) for one in entries(run))
    return next((one for text, one in said if PAINTED[mosaic].fullmatch(text) and one.auc_ci is not None), None)


def heads(run: RunFolder) -> list[str]:
    """The heads of the table of attacks, without the first, which is the attack's."""
    if by_mirror(run):
        own = ["p-value of the signs", "corrected (Holm)", "Ahead of their views", "Suspects"]
        return [*own, "Reference", "Not scored", "NFE a picture", "Seconds a picture"]
    if run.kind == "audit":
        own = ["p-value of the set", "corrected (Holm)", "Suspect above unseen", "Suspects"]
    else:
        own = ["AUC", "ASR (best accuracy, optimistic)", "TPR at 1 % FPR", "TPR at 0.1 % FPR"]
        own.append("Training")
    return [*own, "Unseen", "Not scored", "NFE a picture", "Seconds a picture"]


def by_mirror(run: RunFolder) -> bool:
    """Whether the claim compares pictures with views of themselves."""
    return isinstance(run.document, Audit) and run.document.by_mirror


def table(run: RunFolder) -> list[Line]:
    """The rows of the table of attacks, by number."""
    costs = {cost.attack: _cost(cost) for cost in run.record.costs}
    return [Line(entry, _cells(run, entry), costs.get(entry.attack.repr, "")) for entry in ranked(run)]


def papers(run: RunFolder) -> list[str]:
    """Where the reported figures come from, one text a source, each after the attacks that it speaks of."""
    labels: dict[str, list[str]] = {}
    for entry in ranked(run):
        for source in dict.fromkeys(map(_source, _reported(run, entry))):
            labels.setdefault(source, []).append(entry.label)
    return [f"{', '.join(names)}: {source}" for source, names in labels.items()]


def _source(figures: ReportedEntry) -> str:
    return f"{figures.paper or ''} for {figures.data}{f' ({figures.note})' if figures.note else ''}".strip()


def _cost(cost: CostEntry) -> str:
    """What an attack asks of the network for one picture, as planned."""
    backward, setup = cost.backward_per_picture, cost.setup_passes
    also = f" and {words.count(backward)} backward" if backward else ""
    once = f", and {words.count(setup)} forward passes once a model" if setup else ""
    return f"{words.count(cost.forward_per_picture)} forward{also} passes of the network a picture{once}"


def _reported(run: RunFolder, entry: TableEntry) -> list[ReportedEntry]:
    return [figures for figures in run.record.reported if figures.attack == entry.attack.repr]


def _cells(run: RunFolder, entry: TableEntry) -> tuple[Cell, ...]:
    attack, found = entry.attack, entry.found
    unseen = len(attack.rows("unseen"))
    nfe, seconds = found.nfe_per_picture, found.seconds_per_picture
    back = next((cost.backward_per_picture for cost in run.record.costs if cost.attack == attack.repr), 0)
    rest = [
        words.count(len(attack.rows(run.asked))),
        words.count(unseen),
        words.count(found.n_not_scored),
        f"{words.number(attack.mean('nfe') if nfe is None else nfe, 4)}{f'+{words.count(back)}' if back else ''}",
        words.number(attack.mean("seconds") if seconds is None else seconds, 2),
    ]
    if isinstance(found, AttackAudit) and by_mirror(run):
        test = found.mirror
        signs = ["—"] * 3 if test is None else [words.p_value(test.p_value), words.p_value(test.p_value_holm)]
        return tuple(map(Cell, [*signs, *([] if test is None else [words.share(test.share)]), *rest]))
    if isinstance(found, AttackAudit):
        tests = [words.p_value(found.set.p_value), words.p_value(found.set.p_value_holm)]
        return tuple(map(Cell, [*tests, words.share(found.set.effect), *rest]))
    return (*_measured(found, entry, unseen, _reported(run, entry)), *map(Cell, rest))


def _measured(
    found: AttackEvaluation, entry: TableEntry, unseen: int, reported: Sequence[ReportedEntry]
) -> tuple[Cell, ...]:
    """How well an attack does, with what papers print. unseen: how many unseen pictures it scored."""
    one, tenth = (words.rate(level, entry.rate(level), unseen) for level in LEVELS)

    def cell(text: str, interval: str, figures: Iterable[float | None] = (), show: Show = words.share) -> Cell:
        printed = [f"reported {show(value)}" for value in figures if value is not None]
        return Cell(text, tuple(filter(None, [interval, *printed])))

    return (
        cell(
            words.number(found.auc),
            words.interval(found.auc_ci) if found.auc_ci else "",
            (figures.auc for figures in reported),
            words.number,
        ),
        cell(words.share(found.asr), "", (figures.asr for figures in reported)),
        cell(*one, (figures.tpr_1 for figures in reported)),
        cell(*tenth),
    )
