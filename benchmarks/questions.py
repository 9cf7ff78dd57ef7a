"""The paper's questions, answered by sweeps over real models, as one page with a figure for each.

    python -m benchmarks.questions --page docs/questions.md NAME=SWEEP [NAME=SWEEP ...]

SWEEP: the run folder of a `trainedon sweep`, NAME: what its model is called on the page. Of the page only what stands
between its two marks is replaced; the figures are written beside it, into the folder `questions`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from benchmarks.marks import write_between
from trainedon.errors import UserError
from trainedon.evidence.studies.sweep import Group, Point, Sweep, named
from trainedon.files import write_text
from trainedon.reporting.sweep_section import AUC, chart

BEGIN, END = "<!-- questions: begin -->", "<!-- questions: end -->"
WIDTH, GAP, HEAD = 400, 32, 30  # of a chart, between two, and for its title


def read(text: str) -> tuple[str, Sweep]:
    """NAME=SWEEP. Raises UserError for another form, or a folder that holds no finished sweep."""
    name, equals, folder = text.partition("=")
    if not equals or not name or not folder:
        raise UserError(f"{text!r} is no sweep: write NAME=FOLDER")
    try:
        return name, Sweep.model_validate_json((Path(folder) / "sweep.json").read_bytes())
    except (OSError, ValidationError):
        raise UserError(f"{folder} holds no finished sweep: make it with `trainedon sweep`") from None


def by_title(sweeps: Mapping[str, Sweep]) -> dict[str, dict[str, Group]]:
    """title of a question -> name of a model -> its answer."""
    found: dict[str, dict[str, Group]] = {}
    for name, sweep in sweeps.items():
        for group in sweep.groups:
            found.setdefault(group.title, {})[name] = group
    return found


def figure(groups: Mapping[str, Group]) -> str:
    """The charts of one question side by side, as an SVG file that carries its style."""
    charts = [str(chart(group, AUC)) for group in groups.values()]
    height = max(float(re.search(r'viewBox="0 0 \S+ (\S+)"', one).group(1)) for one in charts)  # type: ignore[union-attr]
    parts = []
    for i, (name, one) in enumerate(zip(groups, charts, strict=True)):
        x = i * (WIDTH + GAP)
        parts.append(f'<text class="value title" x="{x + 6}" y="18">{escape(name)}</text>')
        parts.append(one.replace("<svg ", f'<svg x="{x}" y="{HEAD}" width="{WIDTH}" ', 1))
    size = f"0 0 {len(charts) * (WIDTH + GAP) - GAP} {HEAD + height:g}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}"><style>{style()}</style>{"".join(parts)}</svg>\n'


def style() -> str:
    """The page's colours and what it says of charts, on a ground of its own."""
    css = (files("trainedon.reporting") / "templates" / "report.css").read_text("utf-8")
    roots = css[: css.index("* {")]
    rules = [
        line for line in css.splitlines() if re.match(r"svg text|\.(axis|grid|chance|curve|whisker|s\d|d\d)\b", line)
    ]
    ground = (
        "svg { background: var(--card); } svg svg { background: none; overflow: visible; } .title { font-size: 13px; }"
    )
    return "\n".join([roots.strip(), *rules, ground])


def table(groups: Mapping[str, Group]) -> str:
    """AUC of every setting on every model; the highest of each in bold."""
    settings: dict[str, dict[str, Point]] = {}
    for name, group in groups.items():
        for point in group.points:
            settings.setdefault(named(point.setting), {})[name] = point
    best = {
        name: max((p.auc for p in group.points if p.auc is not None), default=None) for name, group in groups.items()
    }
    lines = [f"| setting | {' | '.join(groups)} | passes |", "|---" * (len(groups) + 2) + "|"]
    for setting, points in settings.items():
        cells = [_cell(points.get(name), best[name]) for name in groups]
        passes = next(iter(points.values())).passes
        lines.append(f"| {setting} | {' | '.join(cells)} | {passes:g} |")
    return "\n".join(lines)


def _cell(point: Point | None, best: float | None) -> str:
    if point is None or point.auc is None or point.auc_ci is None:
        return "-"
    low, high = point.auc_ci
    told = f"{point.auc:.3f}"
    return f"{f'**{told}**' if point.auc == best else told} ({low:.3f} to {high:.3f})"


def page(sweeps: Mapping[str, Sweep], folder: str) -> tuple[str, dict[str, str]]:
    """The Markdown between the marks, and file name -> figure."""
    attacks = " ".join(f"`{name}`: `{sweep.attack}`." for name, sweep in sweeps.items())
    parts, figures = [f"What is varied: {attacks}"], {}
    for title, groups in by_title(sweeps).items():
        file = re.sub(r"\W+", "-", title.lower()).strip("-") + ".svg"
        figures[file] = figure(groups)
        first = next(iter(groups.values()))
        said = "\n".join(f"- `{name}`: {group.sentence}" for name, group in groups.items())
        parts += [f"## {title}", first.question, f"![{title}]({folder}/{file})", table(groups), said]
    for name, sweep in sweeps.items():
        parts += [f"Left out on `{name}`: {note}." for note in sweep.notes]
    return "\n\n".join(parts), figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="+", metavar="NAME=SWEEP")
    parser.add_argument("--page", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        text, figures = page(dict(map(read, given.sweeps)), "questions")
        write_between(given.page, BEGIN, END, f"\n\n{text}\n\n")
        folder = given.page.parent / "questions"
        folder.mkdir(exist_ok=True)
        for name, svg in figures.items():
            write_text(folder / name, svg)
    except (UserError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
