"""The section on a sweep: for every question a chart, what may be said of the best setting, and a table of all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from trainedon import run_files
from trainedon.evidence.studies.sweep import Behind, Group, Point, Sweep, Value, named
from trainedon.reporting import words
from trainedon.reporting.charts import limits, line, path, svg, text, ticks
from trainedon.reporting.roc_chart import COLOURS, MOST_CURVES, stroke, swatch
from trainedon.reporting.run_folder import RunFolder, read_document

SIZE = (400, 268)
LEFT, RIGHT, TOP, BASE = 40.0, 388.0, 26.0, 222.0
ROW = 38.0  # of a chart of words: a label, and below it a dot on its interval
LABEL = 44  # characters
NEAR = 26.0  # labels of an axis that lie closer than this would touch
SPREAD = 8.0  # at the least, a logarithmic axis spans this factor
Place = Callable[[float], float]


@dataclass(frozen=True)
class Measure:
    """A number that charts show, and what guessing would give."""

    name: str
    title: str
    chance: float
    show: Callable[[float | None], str]


AUC = Measure("auc", "AUC", 0.5, words.number)
TPR = Measure("tpr_1", "TPR at 1 % FPR", 0.01, words.share)


@dataclass(frozen=True)
class SweepChart:
    """One measure under every setting that has it."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class SettingLine:
    """One setting in the table, as text. behind: how far the best is ahead; p: of that difference."""

    values: tuple[str, ...]
    auc: tuple[str, str]
    tpr: tuple[str, str]
    passes: str
    behind: str
    p: str
    best: bool
    clear: bool


@dataclass(frozen=True)
class QuestionSection:
    """One question."""

    title: str
    question: str
    sentence: str
    charts: tuple[SweepChart, ...]
    keys: tuple[tuple[Markup, str], ...]  # of the lines, where there are several
    left_out: int  # lines for which there are no more strokes
    heads: tuple[str, ...]
    lines: tuple[SettingLine, ...]
    pairs: int


@dataclass(frozen=True)
class SweepSection:
    """What the part of the page shows."""

    attack: str
    sections: tuple[QuestionSection, ...]
    notes: tuple[str, ...]
    alpha: str


def sweep(run: RunFolder) -> SweepSection | None:
    """The section of a run that was a sweep, None for any other. Raises UserError when `sweep.json` is damaged."""
    file = run.path / run_files.SWEEP
    if not run.record.sweep or not file.is_file():
        return None
    found = read_document(file, Sweep)
    return SweepSection(
        attack=words.shorten(found.attack, 160),
        sections=tuple(_section(group, found.alpha) for group in found.groups),
        notes=found.notes,
        alpha=words.p_value(found.alpha),
    )


def _section(group: Group, alpha: float) -> QuestionSection:
    series = _series(group)
    labels = [words.shorten(label, LABEL) for label in series]
    return QuestionSection(
        title=group.title,
        question=group.question,
        sentence=group.sentence,
        charts=tuple(
            SweepChart(measure.title, chart(group, measure))
            for measure in (AUC, TPR)
            if any(getattr(point, measure.name) is not None for point in group.points)
        ),
        keys=tuple((swatch(i), label) for i, label in enumerate(labels[:MOST_CURVES])) if len(labels) > 1 else (),
        left_out=max(0, len(labels) - MOST_CURVES),
        heads=group.varied,
        lines=tuple(_line(group, i, alpha) for i in range(len(group.points))),
        pairs=group.pairs,
    )


def chart(group: Group, measure: Measure) -> Markup:
    """The measure against the varied number, or for each of the words; some point has it."""
    series = _series(group)
    if series:
        return _curves(group, measure, dict(list(series.items())[:MOST_CURVES]))
    return _rows(group, measure)


def _series(group: Group) -> dict[str, list[tuple[float, Point]]]:
    """The lines of a chart, label -> (place on the axis, point) from left to right; none where words were varied."""
    along = group.axis if group.axis in group.varied else _longest(group)
    lines: dict[str, list[tuple[float, Point]]] = {}
    for point in group.points:
        x = point.passes if group.axis == "passes" else point.setting.get(group.axis or "")
        if isinstance(x, int | float) and not isinstance(x, bool):
            others = {name: value for name, value in point.setting.items() if name != along}
            lines.setdefault(named(others), []).append((float(x), point))
    return {label: sorted(points, key=lambda one: one[0]) for label, points in lines.items()}


