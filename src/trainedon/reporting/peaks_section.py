"""The section on the peaks hypothesis: a chart for each way of moving the pictures, and a table of all measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from trainedon import run_files
from trainedon.evidence.studies.peaks import Level, Measurement, Peaks
from trainedon.reporting import words
from trainedon.reporting.charts import limits, line, path, svg, text, ticks
from trainedon.reporting.run_folder import RunFolder, read_document

SIZE = (340, 262)
LEFT, RIGHT, TOP, BASE = 46.0, 328.0, 30.0, 214.0
SETS = (("member", "m", "training"), ("unseen", "u", "unseen"))
MOVES = {
    "noise": ("Noise", "fine grain is laid over the picture"),
    "smooth": ("Blotches", "light and colour shift softly, over whole parts of the picture"),
    "fade": ("Fading", "the picture loses contrast, towards its own mean colour"),
}


@dataclass(frozen=True)
class PeaksChart:
    """One way of moving the pictures."""

    title: str
    meaning: str
    svg: Markup


@dataclass(frozen=True)
class MeasurementLine:
    """One measurement in the table, as text."""

    name: str
    member: str
    unseen: str
    auc: str
    interval: str
    p: str
    speaks: bool


@dataclass(frozen=True)
class PeaksSection:
    """What the section shows."""

    sentence: str
    charts: tuple[PeaksChart, ...]
    lines: tuple[MeasurementLine, ...]
    alpha: str
    fades: bool


def peaks(run: RunFolder) -> PeaksSection | None:
    """The section of a run that was such a study, None for any other. Raises UserError when `peaks.json` is damaged."""
    file = run.path / run_files.PEAKS
    if not run.record.study or not file.is_file():
        return None
    found = read_document(file, Peaks)
    moved: dict[str, list[Measurement]] = {}
    for one in found.measurements:
        if one.move is not None and one.radius is not None:
            moved.setdefault(one.move, []).append(one)
    drawn = {move: rows for move, rows in moved.items() if any(row.member.n and row.unseen.n for row in rows)}
    return PeaksSection(
        sentence=found.sentence,
        charts=tuple(PeaksChart(*MOVES.get(move, (move, "")), chart(move, rows)) for move, rows in drawn.items()),
        lines=tuple(_line(one, found.alpha) for one in found.measurements),
        alpha=words.p_value(found.alpha),
        fades="fade" in drawn,
    )


def chart(move: str, measurements: Sequence[Measurement]) -> Markup:
    """Mean scores of both sets over the radius, at equal steps, with their intervals. At least one mean is known."""
    rows = sorted(measurements, key=lambda one: one.radius or 0.0)
    levels = [getattr(row, name) for row in rows for name, _, _ in SETS]
    ends = [end for level in levels for end in (level.mean, *(level.mean_ci or ())) if end is not None]
    low, high = limits(np.array([0.0, *ends]))
    xs = np.linspace(LEFT, RIGHT, 2 * len(rows) + 1)[1::2]

    def y(score: float) -> float:
        return BASE - (BASE - TOP) * (score - low) / (high - low)

    body = []
    for tick in ticks(low, high):
        body.append(line(LEFT, y(tick), RIGHT, y(tick), "axis" if tick == 0 else "grid"))
        body.append(text(LEFT - 6, y(tick) + 4, f"{tick:.5g}".replace("-", "−"), anchor="end"))
    for x, row in zip(xs, rows):
        body.append(text(x, BASE + 16, f"{row.radius:g}", anchor="middle"))
    body.append(text((LEFT + RIGHT) / 2, BASE + 36, "distance moved", anchor="middle"))
    for number, (name, kind, label) in enumerate(SETS):
        body += _series([getattr(row, name) for row in rows], xs + 5 * number - 2.5, y, kind)
        body += _key(LEFT + 110 * number, kind, label)
    return svg(*SIZE, f"Rise of the error, {MOVES.get(move, (move,))[0].lower()}", _description(rows), body, "peaks")


def _series(levels: Sequence[Level], xs: np.ndarray, y: Callable[[float], float], kind: str) -> list[str]:
    """Dots at the means, joined, on bars of their intervals."""
    known = [(x, level.mean, level.mean_ci) for x, level in zip(xs, levels) if level.mean is not None]
    bars = [line(x, y(ends[0]), x, y(ends[1]), f"needle {kind}") for x, _, ends in known if ends]
    dots = [f'<circle cx="{x:.1f}" cy="{y(mean):.1f}" r="3.5" class="dot {kind}"/>' for x, mean, _ in known]
    joined = [path([(x, y(mean)) for x, mean, _ in known], f"rug {kind}")] if len(known) > 1 else []
    return [*joined, *bars, *dots]


def _key(x: float, kind: str, label: str) -> list[str]:
    dot = f'<circle cx="{x + 11:.1f}" cy="12" r="3.5" class="dot {kind}"/>'
    return [line(x, 12, x + 22, 12, f"rug {kind}"), dot, text(x + 28, 16, label, "value")]


def _description(rows: Sequence[Measurement]) -> str:
    """The chart in words, for those who do not see it."""
    said = [
        f"at {row.radius:g} training {words.number(row.member.mean)}, unseen {words.number(row.unseen.mean)}"
        for row in rows
    ]
    return f"Mean rise by distance moved: {'; '.join(said)}. Bars are 95 % intervals of the means."


def _line(one: Measurement, alpha: float) -> MeasurementLine:
    title = MOVES.get(one.move or "", (one.move,))[0]
    return MeasurementLine(
        name=f"Curvature, timestep {one.t}" if one.move is None else f"{title}, {one.radius or 0:g}",
        member=words.number(one.member.mean),
        unseen=words.number(one.unseen.mean),
        auc=words.number(one.auc),
        interval=words.interval(one.auc_ci) if one.auc_ci else "",
        p=words.p_value(one.p_value_holm),
        speaks=one.p_value_holm is not None and one.p_value_holm < alpha,
    )
