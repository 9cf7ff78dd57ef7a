"""The controls of a run: what was found where nothing should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainedon.evidence import Audit, Evaluation
from trainedon.evidence.protocol.claims import LEVEL as CLAIM_LEVEL
from trainedon.evidence.protocol.detectable import could_not_fail
from trainedon.evidence.protocol.documents import (
    Blind,
    ConditioningControl,
    Counterpart,
    Duplicates,
    ModelControl,
    Sensitivity,
    SettledLists,
    SourceEvidence,
    UnseenControl,
)
from trainedon.evidence.protocol.mirror_test import answered
from trainedon.evidence.protocol.obstacles import ALIKE, FEWEST_HANDED, goes_along, too_few_handed
from trainedon.reporting import mirror_words, words
from trainedon.reporting.run_folder import RunFolder

PASSED, FAILED, NOT_RUN, NOTED, TOO_FEW = "passed", "failed", "not run", "noted", "too few to say"


@dataclass(frozen=True)
class Control:
    """One control: its question, what was found, and whether it passed, failed, was not run, had too few pictures to
    fail, or is to be noted."""

    question: str
    finding: str
    verdict: str


def controls(run: RunFolder) -> list[Control]:
    """Every control that the run's document knows of; an older document knows fewer."""
    document, drawn = run.document, run.document.randomised
    of_all = isinstance(document, Audit) and document.lead == "cdi"
    unseen = [attack.unseen_control for attack in document.attacks[: None if of_all else 1]]
    if isinstance(document, Audit) and document.by_mirror:
        return [*_of_mirror(document), _copies(document.duplicates), *_of_listing(document)]
    if isinstance(document, Audit) and document.twins is not None:
        finding = f"{words.count(document.twins.n)} pictures; commitment {document.twins.commitment[:16]}"
        question = "Did coins decide which copy of each picture was published?"
        return [Control(question, finding, PASSED), *_of_listing(document)]
    rows = [_blind(document.blind), *_mismatch(document.blind)]
    rows.append(_unseen(min(unseen, key=lambda one: 1 if one.p_value is None else one.p_value)))
    rows.append(_copies(document.duplicates))
    if document.asked is not None:
        rows.append(_conditioning(document.asked))
    lead = "cdi" if of_all else document.attacks[0].repr
    rows += [_on_control(one) for one in document.control_models if one.of == lead]
    elsewhere = any(goes_along(one) for one in document.control_models if one.of == lead)
    rows += [_mirrored(one, elsewhere) for one in document.sensitivity if one.of == lead]
    rows += _of_listing(document)
    if isinstance(document, Audit) and document.sources is not None:
        rows.append(_sources(document.sources))
    if drawn is not None:
        finding = f"{words.count(drawn.n_included)} included, {words.count(drawn.n_held_out)} held out; commitment "
        finding += drawn.commitment[:16]
        rows.append(Control("Did the auditor's coins decide, for every picture?", finding, PASSED))
    return rows


def doubt(made: Sequence[Control]) -> str:
    """What failed controls say of a comparison that found nothing: it is in doubt, whichever way it came out."""
    failed = [one.question for one in made if one.verdict == FAILED]
    if not failed:
        return ""
    return f"{words.plural(len(failed), 'control')} failed, so the comparison itself is in doubt: {' '.join(failed)}"


def _of_mirror(document: Audit) -> list[Control]:
    """Of an audit whose pictures are compared with views of themselves: how far chance goes."""
    test, handed = document.mirror, document.chirality
    if test is None:
        return []
    rows = []
    if test.view == "mirror":
        question = "Can the pictures be told from their mirror images without the model?"
        if handed is None:
            rows.append(
                Control(question, "the pictures were not there to be looked at, or are fewer than five", NOT_RUN)
            )
        else:
            told = "; ".join(f"by {one.name}: {words.share(one.share)} told right" for one in handed.views)
            finding = f"p = {words.p_value(handed.p_value)}; {told}"
            least = handed.detectable
            few = too_few_handed(handed)
            if few:
                finding += f"; it is seen from {FEWEST_HANDED} pictures on, and there are {handed.n}"
            elif not handed.finds and least is not None:
                finding += f"; {words.share(least)} told right would have been found in four cases of five"
            noted = NOTED if answered(test) else FAILED
            rows.append(Control(question, finding, noted if handed.finds else TOO_FEW if few else PASSED))
    question = "How far does chance favour such pictures?"
    verdict = NOT_RUN if test.odds_from == "assumed" else NOTED
    rows.append(Control(question, mirror_words.odds(test), verdict))
    return rows


