"""What the sections of the page print: facts, counts, flags and charts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from trainedon import evidence, run_files
from trainedon.evidence.protocol.verdict import sentence
from trainedon.evidence.statistics.thresholds import least_estimable
from trainedon.reporting import words
from trainedon.reporting.attack_table import LEVELS, TableEntry, by_mirror, entries, ranked, strongest
from trainedon.reporting.charts import histogram
from trainedon.reporting.roc_chart import MOST_CURVES, roc, swatch
from trainedon.reporting.run_folder import RunFolder

MOST_ALIKE = 3  # pairs of pictures named beside a flag
MOST_EXCLUDED = 200  # rows of the table of excluded pictures


@dataclass(frozen=True)
class Stat:
    """One number printed large, with its meaning."""

    label: str
    value: str
    meaning: str


def headline(run: RunFolder) -> list[Stat]:
    """The large numbers of an evaluation: those of the strongest attack, by AUC, with the intervals that hold for all
    attacks together."""
    if run.kind != "evaluate":
        return []
    best = strongest(run)
    stats = [Stat("AUC", words.number(best.auc), words.pairs(best.auc, best.auc_ci))]
    for level in LEVELS:
        value, meaning = words.caught(level, best.rate(level), len(best.attack.unseen))
        stats.append(Stat(f"TPR at {100 * float(level):g} % FPR", value, meaning))
    return stats


def verdict(run: RunFolder) -> str:
    """What an evaluation says first, with the labels of the page; nothing of an audit and under earlier rules."""
    document = run.document
    if not isinstance(document, evidence.Evaluation) or document.verdict is None:
        return ""
    return sentence(document, {entry.found.repr: entry.label for entry in entries(run)})


def purpose(run: RunFolder) -> str:
    """The question that a run was made for: `sweep` or `peaks`, else its kind."""
    if run.record.sweep:
        return "sweep"
    return "peaks" if run.record.study else run.kind


def facts(run: RunFolder) -> list[tuple[str, str, str]]:
    """(label, text, addition in small print) about model and run."""
    model = run.record.model
    digest = (model.digest or "").removeprefix("sha256:")
    family = model.family and Markup('<span translate="no">{}</span>').format(model.family)
    about = [family, words.parameters(model.parameters) if model.parameters else None]
    shape, conditioning = model.shape or [], model.conditioning
    makes = f"{shape[2]} × {shape[1]} pixels, {words.CHANNELS.get(shape[0], 'colour')}." if len(shape) == 3 else None
    conditioned = "Without conditioning." if conditioning == "none" else f"Conditioned on {conditioning}."
    details = [makes, model.prediction and f"Predicts {model.prediction}.", conditioning and conditioned]
    return [
        ("Model", words.shorten(model.name or "not recorded"), f"digest {digest[:12]}" if digest else ""),
        ("Kind", Markup(", ").join(filter(None, about)) or "not recorded", " ".join(filter(None, details))),
        ("Made", words.moment(run.record.finished or run.record.started), f"protocol {run.document.protocol}"),
    ]


def inputs(run: RunFolder) -> list[tuple[str, str]]:
    """(set, where its pictures came from) as the run recorded it."""
    result = []
    for name, source in run.record.inputs.items():
        digest = (source.digest or "").removeprefix("sha256:")[:12]
        where = words.shorten(source.path or "not recorded", 160)
        result.append((_called_source(run, name), f"{where}, digest {digest}" if digest else where))
    return result


def _called_source(run: RunFolder, name: str) -> str:
    return "reference pictures" if name == "unseen" and by_mirror(run) else f"{name} pictures"


def sets(run: RunFolder) -> list[tuple[str, int, int, int]]:
    """(name of the set, given, scored by the first attack, left out) for each set of the run."""
    first = run.attacks[0]
    given = {name: int(first.given(name).sum()) for name in (run.asked, "unseen")}
    scored = {name: len(first.rows(name)) for name in given}
    alone = by_mirror(run) or run.record.choices.lead == "twins"  # pictures are compared with others of themselves
    return [(called(run, name), n, scored[name], n - scored[name]) for name, n in given.items() if n or not alone]


def called(run: RunFolder, name: str) -> str:
    """What a set of the run is called. Unseen pictures are no more than a reference where no picture is compared with
    them."""
    return words.called(name, by_view=by_mirror(run))


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
    # Rows are compared by numbers, so that of many pictures no text is made but of those that are shown.
    fingerprints = np.concatenate([entry.attack.fingerprints(part) for entry, part in zip(every, failed)], axis=1)
    _, first, kind = np.unique(fingerprints, axis=1, return_index=True, return_inverse=True)
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
    pictures = run.path / run_files.PICTURES
    return evidence.passed_over(pictures, (run.asked, "unseen")) if pictures.is_file() else []


def histograms(run: RunFolder) -> list[tuple[str, Markup]]:
    """(label, chart) for each attack: how its scores spread over the sets. The first attack named comes first."""
    first, *others = entries(run)
    charts = []
    for entry in (first, *sorted(others, key=lambda entry: entry.number)):
        asked, unseen = entry.attack.of(run.asked), entry.attack.unseen
        if len(asked) or len(unseen):
            sets = [(called(run, run.asked), "m", asked), (called(run, "unseen"), "u", unseen)]
            charts.append((entry.label, histogram(sets, f"Scores of {entry.label}")))
    return charts


def flags(run: RunFolder) -> list[tuple[str, list[str], str, str]]:
    """(code, reasons, meaning, remedy) of each kind of flag: many attacks may raise the same one."""
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for flag in run.document.flags:
        kinds.setdefault((flag.code, flag.meaning, flag.remedy), []).append(flag.raised_because)
    told = [(code, reasons, meaning, remedy) for (code, meaning, remedy), reasons in kinds.items()]
    return [(code, [*reasons, *_alike(run, code)], meaning, remedy) for code, reasons, meaning, remedy in told]


def _alike(run: RunFolder, code: str) -> list[str]:
    """Which pictures look alike, where that is a flag: a sentence for each of a few that are known by name."""
    if code not in ("near-duplicates", "near-duplicates-across"):
        return []
    pairs = run.document.duplicates.examples[:MOST_ALIKE]
    said = Markup("Such as {} and {}.")
    return [said.format(words.named(one.picture), words.named(one.near)) for one in pairs]


def choices(run: RunFolder) -> list[tuple[str, str]]:
    """Every setting, without the attacks, which the page lists one by one."""
    made = run.record.choices.told()
    return words.flat({name: value for name, value in made.items() if name != "attacks"})


@dataclass(frozen=True)
class Stroke:
    """One line of the legend."""

    entry: TableEntry
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
    least: float  # the lowest false-positive rate that can be estimated


def rocs(run: RunFolder) -> Rocs | None:
    """The ROC of every attack in an evaluation, or None where there is nothing to draw."""
    if run.kind != "evaluate":
        return None
    known = [entry for entry in ranked(run) if len(entry.attack.of("member")) and len(entry.attack.unseen)]
    if not known:
        return None
    curves = [(entry.label, entry.attack.of("member"), entry.attack.unseen) for entry in known[:MOST_CURVES]]
    rates = [entry.rate(LEVELS[0]) for entry in known]
    legend = [
        Stroke(entry, swatch(i), words.number(entry.auc), words.share(None if rate is None else rate.tpr))
        for i, (entry, rate) in enumerate(zip(known[:MOST_CURVES], rates))
    ]
    return Rocs(
        linear=roc(curves, log=False),
        log=roc(curves, log=True),
        legend=tuple(legend),
        left_out=tuple(entry.label for entry in known[MOST_CURVES:]),
        n_unseen=max(len(entry.attack.unseen) for entry in known),
        least=least_estimable(max(len(entry.attack.unseen) for entry in known)),
    )
