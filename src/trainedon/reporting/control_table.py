"""The controls of a run: what was found where nothing should be."""

from __future__ import annotations

from dataclasses import dataclass

from trainedon.evidence import Audit
from trainedon.evidence.protocol.documents import Blind, ConditioningControl, Duplicates, UnseenControl
from trainedon.reporting import words
from trainedon.reporting.run_folder import RunFolder

PASSED, FAILED, NOT_RUN, NOTED = "passed", "failed", "not run", "noted"


@dataclass(frozen=True)
class Control:
    """One control: its question, what was found, and whether it passed, failed, was not run, or is to be noted."""

    question: str
    finding: str
    verdict: str


def controls(run: RunFolder) -> list[Control]:
    """Every control that the run's document knows of; an older document knows fewer."""
    document, drawn = run.document, run.document.randomised
    of_all = isinstance(document, Audit) and document.lead == "cdi"
    unseen = [attack.unseen_control for attack in document.attacks[: None if of_all else 1]]
    rows = [_blind(document.blind), *_mismatch(document.blind)]
    rows.append(_unseen(min(unseen, key=lambda one: 1 if one.p_value is None else one.p_value)))
    rows.append(_copies(document.duplicates))
    if document.asked is not None:
        rows.append(_conditioning(document.asked))
    if drawn is not None:
        finding = f"{words.count(drawn.n_included)} included, {words.count(drawn.n_held_out)} held out; commitment "
        finding += drawn.commitment[:16]
        rows.append(Control("Did the auditor's coins decide, for every picture?", finding, PASSED))
    return rows


def _blind(blind: Blind) -> Control:
    question = "Can the sets be told apart without the model?"
    if blind.separates is None:
        return Control(question, blind.reason or "no pictures were given", NOT_RUN)
    found = "; ".join(
        f"by {view.name}: AUC {words.number(view.auc)} ({words.interval(view.auc_ci)})" for view in blind.views
    )
    p = f"; p = {words.p_value(blind.p_value)}" if blind.p_value is not None else ""
    missed = "" if blind.separates else _detectable(blind.detectable)
    return Control(question, found + p + missed, FAILED if blind.separates else PASSED)


def _detectable(auc: float | None) -> str:
    """What a control that found nothing would have found; older documents do not say."""
    return f"; a difference of AUC {words.number(auc)} would have been found in four cases of five" if auc else ""


def _mismatch(blind: Blind) -> list[Control]:
    questions = (
        ("Do file formats differ?", blind.codec_mismatch),
        ("Do sizes differ?", blind.resolution_mismatch),
    )
    return [
        Control(question, "they do" if differs else "no", FAILED if differs else PASSED)
        for question, differs in questions
        if differs is not None
    ]


def _unseen(control: UnseenControl) -> Control:
    question = "Do unseen pictures differ from unseen pictures?"
    if control.finds is None:
        return Control(question, "too few of them to say", NOT_RUN)
    finding = f"p = {words.p_value(control.p_value)}; it fails below {control.level:g}"
    finding += "" if control.finds else _detectable(control.detectable)
    return Control(question, finding, FAILED if control.finds else PASSED)


def _conditioning(control: ConditioningControl) -> Control:
    question = "Is the model conditioned alike for both sets?"
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
        for name, counts in control.ways.items()
        if counts
    ]
    if control.classes_p_value is not None:
        said.append(f"classes spread alike, p = {words.p_value(control.classes_p_value)}")
    return Control(question, "; ".join(said), FAILED if control.differs else PASSED)


def _copies(copies: Duplicates) -> Control:
    question = "Does a picture count twice?"
    if not copies.sought:
        return Control(question, "near-duplicates could not be looked for", NOT_RUN)
    if not copies.n_exact + copies.n_near:
        return Control(question, "no copies were found", PASSED)
    across = f"; {words.plural(copies.n_across, 'group')} in both sets" if copies.n_across else ""
    exact = f"{words.plural(copies.n_exact, 'exact copy', 'exact copies')}, " if copies.n_exact else ""
    finding = f"{exact}{words.plural(copies.n_near, 'near-duplicate')} left out{across}"
    return Control(question, finding, NOTED if copies.n_across else PASSED)
