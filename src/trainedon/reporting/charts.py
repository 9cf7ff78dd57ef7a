"""Charts as inline SVG. Every function returns safe markup with a title and a description for screen readers.

Colours come from the page's style sheet through classes, so that a chart follows light and dark. Sizes are in the
units of each chart's own view box, chosen so that the lettering stays readable at the width of a phone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from trainedon.redact import clean
from trainedon.reporting.words import number

STRIP = (320, 56)
SQUARE = 160
HISTOGRAM = (400, 250)
RUG = 240  # ticks; larger sets are thinned by rank, which keeps their shape


def svg(width: float, height: float, title: str, desc: str, body: Sequence[str], kind: str) -> Markup:
    """One accessible chart around `body`, which must be safe markup already."""
    return Markup(
        f'<svg class="chart {kind}" viewBox="0 0 {width:g} {height:g}" role="img">'
        f"<title>{escape(clean(title))}</title><desc>{escape(clean(desc))}</desc>{''.join(body)}</svg>"
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A line of lettering at (x, y); `anchor` is start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(clean(words))}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" class="{kind}"/>'


def path(points: Sequence[tuple[float, float]], kind: str, closed: bool = False) -> str:
    """A line through `points`, or the area inside them."""
    d = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{d}{"Z" if closed else ""}" class="{kind}"/>'


def thinned(values: np.ndarray, most: int = RUG) -> np.ndarray:
    """float64 sorted scores, at most `most` of them, evenly spaced by rank."""
    if len(values) <= most:
        return values
    return np.asarray(values[np.linspace(0, len(values) - 1, most).round().astype(int)])


def limits(*sets: np.ndarray) -> tuple[float, float]:
    """(low, high) that holds every score, with a little air; never empty."""
    values = np.concatenate(sets)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    air = 0.03 * (high - low) or max(abs(high), 1.0) * 0.05
    return low - air, high + air


def density(values: np.ndarray, low: float, high: float, points: int = 56) -> np.ndarray:
    """float64 (points,) in [0, 1]: a Gaussian kernel density of the scores between `low` and `high`, highest at 1."""
    places = thinned((values - low) / (high - low), 1000)  # in [0, 1], so that no score is too large to square
    spread = min(float(places.std()), float(np.subtract(*np.percentile(places, [75, 25]))) / 1.34 or np.inf)
    width = max(0.9 * spread * len(places) ** -0.2, 1 / 120)
    grid = np.linspace(0, 1, points)[:, None]
    curve = np.exp(-0.5 * ((grid - places[None]) / width) ** 2).sum(axis=1)
    return np.asarray(curve / curve.max() if curve.max() > 0 else curve)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between `low` and `high`: steps of 1, 2 or 5 times a power of ten, at most `most` of them."""
    for step in (m * 10.0**e for e in range(math.floor(math.log10((high - low) / most)), 400) for m in (1, 2, 5)):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < most:
            return [i * step for i in range(first, last + 1)]
    return []