def _longest(group: Group) -> str | None:
    """Where cost is drawn across: the varied number with the most values, along which a line goes."""
    tried = {name: {p.setting.get(name) for p in group.points} for name in group.varied}
    numbers = [name for name, found in tried.items() if all(map(_is_number, found))]
    return max(numbers, key=lambda name: len(tried[name]), default=None)


def _is_number(value: Value | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _curves(group: Group, measure: Measure, series: Mapping[str, Sequence[tuple[float, Point]]]) -> Markup:
    """Points on bars of their intervals, joined along each line."""
    x, x_ticks = _across(sorted({place for points in series.values() for place, _ in points}), group.axis == "passes")
    low, high = _reach(group.points, measure)

    def y(value: float) -> float:
        return BASE - (BASE - TOP) * (value - low) / (high - low)

    body = [text(LEFT - 34, 13, measure.title, "value")]
    for tick in ticks(low, high):
        body += [line(LEFT, y(tick), RIGHT, y(tick), "grid"), text(LEFT - 6, y(tick) + 4, _tick(tick), anchor="end")]
    body += [line(LEFT, BASE, RIGHT, BASE, "axis"), *_guessing(measure, low, high, y)]
    for tick in x_ticks:
        body += [line(x(tick), BASE, x(tick), BASE + 4, "axis"), text(x(tick), BASE + 17, _tick(tick), anchor="middle")]
    across = "network passes a picture" if group.axis == "passes" else words.shorten(group.axis or "", LABEL)
    body.append(text((LEFT + RIGHT) / 2, BASE + 36, across, anchor="middle"))
    asides = [(number - (len(series) - 1) / 2) * min(4.0, 20 / len(series)) for number in range(len(series))]
    for number, (aside, points) in enumerate(zip(asides, series.values())):
        body += _curve([(x(place) + aside, point) for place, point in points], measure, y, number)
    best = None if group.best is None else group.points[group.best]
    value = None if best is None else getattr(best, measure.name)
    if value is not None:
        placed = ((place, aside, point) for aside, points in zip(asides, series.values()) for place, point in points)
        body += [_ring(x(place) + aside, y(value)) for place, aside, point in placed if point is best]
    title = f"{measure.title} against {across}"
    return svg(*SIZE, title, _description(group, measure), body, "sweep")


def _curve(points: Sequence[tuple[float, Point]], measure: Measure, y: Place, number: int) -> list[str]:
    known = [(x, point, getattr(point, measure.name)) for x, point in points]
    known = [one for one in known if one[2] is not None]
    colour = f"s{number % COLOURS}"
    joined = [path([(x, y(value)) for x, _, value in known], stroke(number))] if len(known) > 1 else []
    intervals = [(x, _interval(point, measure)) for x, point, _ in known]
    bars = [_bar(x, x, y(ends[0]), y(ends[1]), colour) for x, ends in intervals if ends]
    dots = [f'<circle cx="{x:.1f}" cy="{y(value):.1f}" r="3.2" class="point {colour}"/>' for x, _, value in known]
    return [*bars, *joined, *dots]


def _rows(group: Group, measure: Measure) -> Markup:
    """One row a setting: its name, and below it a dot on its interval."""
    low, high = _reach(group.points, measure)
    height = TOP + ROW * len(group.points)

    def x(value: float) -> float:
        return 10 + (RIGHT - 58) * (value - low) / (high - low)

    body = [text(4, 13, measure.title, "value")]
    for tick in ticks(low, high):
        body += [line(x(tick), TOP, x(tick), height, "grid"), text(x(tick), height + 16, _tick(tick), anchor="middle")]
    if low < measure.chance < high:
        body += [line(x(measure.chance), TOP, x(measure.chance), height, "chance")]
        body.append(text(max(4.0, x(measure.chance) - 22), height + 32, "guessing"))
    for i, point in enumerate(group.points):
        value, ends, down = getattr(point, measure.name), _interval(point, measure), TOP + ROW * i + 28
        body.append(text(4, down - 13, words.shorten(_label(point, group.varied), LABEL), "value over"))
        if ends:
            body.append(_bar(x(ends[0]), x(ends[1]), down, down, "s0"))
        if value is not None:
            body.append(f'<circle cx="{x(value):.1f}" cy="{down:.1f}" r="3.6" class="point s0"/>')
            body += [_ring(x(value), down)] if i == group.best else []
        body.append(text(RIGHT + 8, down + 4, measure.show(value), "value", "end"))
    return svg(SIZE[0], height + 40, f"{measure.title} of each setting", _description(group, measure), body, "sweep")


def _ring(x: float, y: float) -> str:
    """Around the setting with the highest AUC."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" class="ring"/>'


def _bar(x1: float, x2: float, y1: float, y2: float, colour: str) -> str:
    return line(x1, y1, x2, y2, f"whisker {colour}")


def _interval(point: Point, measure: Measure) -> tuple[float, float] | None:
    ends: tuple[float, float] | None = getattr(point, f"{measure.name}_ci")
    return ends


def _reach(points: Sequence[Point], measure: Measure) -> tuple[float, float]:
    """The ends of the scale: all intervals, and guessing where it is not far off."""
    known = [point for point in points if getattr(point, measure.name) is not None]
    ends = [end for p in known for end in (getattr(p, measure.name), *(_interval(p, measure) or ()))]
    near = [measure.chance] if min(ends) < measure.chance + 0.15 else []
    return limits(np.array([*ends, *near]))


def _guessing(measure: Measure, low: float, high: float, y: Place) -> list[str]:
    if not low < measure.chance < high:
        return []
    at = y(measure.chance)
    return [line(LEFT, at, RIGHT, at, "chance"), text(RIGHT, at - 5, "guessing", "over", "end")]


def _across(values: Sequence[float], round_ticks: bool) -> tuple[Place, list[float]]:
    """Where a number lies across, and which are written there: those that were tried, or round ones.

    Logarithmic for positive numbers that span a wide range, but for shares.
    """
    log = min(values) > 0 and max(values) > 1 and max(values) / min(values) >= SPREAD
    scale: Place = math.log10 if log else float
    low, high = scale(values[0]), scale(values[-1])
    air = 0.06 * (high - low) or 1.0

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (scale(value) - low + air) / (high - low + 2 * air)

    wanted = values
    if round_ticks and log:
        powers = range(math.floor(low), math.ceil(high) + 1)
        wanted = [m * 10.0**e for e in powers for m in (1, 2, 5) if values[0] <= m * 10.0**e <= values[-1]]
    elif round_ticks and values[0] < values[-1]:
        wanted = ticks(values[0], values[-1])
    shown: list[float] = []
    for value in wanted:
        if not shown or x(value) - x(shown[-1]) >= NEAR:
            shown.append(value)
    return x, shown


def _tick(value: float) -> str:
    return f"{value:.5g}".replace("-", "−")


def _label(point: Point, varied: Sequence[str]) -> str:
    """A setting as short as it can be told: the value alone where one thing was varied."""
    if len(varied) == 1 and not isinstance(point.setting.get(varied[0]), bool):
        return _value(point.setting.get(varied[0]))
    return named(point.setting)


def _value(value: Value | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "—" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _description(group: Group, measure: Measure) -> str:
    """The chart in words, for those who do not see it."""
    said = [f"{named(point.setting)}: {measure.show(getattr(point, measure.name))}" for point in group.points]
    return f"{measure.title} of {'; '.join(said)}. Bars are 95 % intervals, each for one setting alone."


def _line(group: Group, i: int, alpha: float) -> SettingLine:
    point, best = group.points[i], i == group.best
    behind: Behind | None = point.behind
    corrected = None if behind is None else behind.p_value_holm
    return SettingLine(
        values=tuple(words.shorten(_value(point.setting.get(name)), LABEL) for name in group.varied),
        auc=(words.number(point.auc), words.interval(point.auc_ci) if point.auc_ci else ""),
        tpr=(words.share(point.tpr_1), words.interval(point.tpr_1_ci, words.share) if point.tpr_1_ci else ""),
        passes=words.count(point.passes),
        behind="highest" if best else "—" if behind is None else words.number(behind.difference, 2),
        p="" if corrected is None else f"p {words.p_value(corrected)}",
        best=best,
        clear=corrected is not None and corrected < alpha,
    )
