"""AUC against network passes, one panel a target, as an SVG file that stands by itself in light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.accuracy_page import best_peer
from benchmarks.peers import FAMILY

WIDTH, HEIGHT = 460, 320  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 34, 44  # of the plot inside it
HEAD = 34  # the legend above all panels
LETTER = 6.1  # width of one at 11 px, about
ROOM = 40  # for names left of marks at one pass, where there are many
NEAR = 12  # marks no further apart across stand one above another
STYLE = """
text{font:11px system-ui,sans-serif;fill:#1f2328}
.title{font-size:13px;font-weight:600}
.small{fill:#57606a}
.back{fill:#fff}
.grid{stroke:#d8dee4;stroke-width:1}
.chance{stroke:#8c959f;stroke-dasharray:4 3}
.mark{stroke-width:1.6}
.paper{stroke:#0969da;fill:#fff}
.calibrated{stroke:#0969da;fill:#0969da}
.ours{stroke:#bc4c00;fill:#bc4c00}
.reach{stroke-width:1;opacity:.6}
.leader{stroke:#8c959f;stroke-width:.7}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.small{fill:#9198a1}
.back{fill:#0d1117}
.grid{stroke:#30363d}
.chance{stroke:#767d86}
.paper{stroke:#58a6ff;fill:#0d1117}
.calibrated{stroke:#58a6ff;fill:#58a6ff}
.ours{stroke:#f0883e;fill:#f0883e}
}
"""
LEGEND = {"paper": "peer, its paper's setting", "calibrated": "peer, calibrated", "ours": "of this project"}
Box = tuple[float, float, float, float]


def svg(targets: Sequence[dict]) -> str:
    """The figure as text. targets: as accuracy.json has them.

    Passes are forward + 2 x backward, and what is done once for a model is spread over the pictures. Named are the
    lead attack and its other forms, the best peer of each kind of setting, and what no cheaper attack beats.
    """
    columns = min(2, max(1, len(targets)))
    width, height = columns * WIDTH, HEAD + math.ceil(len(targets) / columns) * HEIGHT
    body = [f'<rect class="back" width="{width}" height="{height}"/>', *_legend()]
    for number, target in enumerate(targets):
        x, y = number % columns * WIDTH, HEAD + number // columns * HEIGHT
        body.append(f'<g transform="translate({x} {y})">{"".join(_panel(target))}</g>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>AUC against network passes a picture</title><style>{STYLE}</style>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def passes(row: dict, pictures: int) -> float:
    """Forward + 2 x backward a picture, with its share of what is done once; at least 1, for the logarithm."""
    return max(1.0, row["forward"] + 2 * row["backward"] + row["setup"] / max(1, pictures))


def named(rows: Sequence[dict], pictures: int) -> list[dict]:
    """The rows whose marks get a name."""
    chosen = [row for row in rows if row["attack"].startswith(FAMILY)]
    chosen += filter(None, (best_peer(rows, kind) for kind in ("paper", "calibrated")))
    best = 0.0
    for row in sorted(rows, key=lambda row: (passes(row, pictures), -row["auc"])):
        if row["auc"] > best:
            best = row["auc"]
            chosen.append(row)
    return [row for row in rows if row in chosen]


def _legend() -> list[str]:
    parts, x = [], 16.0
    for kind, words in LEGEND.items():
        parts += [_mark(x, 17, kind), _text(x + 10, 21, words)]
        x += 34 + LETTER * len(words)
    return parts


def _panel(target: dict) -> list[str]:
    rows = [row for row in target["rows"] if row["auc"] is not None]
    pictures = target["members"] + target["unseen"]
    most = max([10.0, *(passes(row, pictures) for row in rows)])
    decades = max(1, math.ceil(math.log10(most)))
    least = math.floor(10 * min([0.5, *(row["auc"] for row in rows)])) / 10

    def x(row: dict) -> float:
        return _x(passes(row, pictures), decades)

    def y(auc: float) -> float:
        return HEIGHT - BOTTOM - (auc - least) / (1 - least) * (HEIGHT - TOP - BOTTOM)

    parts = [_text(LEFT, 20, target["name"], "title"), *_axes(decades, least, y)]
    labelled = named(rows, pictures)
    parts += [
        f'<path class="reach {_kind(row)}" d="M{x(row):.1f} {y(row["auc_ci"][0]):.1f}V{y(row["auc_ci"][1]):.1f}"/>'
        for row in labelled
    ]
    for row in sorted(rows, key=lambda row: not row["peer"]):  # ours on top
        parts.append(_mark(x(row), y(row["auc"]), _kind(row), f"{row['attack']}, {row['setting']}: {row['auc']:.3f}"))
    points = [(x(row), y(row["auc"])) for row in rows]
    return parts + _labels([(x(row), y(row["auc"]), row["attack"]) for row in labelled], points)


def _x(value: float, decades: int) -> float:
    return LEFT + ROOM + math.log10(value) / decades * (WIDTH - LEFT - RIGHT - ROOM - 10)


def _axes(decades: int, least: float, y) -> list[str]:
    parts = []
    for step in range(round(10 * least), 11):
        at = y(step / 10)
        kind = "chance" if step == 5 else "grid"
        parts.append(f'<path class="{kind}" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 6, at + 4, f"{step / 10:.1f}", "small", "end"))
    for power in range(decades + 1):
        at = _x(10**power, decades)
        parts.append(f'<path class="grid" d="M{at:.1f} {HEIGHT - BOTTOM}v5"/>')
        parts.append(_text(at, HEIGHT - BOTTOM + 17, f"{10**power:,}".replace(",", " "), "small", "middle"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 8, "passes a picture (forward + 2 x backward)", "small", "middle"))
    parts.append(_text(LEFT - 6, TOP - 6, "AUC", "small", "end"))
    return parts


def _kind(row: dict) -> str:
    if not row["peer"]:
        return "ours"
    return "calibrated" if "calibrated" in row["setting"] else "paper"


def _mark(x: float, y: float, kind: str, title: str = "") -> str:
    inside = f"<title>{escape(title)}</title>" if title else ""
    if kind == "ours":
        return f'<path class="mark {kind}" d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z">{inside}</path>'
    return f'<circle class="mark {kind}" cx="{x:.1f}" cy="{y:.1f}" r="4">{inside}</circle>'


def _labels(wanted: Sequence[tuple[float, float, str]], points: Sequence[tuple[float, float]]) -> list[str]:
    """Names beside their marks, each at the nearest place that no mark and no earlier name takes, with a line to it."""
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    parts, tops = [], {}
    for x, y, words in sorted(wanted, key=lambda one: one[1]):
        # of marks one above another the names are in the same order, or their lines would cross
        above = max((top for other, top in tops.items() if abs(other[0] - x) < NEAR), default=0.0)
        box = _free(x, y, LETTER * len(words), taken, above)
        taken.append(box)
        left, top, right, _ = box
        tops[x, y] = top
        if abs(top + 7 - y) > 8:
            end = left - 2 if left > x else right + 2 if right < x else x
            parts.append(f'<path class="leader" d="M{x:.1f} {y:.1f}L{end:.1f} {top + 7:.1f}"/>')
        parts.append(_text(left, top + 11, words))
    return parts


def _free(x: float, y: float, width: float, taken: Sequence[Box], above: float) -> Box:
    places = [
        (left, y - 7 + shift)
        for step in range(20)
        for shift in dict.fromkeys((7 * step, -7 * step))
        for left in (x + 9, x - 9 - width)
    ]
    inside = [
        (left, top, left + width, top + 14)
        for left, top in places
        if left > LEFT and left + width < WIDTH - RIGHT + 4 and max(TOP - 8, above) < top < HEIGHT - BOTTOM - 12
    ]
    free = (box for box in inside if not any(_overlap(box, other) for other in taken))
    return next(free, inside[0] if inside else (x, y, x + width, y + 14))


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
