"""What the sections of the page print: facts, counts, charts and the table of attacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from trainedon.report import words
from trainedon.report.charts import histogram
from trainedon.report.folder import Attack, RunFolder
from trainedon.report.roc import MOST_CURVES, roc, swatch

MOST_EXCLUDED = 200  # rows of the table of excluded pictures
LEVELS = (0.01, 0.001)


@dataclass(frozen=True)
class Stat:
    """One number printed large, with its meaning."""

    label: str
    value: str
    meaning: str


def entries(run: RunFolder) -> list[tuple[Attack, dict[str, Any], str]]:
    """(scores, statistics, label) of each attack, in the order of the document; labels tell equal names apart."""
    known = {entry.get("repr") or entry.get("name"): entry for entry in run.document.get("attacks") or []}
    names = [attack.name for attack in run.attacks]
    result = []
    for i, attack in enumerate(run.attacks):
        entry = known.get(attack.repr) or (known.get(attack.name) if names.count(attack.name) == 1 else None) or {}
        label = attack.name if names.count(attack.name) == 1 else f"{attack.name} {names[: i + 1].count(attack.name)}"
        result.append((attack, entry, words.shorten(label, 32)))
    return result


def headline(run: RunFolder) -> list[Stat]:
    """The large numbers of an evaluation: those of the first attack."""
    if run.kind != "evaluate":
        return []
    _, entry, _ = entries(run)[0]
    auc = entry.get("auc")
    stats = [Stat("AUC", words.number(auc), words.pairs(auc, entry.get("auc_ci")))]
    for level in LEVELS:
        value, meaning = words.caught(level, rate(entry, level), len(run.attacks[0].unseen))
        stats.append(Stat(f"TPR at {100 * level:g} % FPR", value, meaning))
    return stats


def rate(entry: dict[str, Any], level: float) -> dict[str, Any] | None:
    """The record of TPR at FPR <= `level` in one attack's statistics."""
    return (entry.get("tpr_at_fpr") or {}).get(f"{level:g}")


def facts(run: RunFolder) -> list[tuple[str, str, str]]:
    """(label, text, addition in small print) about model and run."""
    model = run.run.get("model") or {}
    digest = str(model.get("digest") or "").removeprefix("sha256:")
    size = model.get("parameters")
    about = [model.get("family"), words.parameters(size) if size else None]
    shape = model.get("shape") or []
    makes = f"{shape[2]} × {shape[1]} pixels, {words.CHANNELS.get(shape[0], 'colour')}" if len(shape) == 3 else None
    conditioning = model.get("conditioning")
    conditioned = "no conditioning" if conditioning == "none" else f"conditioned on {conditioning}"
    details = [makes, model.get("prediction") and f"{model['prediction']} prediction", conditioning and conditioned]
    timing = words.moment(run.run.get("finished") or run.run.get("started"))
    return [
        ("Model", words.shorten(str(model.get("name") or "not recorded")), f"digest {digest[:12]}" if digest else ""),
        ("Kind", ", ".join(str(part) for part in about if part) or "not recorded", ", ".join(p for p in details if p)),
        ("Made", timing, f"protocol {run.document.get('protocol') or 'not recorded'}"),
    ]


def costs(run: RunFolder) -> list[str]:
    """What each attack asks of the network for one picture, as planned."""
    labels = {attack.repr: label for attack, _, label in entries(run)}
    lines = []
    for cost in run.run.get("costs") or []:
        label = labels.get(cost.get("attack"), cost.get("attack"))
        forward, backward = cost.get("forward_per_picture"), cost.get("backward_per_picture")
        also = f" and {words.count(backward)} backward" if backward else ""
        lines.append(f"{label}: {words.count(forward)} forward{also} passes of the network a picture")
    return lines


def inputs(run: RunFolder) -> list[tuple[str, str]]:
    """(set, where its pictures came from) as the run recorded it."""
    result = []
    for name, given in (run.run.get("inputs") or {}).items():
        source = given if isinstance(given, dict) else {"path": given}
        digest = str(source.get("digest") or "").removeprefix("sha256:")[:12]
        where = words.shorten(str(source.get("path") or "not recorded"), 160)
        result.append((f"{name} pictures", f"{where}, digest {digest}" if digest else where))
    return result


