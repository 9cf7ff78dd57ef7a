"""What the sections of the page print: facts, counts, flags and charts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from trainedon import evidence
from trainedon.report import words
from trainedon.report.attacks import LEVELS, Entry, entries, ranked, rate
from trainedon.report.charts import histogram
from trainedon.report.folder import RunFolder
from trainedon.report.roc import MOST_CURVES, roc, swatch

MOST_EXCLUDED = 200  # rows of the table of excluded pictures


@dataclass(frozen=True)
class Stat:
    """One number printed large, with its meaning."""

    label: str
    value: str
    meaning: str


def headline(run: RunFolder) -> list[Stat]:
    """The large numbers of an evaluation: those of the first attack."""
    if run.kind != "evaluate":
        return []
    found = entries(run)[0].found
    auc = found.get("auc")
    stats = [Stat("AUC", words.number(auc), words.pairs(auc, found.get("auc_ci")))]
    for level in LEVELS:
        value, meaning = words.caught(level, rate(found, level), len(run.attacks[0].unseen))
        stats.append(Stat(f"TPR at {100 * level:g} % FPR", value, meaning))
    return stats


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
    given = {name: int(first.given(name).sum()) for name in (run.asked, "unseen")}
    scored = {name: len(first.rows(name)) for name in given}
    return [(words.SETS[name], n, scored[name], n - scored[name]) for name, n in given.items()]


@dataclass(frozen=True)
class Excluded:
    """Pictures without a score: how many, and (picture, set, reason) of the first of them. `reason` names the attack
    where only some failed."""

    n: int
    rows: list[tuple[str, str, str]]


def excluded(run: RunFolder) -> Excluded:
    """Every picture without a score, in the order of attacks and rows; one counts once for each of its reasons."""
    every = entries(run)
    failed = [np.flatnonzero(~np.isfinite(entry.attack.scores)) for entry in every]
    by = np.repeat(np.arange(len(every)), [len(rows) for rows in failed])
    rows = np.concatenate(failed)
    # What a row is told by are numbers: of many pictures no text is made but of those that are shown.
    told = np.concatenate([entry.attack.told_by(part) for entry, part in zip(every, failed)], axis=1)
    _, first, kind = np.unique(told, axis=1, return_index=True, return_inverse=True)
    kind = kind.reshape(-1)
    shown = []
    for at in np.sort(first)[:MOST_EXCLUDED].tolist():
        attack, row = every[by[at]].attack, int(rows[at])
        labels = [every[i].label for i in by[kind == kind[at]].tolist()]
        reason = attack.reason(row) or "no reason recorded"
        if len(labels) < len(every):
            reason = f"{', '.join(labels)}: {reason}"
        shown.append((attack.picture(row), attack.set(row), reason))
    return Excluded(len(first), shown)


def passed_over(run: RunFolder) -> list[evidence.PassedOver]:
    """What was passed over in the sources of the sets, of which nothing is in any number."""
    pictures = run.path / "pictures.parquet"
    return evidence.passed_over(pictures, (run.asked, "unseen")) if pictures.is_file() else []


def histograms(run: RunFolder) -> list[tuple[str, Markup]]:
    """(label, chart) for each attack: how its scores spread over the sets. The first attack named comes first."""
    first, *others = entries(run)
    charts = []
    for entry in (first, *sorted(others, key=lambda entry: entry.number)):
        asked, unseen = entry.attack.of(run.asked), entry.attack.unseen
        if len(asked) or len(unseen):
            sets = [(words.SETS[run.asked], "m", asked), (words.SETS["unseen"], "u", unseen)]
            charts.append((entry.label, histogram(sets, f"Scores of {entry.label}")))
    return charts


def flags(run: RunFolder) -> list[tuple[str, list[str], str, str]]:
    """(code, reasons, meaning, remedy) of each kind of flag: many attacks may raise the same one."""
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for flag in run.document.get("flags") or []:
        key = (flag.get("code"), flag.get("meaning"), flag.get("remedy"))
        kinds.setdefault(key, []).append(flag.get("raised_because"))
    return [(code, reasons, meaning, remedy) for (code, meaning, remedy), reasons in kinds.items()]


def choices(run: RunFolder) -> list[tuple[str, str]]:
    """Every setting, without the attacks, which the page lists one by one."""
    made = run.run.get("choices") or {}
    return words.flat({name: value for name, value in made.items() if name != "attacks"})


@dataclass(frozen=True)
class Stroke:
    """One line of the legend."""

    entry: Entry
    swatch: Markup
    auc: str
    tpr: str


@dataclass(frozen=True)
class Rocs:
    """Both ROC charts of an evaluation with their legend, the highest AUC first."""

    linear: Markup
    log: Markup
    legend: tuple[Stroke, ...]
    left_out: tuple[str, ...]  # labels
    n_unseen: int


def rocs(run: RunFolder) -> Rocs | None:
    """The ROC of every attack in an evaluation, or None where there is nothing to draw."""
    if run.kind != "evaluate":
        return None
    known = [entry for entry in ranked(run) if len(entry.attack.of("member")) and len(entry.attack.unseen)]
    if not known:
        return None
    curves = [(entry.label, entry.attack.of("member"), entry.attack.unseen) for entry in known[:MOST_CURVES]]
    legend = [
        Stroke(
            entry,
            swatch(i),
            words.number(entry.found.get("auc")),
            words.share((rate(entry.found, LEVELS[0]) or {}).get("tpr")),
        )
        for i, entry in enumerate(known[:MOST_CURVES])
    ]
    return Rocs(
        linear=roc(curves, log=False),
        log=roc(curves, log=True),
        legend=tuple(legend),
        left_out=tuple(entry.label for entry in known[MOST_CURVES:]),
        n_unseen=max(len(entry.attack.unseen) for entry in known),
    )
