"""ROC curves as inline SVG, on a linear and on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from trainedon.evidence.statistics.thresholds import least_estimable
from trainedon.reporting.charts import line, path, svg, text

COLOURS, DASHES = 8, 3  # of the style sheet; without a common factor, so that neighbours differ in both
MOST_CURVES = COLOURS * DASHES
SIZE = (392, 372)
LEFT, TOP, SIDE = 58.0, 10.0, 320.0
BLANK = ("too few unseen", "pictures to say")
Place = Callable[[float, float], tuple[float, float]]  # (FPR, TPR) -> (x, y)


def curve(members: np.ndarray, unseen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(fpr, tpr), both float64 and rising from 0 to 1: one point for each threshold that a score allows.

    members, unseen: sorted finite scores, higher = member; equal scores share one threshold.
    """
    thresholds = np.unique(np.concatenate([members, unseen]))[::-1]
    tpr = 1 - np.searchsorted(members, thresholds, side="left") / len(members)
    fpr = 1 - np.searchsorted(unseen, thresholds, side="left") / len(unseen)
    return np.concatenate([[0.0], fpr]), np.concatenate([[0.0], tpr])


def _estimable(members: np.ndarray, unseen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a curve whose false-positive rates can be estimated."""
    fpr, tpr = curve(members, unseen)
    least = least_estimable(len(unseen))
    first = int(np.searchsorted(fpr, least, side="right"))
    return np.concatenate([[least], fpr[first:]]), np.concatenate([[tpr[first - 1]], tpr[first:]])


def _blank(at: Place, floor: float, least: float) -> list[str]:
    """Where there are too few unseen pictures to draw anything, and why."""
    (x0, y0), (x1, y1) = at(floor, floor), at(least, 1)
    area = path([(x0, y0), (x0, y1), (x1, y1), (x1, y0)], "blank", closed=True)
    if x1 - x0 < 60:
        return [area]
    return [area, *(text((x0 + x1) / 2, y1 + 16 + 13 * i, said, anchor="middle") for i, said in enumerate(BLANK))]


def roc(curves: Sequence[tuple[str, np.ndarray, np.ndarray]], log: bool) -> Markup:
    """One chart of up to `MOST_CURVES` curves.

    curves: (label, members, unseen), the scores sorted and finite and neither empty.
    log: both axes logarithmic, down to the smallest false-positive rate that the unseen pictures can show.
    No curve is drawn below the rate from which on its own unseen pictures suffice; below that of all, the chart is
    shaded.
    """
    smallest = least_estimable(max((len(unseen) for _, _, unseen in curves), default=1))
    floor = 10.0 ** min(-1, math.floor(math.log10(smallest) + 1e-9)) if log else 0.0

    def place(rate: float) -> float:
        if not log:
            return rate
        return 1 - math.log10(max(rate, floor)) / math.log10(floor)

    def at(fpr: float, tpr: float) -> tuple[float, float]:
        return LEFT + SIDE * place(fpr), TOP + SIDE * (1 - place(tpr))

    body = [*_blank(at, floor, smallest), *_grid(at, floor, log)]
    chance = np.geomspace(floor, 1, 2) if log else np.array([0.0, 1.0])
    body.append(path([at(v, v) for v in chance], "chance"))
    for i, (_, members, unseen) in reversed(list(enumerate(curves[:MOST_CURVES]))):
        body.append(path(_thinned(*_estimable(members, unseen), at), stroke(i)))
    body.append(text(LEFT + SIDE / 2, TOP + SIDE + 36, "unseen pictures wrongly accused", anchor="middle"))
    turn = f'transform="rotate(-90 11 {TOP + SIDE / 2:.0f})"'
    body.append(
        f'<text x="11" y="{TOP + SIDE / 2:.0f}" text-anchor="middle" {turn}>training pictures recognised</text>'
    )
    kind = "logarithmic axes" if log else "linear axes"
    names = ", ".join(label for label, _, _ in curves[:MOST_CURVES])
    desc = f"True-positive rate against false-positive rate of {names}. The dotted line is guessing."
    return svg(*SIZE, f"ROC, {kind}", desc, body, "roc")


def stroke(i: int) -> str:
    """The class of curve `i`: a colour and a dash pattern that no other curve shares."""
    return f"curve s{i % COLOURS} d{i % DASHES}"


def swatch(i: int) -> Markup:
    """The stroke of curve `i`, for the legend."""
    return Markup(f'<svg class="swatch" viewBox="0 0 44 8" aria-hidden="true">{line(0, 4, 44, 4, stroke(i))}</svg>')


def _grid(at: Place, floor: float, log: bool) -> list[str]:
    if log:
        ticks = [10.0**power for power in range(round(math.log10(floor)), 1)]
    else:
        ticks = [0, 0.25, 0.5, 0.75, 1]
    low = floor if log else 0.0
    body = []
    for tick in ticks:
        x, y = at(tick, tick)
        label = f"{100 * tick:g} %"
        last = "end" if tick == 1 else "middle"
        body += [line(x, TOP, x, TOP + SIDE, "grid"), line(LEFT, y, LEFT + SIDE, y, "grid")]
        body += [text(x, TOP + SIDE + 16, label, anchor=last), text(LEFT - 6, y + 4, label, anchor="end")]
    (x0, y0), (x1, y1) = at(low, low), at(1, 1)
    return [*body, path([(x0, y1), (x0, y0), (x1, y0)], "axis")]


def _thinned(fpr: np.ndarray, tpr: np.ndarray, at: Place) -> list[tuple[float, float]]:
    """The curve as a staircase on the chart, without the points that fall on the same tenth of a unit."""
    kept: list[tuple[float, float]] = []
    previous, last = float(tpr[0]), len(fpr) - 1
    for i, (x, y) in enumerate(zip(fpr.tolist(), tpr.tolist(), strict=True)):
        for corner, end in ((at(x, previous), i == 0), (at(x, y), i == last)):
            if end or math.dist(corner, kept[-1]) >= 0.9:
                kept.append(corner)
        previous = y
    return kept
