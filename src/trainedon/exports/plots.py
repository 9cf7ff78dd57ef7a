"""Figures of a run as SVG and PDF, with the numbers that each one draws beside it as CSV. Needs matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.evidence import AttackKey, Scores, Sweep
from trainedon.evidence.statistics.roc import curve
from trainedon.exports.csv_cells import Cell, csv_parts
from trainedon.exports.exposed_sheet import called, counted_scores
from trainedon.files import write_atomically, write_text
from trainedon.formats import RunRecord
from trainedon.reading import read_bytes
from trainedon.redact import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 40
MOST_BYTES = 2**26  # of sweep.json
# Vectors with their text as text, the same bytes for the same run, and no name that becomes a formula.
STYLE: dict[str, Any] = {"svg.fonttype": "none", "svg.hashsalt": "trainedon", "text.parse_math": False, "font.size": 9}
STAMPS: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
LINES = ("-", "--", ":", "-.")


def write_figures(run: Path, record: RunRecord, folder: Path) -> list[Path]:
    """ROC curves, linear and logarithmic, a histogram of each attack's scores, and the curves of a sweep.

    folder: is made if it is not there; files of these names in it are replaced. Returns what was written. Raises
    UserError where matplotlib is not installed, the folder cannot be written, or scores cannot be read.
    """
    _matplotlib()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}): give another folder") from None
    scores, asked = counted_scores(run, record)
    labels = [clean(label) for label in called(scores, record)]
    written: list[Path] = []
    if scores.has("unseen"):
        written += _rocs(scores, asked, labels, folder)
    for number, (key, label) in enumerate(zip(scores.attacks, labels, strict=True), start=1):
        written += _histogram(scores, asked, key, label, folder / f"scores-{number:02d}-{slug(key.name)}")
    return written + _sweeps(run, folder)


def slug(text: str) -> str:
    """A text as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "attack"


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise UserError("figures are drawn with matplotlib: pip install 'trainedon[figures]'") from None
    return matplotlib


def _saved(stem: Path, rows: Iterator[list[Cell]], axes: Axes) -> list[Path]:
    """The figure of `axes`, in both formats, and its numbers."""
    figure = axes.get_figure()
    for kind, stamp in STAMPS.items():
        drawn = io.BytesIO()
        figure.savefig(drawn, format=kind, metadata=stamp, bbox_inches="tight")  # type: ignore[union-attr]
        with write_atomically(stem.with_name(f"{stem.name}.{kind}")) as stream:
            stream.write(drawn.getvalue())
    write_text(stem.with_name(f"{stem.name}.csv"), csv_parts(rows))
    return [stem.with_name(f"{stem.name}.{kind}") for kind in (*STAMPS, "csv")]


def _axes(across: str, up: str) -> Axes:
    from matplotlib.figure import Figure

    axes = Figure(figsize=(4.2, 3.6)).add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return axes


def _rocs(scores: Scores, asked: str, labels: Sequence[str], folder: Path) -> list[Path]:
    curves = {}
    for key, label in zip(scores.attacks, labels, strict=True):
        first, unseen = (scores.sample(key, name).score for name in (asked, "unseen"))
        if len(first) and len(unseen):
            curves[label] = curve(first, unseen)
    written = []
    for name, scale in (("roc", "linear"), ("roc-log", "log")):
        with _matplotlib().rc_context(STYLE):
            axes = _axes("false-positive rate", "true-positive rate")
            for at, points in enumerate(curves.values()):
                shown = points[(points > 0).all(axis=1)] if scale == "log" else points
                axes.plot(shown[:, 0], shown[:, 1], LINES[at // 10 % len(LINES)], label=f"{at}", linewidth=1.2)
            axes.plot([0 if scale == "linear" else 1e-4, 1], [0 if scale == "linear" else 1e-4, 1], color="0.7")
            smallest = min((1 / max(1, len(scores.sample(key, "unseen"))) for key in scores.attacks), default=1e-2)
            axes.set(xscale=scale, yscale=scale, xlim=(0 if scale == "linear" else smallest, 1))
            axes.set_ylim(0 if scale == "linear" else smallest, 1)
            _legend(axes, [*curves])
            written += _saved(folder / name, _points(curves), axes)
    return written


def _legend(axes: Axes, labels: Sequence[str]) -> None:
    """labels: of the lines that have one, in their order. Set behind matplotlib's back, which passes over a label that
    begins with `_`."""
    for text, label in zip(axes.legend(fontsize=7).get_texts(), labels, strict=True):
        text.set_text(label)


def _points(curves: dict[str, np.ndarray]) -> Iterator[list[Cell]]:
    yield ["attack", "fpr", "tpr"]
    for label, points in curves.items():
        yield from ([label, *point] for point in points.tolist())


def _histogram(scores: Scores, asked: str, key: AttackKey, label: str, stem: Path) -> list[Path]:
    sides = {name: scores.sample(key, name).score for name in (asked, "unseen")}
    every = np.concatenate([*sides.values()])
    if not len(every):
        return []
    edges = np.histogram_bin_edges(every, BINS)
    counts = {name: np.histogram(side, edges)[0] for name, side in sides.items()}
    with _matplotlib().rc_context(STYLE):
        axes = _axes(f"score of {label}", "share of the set")
        for name, count in counts.items():
            axes.stairs(count / max(1, count.sum()), edges, label=f"{name} ({count.sum()})", fill=True, alpha=0.5)
        axes.legend()
        return _saved(stem, _bins(edges, counts), axes)


def _bins(edges: np.ndarray, counts: dict[str, np.ndarray]) -> Iterator[list[Cell]]:
    yield ["from", "to", *counts]
    columns = [edges[:-1].tolist(), edges[1:].tolist(), *(count.tolist() for count in counts.values())]
    yield from map(list, zip(*columns, strict=True))


def _sweeps(run: Path, folder: Path) -> list[Path]:
    path = run / run_files.SWEEP
    if not path.exists():
        return []
    written = []
    for number, group in enumerate(Sweep.model_validate_json(read_bytes(path, MOST_BYTES)).groups, start=1):
        axis = group.axis
        if axis is None:
            continue
        found = [(_place(one.passes if axis == "passes" else one.setting.get(axis)), one) for one in group.points]
        rows: list[list[Cell]] = [
            [place, one.auc, *(one.auc_ci or (None, None)), one.repr] for place, one in found if place is not None
        ]
        drawn = sorted((row for row in rows if row[1] is not None and row[2] is not None), key=lambda row: row[0])  # type: ignore[arg-type,return-value]
        with _matplotlib().rc_context(STYLE):
            axes = _axes(clean(axis), "AUC")
            x, y, low, high = (np.array([row[i] for row in drawn], dtype=float) for i in range(4))
            axes.errorbar(x, y, [y - low, high - y], fmt="o", capsize=2)
            stem = folder / f"sweep-{number:02d}-{slug(group.title)}"
            written += _saved(stem, iter([[axis, "auc", "auc_low", "auc_high", "attack"], *rows]), axes)
    return written


def _place(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
