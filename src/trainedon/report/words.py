"""Numbers and findings in plain English. Nothing here says more than the number that it words."""

from __future__ import annotations

import json
import math
import unicodedata
from datetime import UTC, datetime
from typing import Any

NARROW_SPACE = "\u202f"
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, direction overrides, lone surrogates, ...
QUESTIONS = {
    "audit": "Was this model trained on these pictures?",
    "evaluate": "How much does this model reveal of its training pictures?",
}
SETS = {"suspect": "suspect pictures", "unseen": "unseen pictures", "member": "training pictures"}
CHANNELS = {1: "grey", 3: "colour"}
LADDER = (
    ("Not estimable", "Too few pictures could be scored to say anything."),
    ("Scores only", "There is no comparison that a claim could rest on, or the comparison shows no difference."),
    ("Different, but so without the model", "A test that never looks at the model tells the sets apart as well."),
    ("Consistent with training", "The pictures stand out, provided that the unseen ones are of the same kind."),
    ("Randomised evidence", "Chance alone, drawn by the auditor, decided which pictures were used."),
)


def clean(text: str) -> str:
    """`text` without characters that hide or reorder others: each becomes U+FFFD, so that it is seen."""
    return "".join("\ufffd" if unicodedata.category(char) in HIDDEN else char for char in text)


def shorten(text: str, length: int = 80) -> str:
    """`text`, cleaned, with its middle left out when longer than `length` characters."""
    text = clean(text)
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"


def count(n: float | None) -> str:
    """A whole number with its thousands set apart."""
    return "—" if n is None else f"{n:,.0f}".replace(",", NARROW_SPACE)


def number(value: float | None, digits: int = 3) -> str:
    """A measured number to `digits` significant digits."""
    if value is None or not math.isfinite(value):
        return "—"
    if value == 0 or 1e-4 <= abs(value) < 10**digits:
        decimals = digits if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{decimals}f}".replace("-", "−")
    return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def share(value: float | None) -> str:
    """A fraction in [0, 1] as a percentage; never rounded up to 100 % or down to 0 %."""
    if value is None or not math.isfinite(value):
        return "—"
    percent = 100 * value
    shown = f"{percent:.1f}"
    if percent < 100 and shown == "100.0":
        return "> 99.9 %"
    if percent > 0 and shown == "0.0":
        return "< 0.1 %"
    return f"{shown.removesuffix('.0')} %"


def interval(bounds: list[float | None] | None, show: Any = number) -> str:
    """`low to high`, or a dash when the interval is not known."""
    if not bounds or len(bounds) != 2 or None in bounds:
        return "—"
    return f"{show(bounds[0])} to {show(bounds[1])}"


def p_value(p: float | None) -> str:
    """A p-value to two significant digits."""
    return "—" if p is None else number(p, 2)


def odds(p: float) -> str:
    """How often something of chance `p` is expected, for readers who do not think in decimals."""
    if p >= 0.095:
        return f"about {round(100 * p)} times in 100"
    return f"about once in {count(round(1 / p))}"


def needed(level: float) -> int:
    """How many unseen pictures a rate of `level` needs: zero alarms must bound it at 95 % confidence."""
    return math.ceil(math.log(0.05) / math.log1p(-level))


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th, ..."""
    suffix = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{count(n)}{suffix}"


def plural(n: int, one: str, many: str | None = None) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def moment(iso: str | None) -> str:
    """An ISO date as people write it; what is no date is shown as it stands."""
    if not iso:
        return "not recorded"
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    if when.tzinfo is None:
        return f"{when.day} {when:%B %Y, %H:%M}"
    when = when.astimezone(UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested choices as (dotted name, value as JSON or text) pairs, in the order in which they were recorded."""
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in flat(inner, f"{name}.{key}" if name else str(key))]
    return [(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]


def standing(restores: bool, below: int, n: int, hidden: bool = False) -> str:
    """One picture among the unseen: `below` of `n` unseen scores are lower than its own.

    restores: whether the score says how closely the hidden part was painted back (DRC), or is another kind of score.
    hidden: the picture is itself one of the unseen ones, which are then "other" pictures.
    """
    other = "other unseen" if hidden else "unseen"
    if n == 0:
        return "There is nothing to measure this score against."
    if restores:
        lead = "The model painted the hidden part back "
        if below == 0:
            return f"{lead}no closer to the original than for the least well restored of {count(n)} {other} pictures."
        lead += "closer to the original than for "
    else:
        lead = "The score is higher than for "
    if below == 0:
        return f"{lead}none of the {count(n)} {other} pictures."
    which = f"all {count(n)}" if below == n else f"{count(below)} of the {count(n)}"
    return f"{lead}{which} {other} pictures."


def expected(p: float | None) -> str:
    """What a conformal p-value says about one picture."""
    if p is None:
        return ""
    return f"Among pictures like the unseen ones, a score this high or higher is expected {odds(p)}."


def pairs(auc: float | None, bounds: list[float | None] | None) -> str:
    """The AUC as a game: which of two pictures was trained on?"""
    if auc is None:
        return "Too few pictures could be scored to estimate this."
    known = bounds and None not in bounds
    if known and bounds[0] <= 0.5 <= bounds[1]:
        return (
            "Given one training picture and one unseen picture, the attack tells which is which no better than a "
            "coin would, as far as these pictures can show."
        )
    ci = f" (95 % interval: {interval(bounds, share)})" if known else ""
    return f"Given one training picture and one unseen picture, the attack picks the right one {share(auc)} of the time{ci}."


def caught(level: float, rate: dict[str, Any] | None) -> tuple[str, str]:
    """TPR at FPR <= `level`: (what to print large, what it means)."""
    limit = f"1 in {count(round(1 / level))}"
    if not rate or not rate.get("estimable", rate.get("tpr") is not None):
        have, need = (rate or {}).get("n"), (rate or {}).get("needed") or needed(level)
        numbers = f"n = {count(have)}, need {count(need)}" if have is not None else f"need {count(need)}"
        return "not estimable", f"With false alarms kept to {limit} unseen pictures at most ({numbers} unseen pictures)."
    tpr, bounds = rate.get("tpr"), rate.get("tpr_ci")
    ci = f" (95 % interval: {interval(bounds, share)})" if bounds else ""
    return share(tpr), f"of the training pictures are recognised{ci} when false alarms are kept to {limit} at most."


def rate(level: float, record: dict[str, Any] | None) -> str:
    """TPR at FPR <= `level` as one cell of a table."""
    value, _ = caught(level, record)
    bounds = (record or {}).get("tpr_ci")
    if value == "not estimable":
        have, need = (record or {}).get("n"), (record or {}).get("needed") or needed(level)
        return f"not estimable ({f'n = {count(have)}, ' if have is not None else ''}need {count(need)})"
    return f"{value} ({interval(bounds, share)})" if bounds else value


def together(finding: dict[str, Any]) -> str:
    """What the test of the whole set found."""
    p = finding.get("p_value")
    if p is None:
        return ""
    return (
        f"All suspect pictures together: p = {p_value(p)}. If suspect and unseen pictures were alike to the model, "
        f"a difference this large would be expected {odds(p)}."
    )


def parameters(n: int) -> str:
    """The size of a model."""
    for unit, word in ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand")):
        if n >= unit:
            return f"{number(n / unit)} {word} parameters"
    return f"{count(n)} parameters"
