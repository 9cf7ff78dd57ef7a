"""Numbers and findings in plain English. Nothing here says more than the number that it words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from trainedon.evidence.protocol.documents import OneRun, Rate, SetEvidence
from trainedon.evidence.statistics import thresholds
from trainedon.redact import clean

Bounds = tuple[float, float]
NARROW_SPACE = "\u202f"
QUESTIONS = {
    "audit": "Was this model trained on these pictures?",
    "evaluate": "How much does this model reveal of its training pictures?",
    "sweep": "Which settings of this attack tell training pictures from unseen ones best?",
    "peaks": "Do training pictures lie on sharper peaks of what this model has learnt?",
}
KINDS = {"audit": "audit", "evaluate": "evaluation"}
SETS = {
    "suspect": "suspect pictures",
    "unseen": "unseen pictures",
    "member": "training pictures",
    "kept": "kept copies",
}
CHANNELS = {1: "grey", 3: "colour"}
PERHAPS = "different, perhaps not by training"  # what claim level 2 is called, wherever it is spoken of
LADDER = (
    ("Not estimable", "Too few pictures could be scored to say anything."),
    (
        "Scores alone, or nothing found",
        "There is nothing to compare with, or the comparison shows no sign of training.",
    ),
    (PERHAPS.capitalize(), "The sets may differ by themselves, without the model."),
    ("Consistent with training", "The pictures stand out, and nothing else was found that sets them apart."),
    ("Randomised evidence", "Chance, drawn by the auditor, decided which pictures were used."),
)


def called(set_name: str, *, by_view: bool) -> str:
    """What a set is called. by_view: unseen pictures are a reference alone, since none is compared with them."""
    return "reference pictures" if by_view and set_name == "unseen" else SETS[set_name]


def shorten(text: str, length: int = 80) -> str:
    """`text`, cleaned, with its middle left out when longer than `length` characters."""
    text = clean(text)
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"


def named(text: str) -> Markup:
    """A name in a sentence of the page, shortened, and left as it is in other languages."""
    return Markup('<span translate="no">{}</span>').format(shorten(text))


def count(n: float | None) -> str:
    """A whole number with its thousands set apart."""
    return "—" if n is None else f"{n:,.0f}".replace(",", NARROW_SPACE)


def number(value: float | None, digits: int = 3) -> str:
    """A measured number to `digits` significant digits."""
    if value is None or not math.isfinite(value):
        return "—"
    if value == round(value) and abs(value) < 10**6:
        return count(value).replace("-", "−")
    if 1e-4 <= abs(value) < 10**digits:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{decimals}f}".replace("-", "−")
    return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def share(value: float | None) -> str:
    """A fraction in [0, 1] as a percentage; never rounded up to 100 % or down to 0 %."""
    if value is None or not math.isfinite(value):
        return "—"
    percent = 100 * value
    shown = f"{percent:.1f}"
    if percent < 100 and shown == "100.0":
        return "more than 99.9\u00a0%"
    if percent > 0 and shown == "0.0":
        return "less than 0.1\u00a0%"
    return f"{shown.removesuffix('.0')}\u00a0%"


def interval(bounds: Bounds | None, show: Callable[[float | None], str] = number) -> str:
    """`low to high`, or a dash when the interval is not known."""
    return f"{show(bounds[0])} to {show(bounds[1])}" if bounds else "—"


def p_value(p: float | None) -> str:
    """A p-value to two significant digits."""
    text = number(p, 2)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def odds(p: float) -> str:
    """How often something of chance `p` is expected, for readers who do not think in decimals."""
    if p >= 0.995:
        return "every time"
    if p >= 0.095:
        return f"about {round(100 * p)} times in 100"
    return f"about once in {count(round(1 / p))}"


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


def standing(restores: str | None, below: int, n: int, hidden: bool = False) -> str:
    """One picture among the unseen: `below` of `n` unseen scores are lower than its own.

    restores: what the score says: how closely a `hidden` part was painted back, how closely a `noised` picture came
    back, next to its mirror images; None for another kind of score.
    hidden: the picture is itself one of the unseen ones, which are then "other" pictures.
    """
    other = "other unseen" if hidden else "unseen"
    if n == 0:
        return "There is nothing to measure this score against."
    if restores:
        lead = (
            "The model painted the hidden part back "
            if restores == "hidden"
            else "Next to its mirror images, the model brought this picture back from noise "
        )
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


def pairs(auc: float | None, bounds: Bounds | None) -> str:
    """The AUC as a game: which of two pictures was trained on?"""
    if auc is None:
        return "Too few pictures could be scored to estimate this."
    if bounds and bounds[0] <= 0.5 <= bounds[1]:
        return (
            "Given one training picture and one unseen picture, the attack tells which is which no better than a "
            "coin would, as far as these pictures can show."
        )
    ci = f" (95\u00a0% interval: {interval(bounds, share)})" if bounds else ""
    game = "Given one training picture and one unseen picture, the attack picks the right one"
    return f"{game} {share(auc)} of the time{ci}."


def caught(level: str, found: Rate | None, n: int) -> tuple[str, str]:
    """TPR at FPR <= `level` with `n` unseen pictures: (what to print large, what it means)."""
    limit = f"1 in {count(round(1 / float(level)))}"
    if found is None or found.tpr is None:
        why = _why_not(level, found, n)
        return "not estimable", f"How many training pictures are recognised with false alarms kept to {limit} ({why})."
    ci = f" (95\u00a0% interval: {interval(found.tpr_ci, share)})" if found.tpr_ci else ""
    return share(found.tpr), f"of the training pictures are recognised{ci} when false alarms are kept to {limit}."


def rate(level: str, found: Rate | None, n: int) -> tuple[str, str]:
    """TPR at FPR <= `level` as one cell of a table: (what to print, its interval or why there is none)."""
    if found is None or found.tpr is None:
        return "not estimable", _why_not(level, found, n)
    return share(found.tpr), interval(found.tpr_ci, share) if found.tpr_ci else ""


def _why_not(level: str, found: Rate | None, n: int) -> str:
    """Why there is no TPR at a level."""
    need = thresholds.unseen_needed(level) if found is None else found.needed
    return f"n\u00a0=\u00a0{count(n)}, need\u00a0{count(need)}" if n < need else "no training picture was scored"


def together(finding: SetEvidence, attacks: int) -> str:
    """What the test of the whole set found, after correction for the number of tests made."""
    raw, holm, effect = finding.p_value, finding.p_value_holm, finding.effect
    p = raw if holm is None else holm
    if p is None:
        return ""
    corrected = f" (corrected for {attacks} tests)" if attacks > 1 and holm is not None else ""
    ci = f" (95\u00a0% interval: {interval(finding.effect_ci, share)})" if finding.effect_ci else ""
    pair = f" In {share(effect)} of pairs{ci} the suspect picture scores higher than the unseen one." if effect else ""
    return (
        f"All suspect pictures together: p = {p_value(p)}{corrected}. If the model treated suspect and unseen pictures "
        f"alike, a difference this large would be expected {odds(p)}.{pair}"
    )


def leaks(bound: OneRun | None) -> str:
    """What one training run with coins says of its privacy."""
    if bound is None:
        return ""
    right = f"{count(bound.correct)} of {count(bound.guesses)} guesses were right"
    if not bound.epsilon:
        return f"By its coins no leak was shown: {right}, no more than chance explains."
    return (
        f"By its coins the training is not differentially private with an epsilon below {number(bound.epsilon)} "
        f"(delta {bound.delta:g}, {share(bound.confidence)} confidence): {right}."
    )


def parameters(n: int) -> str:
    """The size of a model."""
    for unit, word in ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand")):
        if n >= unit:
            return f"{number(n / unit)} {word} parameters"
    return f"{count(n)} parameters"
