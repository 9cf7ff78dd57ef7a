"""What accuracy.json says, as Markdown: a summary, and for each target a table with plain sentences beneath."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.marks import around, write_between
from benchmarks.peers import LEAD, mean
from trainedon.files import write_text

BEGIN = "<!-- accuracy: begin -->"
END = "<!-- accuracy: end -->"
HEADS = ("attack", "setting", "AUC", "TPR@1 %", "forward", "backward", "weighted", "reported: AUC, TPR@1 %")
SETTINGS = {"paper": "at its paper's setting", "calibrated": "at a calibrated setting"}
EXPLAINED = (
    "Settings: `paper`, as the paper or its released code has it; `calibrated`, with the timestep that did best on the "
    "tuning targets, whose models and members are in no table here; `ours`, an attack of this project. `sima`'s paper "
    "takes the best of several timesteps, which needs the labels; `paper` is this package's default there. Passes are "
    "of one picture; weighted: forward + 2 x backward. Intervals hold together with 95 % on each target, those of AUC, "
    "of TPR and of differences each by themselves; differences are paired, on the same pictures. Reported figures are "
    "those of papers, on models and pictures of their own: they stand beside, and are no yardstick."
)


def markdown(targets: Sequence[dict], figure: str) -> str:
    """The text between the two marks. targets: as accuracy.json has them. figure: the SVG's name."""
    parts = [f"![AUC against passes a picture]({figure})", EXPLAINED]
    if len(targets) > 1:
        parts += ["### Summary", summary(targets), tally(targets)]
    for target in targets:
        parts += [f"### {target['name']}", about(target), table(target), " ".join(sentences(target["rows"]))]
        if target["left_out"]:
            parts.append("Left out:\n\n" + "\n".join(f"- `{k}`: {why}" for k, why in target["left_out"].items()))
    return "\n\n".join(parts)


def put(text: str, page: Path) -> None:
    """Write the text between the marks of the page, which is made where there is none; raises as `check`."""
    check(page)
    if not page.exists():
        write_text(page, f"{BEGIN}\n{END}\n")
    write_between(page, BEGIN, END, f"\n\n{text}\n\n")


