"""The command compare: two runs against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from trainedon import api
from trainedon.cli.option_groups import here
from trainedon.cli.printing import in_parentheses
from trainedon.cli.terminal import out_console, plain, say

if TYPE_CHECKING:
    from trainedon.evidence.studies.before_after import ComparedAttack, Comparison

Ends = tuple[float, float]
HEADS = ("AUC before", "AUC after", "change", "p", "TPR@1% change")
UNBOUNDED = 100_000  # columns


def compare(
    *,
    before: Annotated[Path, typer.Argument(help="A run folder: an evaluation, or an audit with unseen pictures.")],
    after: Annotated[Path, typer.Argument(help="Another one on the same pictures, such as of the fine-tuned model.")],
    out: Annotated[Path | None, typer.Option(callback=here, help="A file to write all of it to, as JSON.")] = None,
) -> None:
    """Before and after: are the same pictures told better or worse, by the attacks that both runs have?"""
    found = api.compare_runs(before, after, out=out)
    for one in found.sets:
        say(
            f"{one.set}: {one.both} pictures in both runs"
            + _only(one.before_only, one.before_examples, before)
            + _only(one.after_only, one.after_examples, after)
        )
    if found.moved:
        say(f"{found.moved} pictures are in another set in {after}; they are not compared")
    for apart in found.differences:
        say(f"not alike, {apart.what}: {apart.before} in {before}, {apart.after} in {after}")
    for left in found.not_compared:
        say(f"not compared: {left.called} ({left.reason})")
    _print_table(found)
    say(found.sentence)
    say(found.meaning)
    if out is not None:
        say(f"Document: {out}")


def _only(n: int, examples: tuple[str, ...], run: Path) -> str:
    if not n:
        return ""
    named = ", ".join([*examples[:3], *(["..."] if n > 3 else [])])
    return f"; {n} only in {run} ({named})"


def _print_table(found: Comparison) -> None:
    from trainedon.evidence.studies.before_after import ALPHA

    table = Table("attack", *HEADS, box=None, padding=(0, 1, 0, 0))
    for one in found.attacks:
        table.add_row(plain(one.called), *_cells(one))
    unbounded = out_console.options.update(width=UNBOUNDED)
    if out_console.measure(table, options=unbounded).maximum <= out_console.width:
        out_console.print(table)
    else:  # a narrow terminal has no room for rows, and what is cut off a number makes another one of it
        for one in found.attacks:
            say(one.called)
            for head, cell in zip(HEADS, _cells(one), strict=True):
                say(f"  {head:<{max(map(len, HEADS))}}  {cell}")
    together = ", which hold for all of these attacks together" if len(found.attacks) > 1 else ""
    say(f"change: after minus before, on the same pictures; in parentheses 95 % intervals{together}")
    say(f"named below: where p is at most {ALPHA} and the interval of the change leaves out 0")
    say("p: two-sided, corrected for the number of attacks; n < N: not estimable, N unseen pictures are needed")


def _cells(one: ComparedAttack) -> tuple[str, ...]:
    """In the order of HEADS."""
    p = "-" if one.p_value_holm is None else f"{one.p_value_holm:.2g}"
    areas = _area(one.before, one.before_ci), _area(one.after, one.after_ci)
    return *areas, _change(one.change, one.change_ci), p, _rate(one)


def _rate(one: ComparedAttack) -> str:
    rate = one.tpr_1
    return _change(rate.change, rate.change_ci) if rate.estimable else f"n < {rate.needed}"


def _area(value: float | None, ends: Ends | None) -> str:
    return "-" if value is None or ends is None else f"{value:.4f} {in_parentheses(ends, 3)}"


def _change(value: float | None, ends: Ends | None) -> str:
    if value is None:
        return "-"
    return f"{value:+.4f}" + ("" if ends is None else f" ({ends[0]:+.3f} to {ends[1]:+.3f})")