class Strip:
    """The scale of the unseen scores, drawn once (`defs`), on which each picture gets its own marker (`mark`)."""

    def __init__(self, unseen: np.ndarray, others: np.ndarray, *, zero: bool = False) -> None:
        """unseen, others: float64 sorted finite scores; the scale reaches over both. zero: whether a line marks 0, on
        either side of which chance puts a picture, and the scale reaches over it."""
        self.unseen, self.zero = unseen, zero
        self.low, self.high = limits(unseen, others, np.zeros(int(zero)))

    def x(self, score: float, width: float = STRIP[0]) -> float:
        """Where `score` lies on a scale of `width` units."""
        return 4 + (width - 8) * min(1.0, max(0.0, (score - self.low) / (self.high - self.low)))

    def hill(self, width: float, base: float, height: float) -> list[str]:
        """The density of the unseen scores, with a tick a picture below it (thinned when there are many)."""
        body = [line(4, base, width - 4, base, "axis")]
        if self.zero:
            at = self.x(0.0, width)
            body.append(line(at, base - height, at, base + 4, "axis"))
        if len(self.unseen):
            heights = base - height * density(self.unseen, self.low, self.high)
            xs = np.linspace(4, width - 4, len(heights))
            body.append(path([(4, base), *zip(xs, heights, strict=True), (width - 4, base)], "area u", closed=True))
            marks = "".join(f"M{self.x(s, width):.1f} {base:g}v4" for s in thinned(self.unseen, 120))
            body.append(f'<path d="{marks}" class="rug u"/>')
        return body

    def defs(self) -> Markup:
        """The background that all strips of the page share."""
        body = "".join(self.hill(STRIP[0], 38, 27))
        return Markup(f'<svg class="defs" aria-hidden="true"><defs><g id="strip">{body}</g></defs></svg>')

    def mark(self, score: float, sentence: str, asked: bool) -> Markup:
        """One picture's strip: the shared background and a marker at its score."""
        x = self.x(score)
        kind = "m" if asked else "u"
        anchor = "start" if x < 30 else "end" if x > STRIP[0] - 30 else "middle"
        body = [
            '<use href="#strip"/>',
            line(x, 8, x, 42, f"needle {kind}"),
            f'<circle cx="{x:.1f}" cy="7" r="4.5" class="dot {kind}"/>',
            text(x, 53.5, number(score), "value", anchor),
        ]
        return svg(*STRIP, f"Score {number(score)} {self._scale()}", sentence, body, "strip")

    def _scale(self) -> str:
        if self.zero:
            return "on a scale with a line at 0"
        return f"on the scale of the {'unseen' if len(self.unseen) else 'suspect'} pictures"

    def square(self, score: float, sentence: str) -> Markup:
        """The same as a square with its parts named, to explain the strips."""
        x = self.x(score, SQUARE)
        peak = int(np.argmax(density(self.unseen, self.low, self.high))) if len(self.unseen) else 0
        middle = min(max(4 + (SQUARE - 8) * peak / 55, 36), SQUARE - 36)
        body = [
            *self.hill(SQUARE, 126, 58),
            line(x, 34, x, 131, "needle m"),
            f'<circle cx="{x:.1f}" cy="32" r="5" class="dot m"/>',
            text(min(max(x, 36), SQUARE - 36), 20, "this picture", "value", "middle"),
            text(SQUARE - 4, 150, "score →", anchor="end"),
        ]
        if len(self.unseen):
            body.append(text(middle, 118, "reference" if self.zero else "unseen", "value", "middle"))
        return svg(SQUARE, SQUARE, f"The score {self._scale()}", sentence, body, "square")


def histogram(sets: Sequence[tuple[str, str, np.ndarray]], title: str) -> Markup:
    """Scores of up to three sets over one axis, as shares of each set, with a rug below.

    sets: (label, class for the colour, sorted finite scores).
    """
    sets = [entry for entry in sets if len(entry[2])]
    low, high = limits(*(values for _, _, values in sets))
    bins = int(np.clip(np.sqrt(max((len(v) for _, _, v in sets), default=1)) * 2, 12, 40))
    edges = np.linspace(low, high, bins + 1)
    shares = [np.histogram(values, edges)[0] / len(values) for _, _, values in sets]
    top = max((float(s.max()) for s in shares), default=1.0)
    left, right, base, roof = 12.0, HISTOGRAM[0] - 12.0, 176.0, 34.0
    xs = left + (right - left) * (edges - low) / (high - low)
    body = []
    for row, ((label, kind, values), bars) in enumerate(zip(sets, shares, strict=True)):
        ys = base - (base - roof) * bars / top
        steps = [p for i, y in enumerate(ys) for p in ((xs[i], y), (xs[i + 1], y))]
        body.append(path([(left, base), *steps, (right, base)], f"area outlined {kind}", closed=True))
        y = base + 8 + 11 * row
        marks = left + (right - left) * (thinned(values) - low) / (high - low)
        body.append(f'<path d="{"".join(f"M{x:.1f} {y:.0f}v8" for x in marks)}" class="rug {kind}"/>')
        body.append(f'<rect x="{left + 190 * row:.0f}" y="6" width="11" height="11" class="area outlined {kind}"/>')
        body.append(text(left + 190 * row + 17, 16, f"{label} ({len(values)})"))
    floor = base + 8 + 11 * len(sets) + 6
    body.append(line(left, floor, right, floor, "axis"))
    for value in ticks(low, high):
        x = left + (right - left) * (value - low) / (high - low)
        body += [line(x, floor, x, floor + 4, "axis"), text(x, floor + 17, _tick(value), anchor="middle")]
    body += [text(left, floor + 33, "← lower score"), text(right, floor + 33, "higher score →", anchor="end")]
    middles = ", ".join(f"{label}: median {number(float(np.median(values)))}" for label, _, values in sets)
    return svg(HISTOGRAM[0], floor + 40, title, middles or "No scores.", body, "histogram")


def _tick(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
