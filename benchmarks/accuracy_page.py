"""What accuracy.json says, as Markdown: one table of all targets, and for each a part with sentences and a table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from benchmarks.marks import around, write_between
from benchmarks.peers import FAMILY
from benchmarks.targets import CHOSEN_ON, MADE
from trainedon.files import write_text

BEGIN, END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
BEGIN_EACH, END_EACH = "<!-- target by target: begin -->", "<!-- target by target: end -->"
SETTINGS = {"paper": "at its paper's setting", "calibrated": "at a calibrated setting"}
READ = (
    "AUC of members against unseen pictures, in bold the highest of a row. Under each attack its passes for one "
    "picture, forward + 2 x backward. `tuning`: settings of `drc`, or timesteps of peers, were chosen on that "
    "training; all other targets had no part in any choice. The last column is what `drc` has more than the best peer "
    "of that row, whatever its setting: paired, on the same pictures, with an interval that holds together with those "
    "of all other attacks on the target."
)
EXPLAINED = (
    "Settings: `paper`, as the paper or its released code has it; `calibrated`, with the timestep that did best on the "
    "tuning targets; `ours`, an attack of this project. `sima`'s paper takes the best of several timesteps, which "
    "needs the labels; `paper` is this package's default there. Intervals hold together with 95 % on each target, "
    "those of AUC, of TPR and of differences each by themselves."
)
WIDTH = 120  # of a line of the docs


def together(targets: Sequence[dict]) -> str:
    """The text between the first two marks: all targets in one table. targets: as accuracy.json has them."""
    targets = in_order(targets)
    parts = [_wrapped(READ), summary(targets), *map(_wrapped, (tally(targets), reported(targets)))]
    return "\n\n".join(filter(None, parts))


def each(targets: Sequence[dict], figure: str) -> str:
    """The text between the other two: a part for each target, and the figure. figure: the SVG's name."""
    parts = [_wrapped(EXPLAINED)]
    for target in in_order(targets):
        said = sentences(target["rows"], target["lead"])
        parts += [f"### {target['name']}", _wrapped(f"{about(target)} {' '.join(said)}")]
        if target["left_out"]:
            parts.append("Left out:\n\n" + "\n".join(f"- `{k}`: {why}" for k, why in target["left_out"].items()))
        parts.append(folded("Every attack", table(target)))
    parts += ["### AUC against passes", f"![AUC against passes a picture]({figure})"]
    return "\n\n".join(parts)


def _wrapped(words: str) -> str:
    return textwrap.fill(words, WIDTH, break_long_words=False, break_on_hyphens=False)


def in_order(targets: Sequence[dict]) -> list[dict]:
    """Targets that had no part in a choice first; each kind as `benchmarks.targets` has them, others before."""
    places = {name: place for place, name in enumerate(MADE)}
    return sorted(targets, key=lambda target: (is_tuning(target), places.get(_training(target), -1)))


def is_tuning(target: dict) -> bool:
    return _training(target) in CHOSEN_ON


def _training(target: dict) -> str:
    """The name without that of a snapshot."""
    name: str = target["name"]
    return name.partition("@")[0]


def folded(title: str, text: str) -> str:
    """What a reader opens by a click."""
    return f'<details markdown="1">\n<summary>{title}</summary>\n\n{text}\n\n</details>'


def put(targets: Sequence[dict], figure: str, page: Path) -> None:
    """Write both texts between their marks of the page, which is made where there is none; raises as `check`."""
    check(page)
    if not page.exists():
        write_text(page, f"{BEGIN}\n{END}\n\n{BEGIN_EACH}\n{END_EACH}\n")
    write_between(page, BEGIN, END, f"\n\n{together(targets)}\n\n")
    write_between(page, BEGIN_EACH, END_EACH, f"\n\n{each(targets, figure)}\n\n")


def check(page: Path) -> None:
    """Raises UserError for a page without the four marks, of which nothing may be overwritten."""
    if page.exists():
        around(page, BEGIN, END)
        around(page, BEGIN_EACH, END_EACH)


