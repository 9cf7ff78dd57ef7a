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
    if run.kind != "evaluate" or not run.attacks:
        return []
    _, entry, _ = entries(run)[0]
    auc = entry.get("auc")
    stats = [Stat("AUC", words.number(auc), words.pairs(auc, entry.get("auc_ci")))]
    for level in LEVELS:
        value, meaning = words.caught(level, rate(entry, level))
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


def sets(run: RunFolder) -> list[tuple[str, int, int, int]]:
    """(name of the set, given, scored by the first attack, left out) for each set of the run."""
    result = []
    for name in ("suspect", "member", "unseen"):
        rows = [row for row in run.inventory if row.get("set") == name]
        scored = len(run.attacks[0].rows(name)) if run.attacks else 0
        listed = int((run.attacks[0].sets == name).sum()) if run.attacks else 0
        given = len(rows) or listed
        if given:
            result.append((words.SETS[name], given, scored, given - scored))
    return result


def excluded(run: RunFolder) -> list[tuple[str, str, str]]:
    """(picture, set, reason) of every picture that could not be used or, by some attack, not be scored."""
    rows = [(row["picture"], row["set"], row["reason"]) for row in run.inventory if row.get("reason")]
    known = {row[:2] for row in rows}
    for attack, _, label in entries(run):
        for i in np.flatnonzero(~np.isfinite(attack.scores)):
            if (attack.pictures[i], attack.sets[i]) not in known:
                reason = f"not scored by {label}: {attack.reasons[i] or 'no reason recorded'}"
                rows.append((attack.pictures[i], str(attack.sets[i]), reason))
    return rows


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
        heads = ["Attack", "p-value of the set", "Suspects", "Unseen", "Not scored"]
    else:
        heads = ["Attack", "AUC", "95 % interval", "TPR at 1 % FPR", "TPR at 0.1 % FPR"]
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
        return [label, words.p_value((entry.get("set") or {}).get("p_value")), *counts, *costs]
    rates = [words.rate(level, rate(entry, level)) for level in LEVELS]
    auc = [words.number(entry.get("auc")), words.interval(entry.get("auc_ci"))]
    return [label, *auc, *rates, words.share(entry.get("asr")), *counts, *costs]