def check(page: Path) -> None:
    """Raises UserError for a page without the two marks, of which nothing may be overwritten."""
    if page.exists():
        around(page, BEGIN, END)


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
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    for row in target["rows"]:
        cells = [
            _code(row),
            row["setting"] + ", learns from labels" * row["labels"],
            _with_interval(row["auc"], row["auc_ci"]) or "not scored",
            _with_interval(row["tpr"], row["tpr_ci"]) or f"not estimable (needs {row['needed']})",
            f"{row['forward']}" + (f" + {row['setup']} once" if row["setup"] else ""),
            f"{row['backward']}",
            f"{row['forward'] + 2 * row['backward']}",
            "; ".join(filter(None, map(_figures, row["reported"]))) or "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def sentences(rows: Sequence[dict]) -> list[str]:
    """Which attack is ahead, how `drc` stands to the best peers, and every peer that is better. rows: sorted by AUC."""
    scored = [row for row in rows if row["auc"] is not None]
    if not scored:
        return ["No attack has a score."]
    said = [f"Highest AUC: {_code(scored[0])} ({scored[0]['setting']}), {scored[0]['auc']:.3f}."]
    lead = next((row for row in scored if row["attack"] == LEAD), None)
    if lead is None:
        return [*said, f"`{LEAD}` was not run."]
    said.append(f"`{LEAD}` is {_place(lead, scored)}.")
    for kind, words in SETTINGS.items():
        best = best_peer(scored, kind)
        said.append(f"{_standing(best, f'the best peer {words}')}." if best else f"No peer {words} was run.")
    higher = [row for row in scored if row["peer"] and row["auc"] > lead["auc"]]
    if not higher:
        said.append(f"No peer has a higher AUC than `{LEAD}`.")
    for beyond, words in (
        (True, f"Peers better than `{LEAD}` beyond chance"),
        (False, "Peers higher, but within chance"),
    ):
        named = [_by(row) for row in higher if (verdict(row) == "trails") is beyond]
        said += [f"{words}: {', '.join(named)}."] if named else []
    return said


def _place(lead: dict, rows: Sequence[dict]) -> str:
    above = sum(row["auc"] > lead["auc"] for row in rows)
    if above:
        return f"number {1 + above} of {len(rows)}"
    return (
        "level with the highest"
        if any(row["auc"] == lead["auc"] for row in rows if row is not lead)
        else "ahead of all"
    )


def best_peer(rows: Sequence[dict], kind: str) -> dict | None:
    """Of all peers at this kind of setting (paper or calibrated) the one with the highest AUC."""
    return max(
        (row for row in rows if row["peer"] and kind in row["setting"].split(", ") and row["auc"] is not None),
        key=lambda row: row["auc"],
        default=None,
    )


def verdict(row: dict) -> str:
    """How the lead attack stands to a row: `leads`, `trails`, or `level` where the interval holds no difference."""
    _, low, high = row["lead"] or (0, 0, 0)
    return "leads" if low > 0 else "trails" if high < 0 else "level"


def summary(targets: Sequence[dict]) -> str:
    """AUC of every attack on every target; the mean is of attacks that were run on all, and sorts them."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for target in targets:
        for row in target["rows"]:
            if row["auc"] is not None:
                found.setdefault((row["attack"], row["setting"]), {})[target["name"]] = row["auc"]
    names = [target["name"] for target in targets]
    means = {key: mean(list(aucs.values())) if len(aucs) == len(names) else None for key, aucs in found.items()}
    lines = [f"| attack | setting | {' | '.join(names)} | mean |", "|---" * (len(names) + 3) + "|"]
    for key in sorted(found, key=lambda key: -1.0 if means[key] is None else means[key], reverse=True):
        cells = [_share(found[key].get(name)) for name in names]
        lines.append(f"| `{key[0]}` | {key[1]} | {' | '.join([*cells, _share(means[key])])} |")
    return "\n".join(lines)


def tally(targets: Sequence[dict]) -> str:
    """On how many targets `drc` is ahead of the best peers."""
    said = []
    for kind, words in SETTINGS.items():
        best = [best_peer(target["rows"], kind) for target in targets]
        verdicts = [verdict(row) for row in best if row and row["lead"]]
        if verdicts:
            counts = {word: verdicts.count(word) for word in ("leads", "trails", "level")}
            said.append(
                f"Of {len(verdicts)} targets `{LEAD}` leads the best peer {words} beyond chance on {counts['leads']}, "
                f"trails it on {counts['trails']}, and is not told apart from it on {counts['level']}."
            )
    return " ".join(said) or f"`{LEAD}` was compared with no peer."


def _standing(row: dict, who: str) -> str:
    who = f"{who}, {_code(row)} ({row['auc']:.3f}{', which learns from labels' * row['labels']})"
    if row["lead"] is None:
        return f"`{LEAD}` has no picture in common with {who}"
    value, low, high = row["lead"]
    word = verdict(row)
    if word == "level":
        return f"`{LEAD}` is not told apart from {who}: difference {value:+.3f} ({low:+.3f} to {high:+.3f})"
    ends = (value, low, high) if word == "leads" else (-value, -high, -low)
    return f"`{LEAD}` {word} {who} by {ends[0]:.3f} ({ends[1]:.3f} to {ends[2]:.3f})"


def _by(row: dict) -> str:
    """A peer, and by how much its AUC is higher."""
    return _code(row) + ("" if row["lead"] is None else f" by {-row['lead'][0]:.3f}")


def _code(row: dict) -> str:
    return f"`{row['attack']}`"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _with_interval(value: float | None, ends: Sequence[float] | None) -> str:
    return "" if value is None or ends is None else f"{value:.3f} ({ends[0]:.3f} to {ends[1]:.3f})"


def _figures(reported: dict) -> str:
    """What a paper prints, such as `cifar10 .931, .122`; nothing where it prints neither of the two."""
    shares = [f"{reported[key]:g}".replace("0.", ".", 1) for key in ("auc", "tpr_1") if reported[key] is not None]
    if not shares:
        return ""
    return f"{reported['data']} {', '.join(shares)}" + (f" ({reported['note']})" if reported["note"] else "")