def about(target: dict) -> str:
    """What was measured on, in one line."""
    size = " x ".join(map(str, target["shape"]))
    model = f"{target['parameters'] / 1e6:.2f} M parameters, {size}, predicts {target['prediction']}"
    text = f"{model}; {target['members']} members, {target['unseen']} unseen pictures."
    if target["blind"] is not None:
        area = _with_interval(target["blind"]["auc"], target["blind"]["auc_ci"])
        text += f" Without the model the two sets are told apart with AUC {area}."
    return text


def table(target: dict) -> str:
    """Every attack on a target, the rates at a threshold only where there are enough pictures for one."""
    rated = any(row["tpr"] is not None for row in target["rows"])
    heads = ["attack", "setting", "AUC", *["TPR@1 %"] * rated, "forward", "backward", f"`{target['lead']}` has more"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in target["rows"]:
        cells = [
            _code(row),
            row["setting"] + ", learns from labels" * row["labels"],
            _with_interval(row["auc"], row["auc_ci"]) or "not scored",
            *[_with_interval(row["tpr"], row["tpr_ci"]) or "not estimable"] * rated,
            f"{row['forward']}" + (f" + {row['setup']} once" if row["setup"] else ""),
            f"{row['backward']}",
            _gain(row["lead"]) if row["lead"] else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def sentences(rows: Sequence[dict], name: str) -> list[str]:
    """Which attack is ahead, how the lead attack stands to the best peers, and every peer that is better.

    rows: sorted by AUC. name: of the lead attack.
    """
    scored = [row for row in rows if row["auc"] is not None]
    if not scored:
        return ["No attack has a score."]
    said = [f"Highest AUC: {_code(scored[0])} ({scored[0]['setting']}), {scored[0]['auc']:.3f}."]
    lead = next((row for row in scored if row["attack"] == name), None)
    if lead is None:
        return [*said, f"`{name}` was not run."]
    said.append(f"`{name}` is {_place(lead, scored)}.")
    for kind, words in SETTINGS.items():
        best = best_peer(scored, kind)
        said.append(f"{_standing(name, best, f'the best peer {words}')}." if best else f"No peer {words} was run.")
    higher = [row for row in scored if row["peer"] and row["auc"] > lead["auc"]]
    if not higher:
        said.append(f"No peer has a higher AUC than `{name}`.")
    for beyond, words in (
        (True, f"Peers better than `{name}` beyond chance"),
        (False, "Peers higher, but within chance"),
    ):
        named = [_by(row) for row in higher if (verdict(row) == "trails") is beyond]
        said += [f"{words}: {', '.join(named)}."] if named else []
    return said


def _place(lead: dict, rows: Sequence[dict]) -> str:
    above = sum(row["auc"] > lead["auc"] for row in rows)
    if above:
        return f"number {1 + above} of {len(rows)}"
    level = any(row["auc"] == lead["auc"] for row in rows if row is not lead)
    return "level with the highest" if level else f"number 1 of {len(rows)}"


def best_peer(rows: Sequence[dict], kind: str | None = None) -> dict | None:
    """Of all peers, at this kind of setting (paper or calibrated) where one is given, the one with the highest AUC."""
    return max(
        (
            row
            for row in rows
            if row["peer"] and row["auc"] is not None and (kind is None or kind in row["setting"].split(", "))
        ),
        key=lambda row: row["auc"],
        default=None,
    )


def verdict(row: dict) -> str:
    """How the lead attack stands to a row: `leads`, `trails`, or `level` where the interval holds no difference."""
    _, low, high = row["lead"] or (0, 0, 0)
    return "leads" if low > 0 else "trails" if high < 0 else "level"


def summary(targets: Sequence[dict]) -> str:
    """AUC of every attack on every target, one row a target: `drc` first, then ours, then peers, each by passes."""
    columns: dict[str, list[dict]] = {}
    for target in targets:
        for row in target["rows"]:
            columns.setdefault(_column(target, row), []).append(row)
    names = sorted(columns, key=lambda name: (name != FAMILY, columns[name][0]["peer"], _passes(columns[name][0])))
    heads = ["target", "", *(f"`{name}`<br>{_span(columns[name])}" for name in names), "`drc` minus best peer"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for target in targets:
        found = {_column(target, row): row["auc"] for row in target["rows"]}
        most = max((f"{auc:.3f}" for auc in found.values() if auc is not None), default="")
        best = best_peer(target["rows"])
        cells = [
            f"`{target['name']}`",
            "tuning" if is_tuning(target) else "measured",
            *(_cell(found.get(name), most) for name in names),
            _gain(best["lead"]) if best and best["lead"] else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _column(target: dict, row: dict) -> str:
    """The name of an attack in the table of all targets, where `drc` is what it means on each."""
    name: str = row["attack"]
    return FAMILY if name == target["lead"] else name


def _passes(row: dict) -> int:
    forward, backward = row["forward"], row["backward"]
    passes: int = forward + 2 * backward
    return passes


def _span(rows: Sequence[dict]) -> str:
    least, most = (pick(map(_passes, rows)) for pick in (min, max))
    return f"{least}" if least == most else f"{least} to {most}"


def _cell(auc: float | None, most: str) -> str:
    if auc is None:
        return "-"
    return f"**{auc:.3f}**" if f"{auc:.3f}" == most else f"{auc:.3f}"


def _gain(lead: Sequence[float]) -> str:
    value, low, high = lead
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def tally(targets: Sequence[dict]) -> str:
    """On how many targets that had no part in a choice `drc` is ahead of the best peers."""
    said = []
    for kind, words in SETTINGS.items():
        best = [best_peer(target["rows"], kind) for target in targets if not is_tuning(target)]
        verdicts = [verdict(row) for row in best if row and row["lead"]]
        if verdicts:
            counts = {word: verdicts.count(word) for word in ("leads", "trails", "level")}
            said.append(
                f"Of {len(verdicts)} measured targets `{FAMILY}` leads the best peer {words} beyond chance on "
                f"{counts['leads']}, trails it on {counts['trails']}, and is not told apart from it on "
                f"{counts['level']}."
            )
    return " ".join(said) or f"`{FAMILY}` was compared with no peer."


def reported(targets: Sequence[dict]) -> str:
    """What papers print of attacks that were measured here."""
    said = {
        row["attack"]: "; ".join(found)
        for target in targets
        for row in target["rows"]
        if (found := [one for one in map(_figures, row["reported"]) if one])
    }
    if not said:
        return ""
    return (
        "What papers report (AUC, TPR at FPR 1 %), on models and pictures of their own, which is no yardstick for the "
        f"table: {'. '.join(f'`{attack}`: {words}' for attack, words in said.items())}."
    )


def _standing(name: str, row: dict, who: str) -> str:
    who = f"{who}, {_code(row)} ({row['auc']:.3f}{', which learns from labels' * row['labels']})"
    if row["lead"] is None:
        return f"`{name}` has no picture in common with {who}"
    value, low, high = row["lead"]
    word = verdict(row)
    if word == "level":
        return f"`{name}` is not told apart from {who}: difference {value:+.3f} ({low:+.3f} to {high:+.3f})"
    ends = (value, low, high) if word == "leads" else (-value, -high, -low)
    return f"`{name}` {word} {who} by {ends[0]:.3f} ({ends[1]:.3f} to {ends[2]:.3f})"


def _by(row: dict) -> str:
    """A peer, and by how much its AUC is higher."""
    return _code(row) + ("" if row["lead"] is None else f" by {-row['lead'][0]:.3f}")


def _code(row: dict) -> str:
    return f"`{row['attack']}`"


def _with_interval(value: float | None, ends: Sequence[float] | None) -> str:
    return "" if value is None or ends is None else f"{value:.3f} ({ends[0]:.3f} to {ends[1]:.3f})"


def _figures(reported: dict) -> str:
    """What a paper prints, such as `cifar10 .931, .122`; nothing where it prints neither of the two."""
    shares = [f"{reported[key]:g}".replace("0.", ".", 1) for key in ("auc", "tpr_1") if reported[key] is not None]
    if not shares:
        return ""
    return f"{reported['data']} {', '.join(shares)}" + (f" ({reported['note']})" if reported["note"] else "")
