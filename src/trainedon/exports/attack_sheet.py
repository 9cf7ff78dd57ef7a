"""The table of a run's attacks, `attacks.csv` and `attacks.tex`: for other programs, and for a paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trainedon.evidence import Audit, Evaluation
from trainedon.evidence.protocol.documents import AttackAudit, AttackEvaluation, Rate
from trainedon.exports.csv_cells import Cell, csv_parts
from trainedon.formats import RunRecord

LEVELS = ("0.05", "0.01", "0.001")
Ends = tuple[float, float] | None
# What TeX takes for something else than a character.
ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{one: f"\\{one}" for one in "&%$#_{}"},
}
NOT_ESTIMABLE = "--"
TOGETHER = "which hold for all attacks together"


def attack_sheet(record: RunRecord, document: Audit | Evaluation) -> Iterator[str]:
    """The parts of `attacks.csv`: a row for each attack, every interval in two columns; an empty cell: no number."""
    if isinstance(document, Evaluation):
        rows = _evaluated(document)
    else:
        rows = _mirrored(document) if document.by_mirror else _audited(document)
    return csv_parts(_with_labels(rows, record))


def attack_latex(record: RunRecord, document: Audit | Evaluation) -> Iterator[str]:
    """The parts of `attacks.tex`: a tabular with the rules of booktabs, every text escaped."""
    if isinstance(document, Evaluation):
        heads = ["Attack", "AUC", r"TPR at 1\,\% FPR", r"TPR at 0.1\,\% FPR", "passes"]
        rows = [_evaluated_cells(one, record) for one in document.attacks]
    elif document.by_mirror:
        heads = ["Attack", "ahead", "share ahead", "$p$", "$p$ (Holm)", "odds", "passes"]
        rows = [_mirrored_cells(one, record) for one in document.attacks]
    else:
        heads = ["Attack", "AUC", "$p$", "$p$ (Holm)", "passes"]
        rows = [_audited_cells(one, record) for one in document.attacks]
    held = "each for one attack alone" if isinstance(document, Audit) and document.by_mirror else TOGETHER
    yield f"% needs \\usepackage{{booktabs}}; in parentheses 95 % intervals, {held}\n"
    yield "% passes: forward+backward a picture\n"
    yield f"\\begin{{tabular}}{{l{'c' * (len(heads) - 2)}r}}\n\\toprule\n{' & '.join(heads)} \\\\\n\\midrule\n"
    for row in rows:
        # the rule or the line break before it would take a bracket that follows for its own argument
        yield f"{{}}{' & '.join(row)} \\\\\n"
    yield "\\bottomrule\n\\end{tabular}\n"


def latex(text: str) -> str:
    """A text as TeX prints it, in one line and without what cannot be printed."""
    printed = "".join(one if one.isprintable() else " " for one in text)
    return "".join(ESCAPED.get(one, one) for one in " ".join(printed.split()))


def _with_labels(rows: Iterator[list[Cell]], record: RunRecord) -> Iterator[list[Cell]]:
    back = backward(record)
    yield ["called", *next(rows), "backward_passes"]
    for row in rows:
        yield [record.labels.get(str(row[1]), str(row[0])), *row, back.get(str(row[1]))]


def _evaluated(document: Evaluation) -> Iterator[list[Cell]]:
    ends = ("", "_low", "_high")
    areas = ["auc", "auc_low", "auc_high", "auc_low_alone", "auc_high_alone", "asr"]
    rates = [f"tpr_at_{level}{end}" for level in LEVELS for end in ends]
    yield ["name", "attack", *areas, *rates, "members", "unseen", "not_scored", "passes", "seconds"]
    for one in document.attacks:
        told = [one.auc, *_ends(one.auc_ci), *_ends(one.auc_ci_alone), one.asr]
        for level in LEVELS:
            rate = one.tpr_at_fpr[level]
            told += [rate.tpr, *_ends(rate.tpr_ci)]
        counts = [one.n_members, one.n_unseen, one.n_not_scored]
        yield [one.name, one.repr, *told, *counts, one.nfe_per_picture, one.seconds_per_picture]


def _audited(document: Audit) -> Iterator[list[Cell]]:
    areas = ["auc", "auc_low", "auc_high", "p_value", "p_value_holm"]
    yield ["name", "attack", *areas, "suspects", "unseen", "not_scored", "passes", "seconds"]
    for one in document.attacks:
        told = [one.set.effect, *_ends(one.set.effect_ci), one.set.p_value, one.set.p_value_holm]
        counts = [one.n_suspects, one.n_unseen, one.n_not_scored]
        yield [one.name, one.repr, *told, *counts, one.nfe_per_picture, one.seconds_per_picture]


def _mirrored(document: Audit) -> Iterator[list[Cell]]:
    areas = ["view", "ahead", "n", "share", "share_low", "share_high", "p_value", "p_value_holm", "odds"]
    yield ["name", "attack", *areas, "suspects", "not_scored", "passes", "seconds"]
    for one in document.attacks:
        told: list[Cell] = [None] * len(areas)
        if (test := one.mirror) is not None:
            told = [test.view, test.n_positive, test.n, test.share, *test.share_ci]
            told += [test.p_value, test.p_value_holm, test.odds]
        counts = [one.n_suspects, one.n_not_scored]
        yield [one.name, one.repr, *told, *counts, one.nfe_per_picture, one.seconds_per_picture]


def _ends(interval: Ends) -> Sequence[float | None]:
    return (None, None) if interval is None else interval


def _evaluated_cells(one: AttackEvaluation, record: RunRecord) -> list[str]:
    rates = [_rate(one.tpr_at_fpr[level]) for level in ("0.01", "0.001")]
    return [_called(one, record), _with_ends(one.auc, one.auc_ci), *rates, _passes(one, record)]


def _audited_cells(one: AttackAudit, record: RunRecord) -> list[str]:
    p = [NOT_ESTIMABLE if p is None else f"{p:.2g}" for p in (one.set.p_value, one.set.p_value_holm)]
    return [_called(one, record), _with_ends(one.set.effect, one.set.effect_ci), *p, _passes(one, record)]


def _mirrored_cells(one: AttackAudit, record: RunRecord) -> list[str]:
    told = [NOT_ESTIMABLE] * 5
    if (test := one.mirror) is not None:
        p = [f"{p:.2g}" for p in (test.p_value, test.p_value_holm)]
        told = [f"{test.n_positive} of {test.n}", _with_ends(test.share, test.share_ci), *p, f"{test.odds:.3g}"]
    return [_called(one, record), *told, _passes(one, record)]


def _called(one: AttackEvaluation | AttackAudit, record: RunRecord) -> str:
    return latex(record.labels.get(one.repr, one.name))


def _rate(rate: Rate) -> str:
    return _with_ends(rate.tpr, rate.tpr_ci) if rate.estimable else NOT_ESTIMABLE


def _with_ends(value: float | None, ends: Ends) -> str:
    if value is None:
        return NOT_ESTIMABLE
    return f"{value:.3f}" + ("" if ends is None else f" ({ends[0]:.3f}--{ends[1]:.3f})")


def _passes(one: AttackEvaluation | AttackAudit, record: RunRecord) -> str:
    if one.nfe_per_picture is None:
        return NOT_ESTIMABLE
    back = backward(record).get(one.repr)
    return f"{one.nfe_per_picture:.0f}{f'+{back}' if back else ''}"


def backward(record: RunRecord) -> dict[str, int]:
    """repr of an attack -> backward passes a picture, as planned; of a table of scores nothing is known."""
    return {cost.attack: cost.backward_per_picture for cost in record.costs}