def _of_listing(document: Audit | Evaluation) -> list[Control]:
    return [_listing(document.listing)] if isinstance(document, Audit) and document.listing is not None else []


def _blind(blind: Blind) -> Control:
    question = "Can the sets be told apart without the model?"
    if blind.separates is None:
        return Control(question, blind.reason or "no pictures were given", NOT_RUN)
    found = "; ".join(
        f"by {view.name}: AUC {words.number(view.auc)} ({words.interval(view.auc_ci)})" for view in blind.views
    )
    p = f"p = {words.p_value(blind.p_value)}" if blind.p_value is not None else ""
    missed = "" if blind.separates else _detectable(blind.detectable)
    told = "; ".join(filter(None, (p + missed, found)))
    return Control(question, told, FAILED if blind.separates else _passed(blind.detectable))


def _detectable(auc: float | None) -> str:
    """What a control that found nothing would have found; older documents do not say."""
    if not auc or could_not_fail(auc):
        return ""
    return f"; a difference of AUC {words.number(auc)} would have been found in four cases of five"


def _passed(auc: float | None) -> str:
    """The verdict of a control that found nothing, by what it would have found."""
    return TOO_FEW if could_not_fail(auc) else PASSED


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
    return Control(question, finding, FAILED if control.finds else _passed(control.detectable))


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


def _on_control(one: ModelControl) -> Control:
    question = "Does a control model, which cannot have seen any picture, show the difference too?"
    control = _counterpart(question, one, FAILED)
    if one.alike is None:
        return control
    told = f"{control.finding}; over unseen pictures its scores have a rank correlation of {words.number(one.alike)} "
    told += "with those of the audited model"
    if goes_along(one) or control.verdict != PASSED:
        return replace(control, finding=told)
    return Control(question, f"{told}, below {ALIKE:g}, so that finding nothing says little", NOTED)


def _mirrored(one: Sensitivity, asked_elsewhere: bool) -> Control:
    question = "Do mirrored pictures, which only a model trained on mirrored copies remembers, show the difference too?"
    # a model that was trained on mirrored copies remembers them too; a control model tells that apart
    return _counterpart(question, one, NOTED if asked_elsewhere else FAILED)


def _counterpart(question: str, one: Counterpart, otherwise: str) -> Control:
    if one.finds is None:
        return Control(question, "too few pictures could be scored there", NOT_RUN)
    finding = (
        f"AUC {words.number(one.effect)} ({words.interval(one.effect_ci)}), p = {words.p_value(one.p_value)} there"
    )
    if one.left_p_value is not None:
        finding += f"; what is left beyond it: AUC {words.number(one.left)}, p = {words.p_value(one.left_p_value)}"
    if one.effect_ci is not None and one.effect_ci[1] < 0.5:
        finding += ", so that it runs the other way there"
    finding += "" if one.finds else _detectable(one.detectable)
    missed = PASSED if one.finds else _passed(one.detectable)
    return Control(question, finding, otherwise if one.caps else missed)


def _listing(listing: SettledLists) -> Control:
    question = "Were the pictures listed before any was scored?"
    told = "their lists were settled first"
    if listing.asked:
        told += f"; {words.plural(listing.asked, 'earlier run')} asked about most of them"
    chosen = listing.chosen
    if chosen is None:
        return Control(question, told, PASSED)
    told += (
        f"; but {words.count(chosen.kept)} of them had been scored before without a finding, with "
        f"{words.count(chosen.left_out)} that are left out here; as if chosen by these scores, "
        f"p = {words.p_value(chosen.p_value)}"
    )
    return Control(question, told, NOTED if chosen.p_value < CLAIM_LEVEL else FAILED)


def _sources(sources: SourceEvidence) -> Control:
    question = "Are works of one source compared as one?"
    m, n = sources.n_suspect_sources, sources.n_unseen_sources
    how = "within each source" if sources.by == "within" else "by whole sources"
    finding = f"{words.plural(m, 'source')} among the suspects, {words.count(n)} among the unseen; labels dealt {how}"
    if sources.smallest_p is None:
        return Control(question, f"{finding}, which leaves no test", NOT_RUN)
    finding += f", at best p = {words.p_value(sources.smallest_p)}; correlation of scores within a source "
    return Control(question, finding + words.number(sources.intraclass, 2), PASSED)


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