def sets(run: RunFolder) -> list[tuple[str, int, int, int]]:
    """(name of the set, given, scored by the first attack, left out) for each set of the run."""
    first = run.attacks[0]
    given = {name: int((first.sets == name).sum()) for name in (run.asked, "unseen")}
    scored = {name: len(first.rows(name)) for name in given}
    return [(words.SETS[name], n, scored[name], n - scored[name]) for name, n in given.items()]


def excluded(run: RunFolder) -> list[tuple[str, str, str]]:
    """(picture, set, reason) of every picture without a score; `reason` names the attack where only some failed."""
    failed: dict[tuple[str, str, str], list[str]] = {}
    for attack, _, label in entries(run):
        for i in np.flatnonzero(~np.isfinite(attack.scores)):
            key = (attack.pictures[i], str(attack.sets[i]), attack.reasons[i] or "no reason recorded")
            failed.setdefault(key, []).append(label)
    every = len(run.attacks)
    return [
        (name, set_name, reason if len(labels) == every else f"{', '.join(labels)}: {reason}")
        for (name, set_name, reason), labels in failed.items()
    ]


def histograms(run: RunFolder) -> list[tuple[str, Markup]]:
    """(label, chart) for each attack: how its scores spread over the sets."""
    charts = []
    for attack, _, label in entries(run):
        asked, unseen = attack.of(run.asked), attack.unseen
        if len(asked) or len(unseen):
            title = f"Scores of {label}"
            sets = [(words.SETS[run.asked], "m", asked), (words.SETS["unseen"], "u", unseen)]
            charts.append((label, histogram(sets, title)))
    return charts


@dataclass(frozen=True)
class Rocs:
    """Both ROC charts of an evaluation with their legend, (swatch, label, AUC) a curve."""

    linear: Markup
    log: Markup
    legend: list[tuple[Markup, str, str]]
    left_out: int
    n_unseen: int


def rocs(run: RunFolder) -> Rocs | None:
    """The ROC of every attack in an evaluation, or None where there is nothing to draw."""
    if run.kind != "evaluate":
        return None
    known = [
        (label, attack.of("member"), attack.unseen, entry)
        for attack, entry, label in entries(run)
        if len(attack.of("member")) and len(attack.unseen)
    ]
    if not known:
        return None
    curves = [row[:3] for row in known]
    legend = [(swatch(i), row[0], words.number(row[3].get("auc"))) for i, row in enumerate(known[:MOST_CURVES])]
    left_out = max(0, len(known) - MOST_CURVES)
    return Rocs(roc(curves, log=False), roc(curves, log=True), legend, left_out, max(len(row[2]) for row in known))


def attacks(run: RunFolder) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The table of attacks: column heads, and (repr, cells) a row."""
    rows = [(attack.repr, _cells(run, attack, entry, label)) for attack, entry, label in entries(run)]
    if run.kind == "audit":
        heads = ["Attack", "p-value of the set", "corrected (Holm)", "Suspect above unseen", "Suspects", "Unseen"]
        heads.append("Not scored")
    else:
        heads = ["Attack", "AUC (95 % interval)", "TPR at 1 % FPR", "TPR at 0.1 % FPR"]
        heads += ["Best accuracy (optimistic)", "Training", "Unseen", "Not scored"]
    return [*heads, "NFE a picture", "Seconds a picture"], rows


def _cells(run: RunFolder, attack: Attack, entry: dict[str, Any], label: str) -> list[str]:
    asked, unseen = len(attack.rows(run.asked)), len(attack.rows("unseen"))
    lost = entry.get("n_not_scored")
    lost = int((~np.isfinite(attack.scores)).sum()) if lost is None else lost
    nfe, seconds = entry.get("nfe_per_picture"), entry.get("seconds_per_picture")
    counts = [words.count(asked), words.count(unseen), words.count(lost)]
    costs = [
        words.number(attack.nfe if nfe is None else nfe, 4),
        words.number(attack.seconds if seconds is None else seconds, 2),
    ]
    if run.kind == "audit":
        found = entry.get("set") or {}
        tests = [words.p_value(found.get("p_value")), words.p_value(found.get("p_value_holm"))]
        return [label, *tests, words.share(found.get("effect")), *counts, *costs]
    rates = [words.rate(level, rate(entry, level), unseen) for level in LEVELS]
    auc = words.number(entry.get("auc"))
    auc += f" ({words.interval(entry['auc_ci'])})" if entry.get("auc_ci") else ""
    return [label, auc, *rates, words.share(entry.get("asr")), *counts, *costs]
