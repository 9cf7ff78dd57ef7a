"""The controls of a run: what was found where nothing should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainedon.report import words
from trainedon.report.folder import RunFolder

PASSED, FAILED, NOT_RUN, NOTED = "passed", "failed", "not run", "noted"


@dataclass(frozen=True)
class Control:
    """One control: its question, what was found, and whether it passed, failed, was not run, or is to be noted."""

    question: str
    finding: str
    verdict: str


def controls(run: RunFolder) -> list[Control]:
    """Every control that the run's document knows of; an older document knows fewer."""
    blind, copies = run.document.get("blind") or {}, run.document.get("duplicates")
    rows = [*_blind(blind), *_mismatch(blind)]
    attacks = run.document.get("attacks") or []
    known = [attack["unseen_control"] for attack in attacks if attack.get("unseen_control") is not None]
    if run.document.get("lead") != "cdi":
        known = known[:1]
    if known:
        rows.append(_unseen(min(known, key=lambda one: 1 if one["p_value"] is None else one["p_value"])))
    if copies is not None:
        rows.append(_copies(copies))
    if run.document.get("asked") is not None:
        rows.append(_asked(run.document["asked"]))
    drawn = run.document.get("randomised")
    if drawn is not None:
        finding = (
            f"{words.count(drawn['n_included'])} included, {words.count(drawn['n_held_out'])} held out; commitment "
        )
        finding += drawn["commitment"][:16]
        rows.append(Control("Did the auditor's coins decide, for every picture?", finding, PASSED))
    return rows


def _blind(blind: dict[str, Any]) -> list[Control]:
    question = "Can the sets be told apart without the model?"
    if blind.get("separates") is None:
        return [Control(question, str(blind.get("reason") or "no pictures were given"), NOT_RUN)]
    views = blind.get("views") or [{"name": "files and colours", "auc": blind["auc"], "auc_ci": blind.get("auc_ci")}]
    found = "; ".join(
        f"by {view['name']}: AUC {words.number(view['auc'])} ({words.interval(view.get('auc_ci'))})" for view in views
    )
    p = f"; p = {words.p_value(blind['p_value'])}" if blind.get("p_value") is not None else ""
    return [Control(question, found + p, FAILED if blind["separates"] else PASSED)]


def _mismatch(blind: dict[str, Any]) -> list[Control]:
    questions = {"codec_mismatch": "Do file formats differ?", "resolution_mismatch": "Do sizes differ?"}
    return [
        Control(question, "they do" if blind[key] else "no", FAILED if blind[key] else PASSED)
        for key, question in questions.items()
        if blind.get(key) is not None
    ]


def _unseen(control: dict[str, Any]) -> Control:
    question = "Do unseen pictures differ from unseen pictures?"
    if control.get("finds") is None:
        return Control(question, "too few of them to say", NOT_RUN)
    finding = f"p = {words.p_value(control['p_value'])}; it fails below {control['level']:g}"
    return Control(question, finding, FAILED if control["finds"] else PASSED)


def _asked(asked: dict[str, Any]) -> Control:
    question = "Is the model asked alike about both sets?"
    ways = {
        "given": "by classes given",
        "folders": "by classes that folders name",
        "inferred": "by classes that it infers",
        "none": "without a class",
        "own": "by captions of their own",
        "one": "by one caption",
        "missing": "without a caption",
    }
    said = [
        f"{words.SETS[name]}: " + ", ".join(f"{words.count(n)} {ways[way]}" for way, n in counts.items())
        for name, counts in asked["ways"].items()
        if counts
    ]
    if asked["classes_p_value"] is not None:
        said.append(f"classes spread alike, p = {words.p_value(asked['classes_p_value'])}")
    return Control(question, "; ".join(said), FAILED if asked["differs"] else PASSED)


def _copies(copies: dict[str, Any]) -> Control:
    question = "Does a picture count twice?"
    if not copies["sought"]:
        return Control(question, "near-duplicates could not be looked for", NOT_RUN)
    left = copies["n_exact"] + copies["n_near"]
    if not left:
        return Control(question, "no copies were found", PASSED)
    across = f"; {words.plural(copies['n_across'], 'group')} in both sets" if copies["n_across"] else ""
    exact = f"{words.plural(copies['n_exact'], 'exact copy', 'exact copies')}, " if copies["n_exact"] else ""
    finding = f"{exact}{words.plural(copies['n_near'], 'near-duplicate')} left out{across}"
    return Control(question, finding, NOTED if copies["n_across"] else PASSED)
