"""The expert's annex: what was asked and assumed, who chose what and when, and what would have refuted it.

Everything is taken from the record and the documents of the run; what they do not hold is said not to be recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainedon.evidence import Audit, Evaluation
from trainedon.evidence.protocol.claims import LEVEL, VIEWS
from trainedon.formats import RunRecord
from trainedon.formats.run_record import ListedEntry
from trainedon.reporting import sections, words
from trainedon.reporting.attack_table import strongest
from trainedon.reporting.control_table import FAILED, NOT_RUN, NOTED, TOO_FEW, Control
from trainedon.reporting.readings import tests_made
from trainedon.reporting.run_folder import RunFolder

LEVELS = ("0.05", "0.01", "0.001")
TESTS = {
    "first": "a permutation test of mean ranks under the first attack named",
    "cdi": "one test of all attacks together (CDI)",
    "mirror": "an exact sign-flip test under the first attack named",
    "mirror-cdi": "an exact sign-flip test of all attacks together",
    "twins": "an exact randomisation test over all ways that the coins could have fallen",
}
OF_ANY = (
    "The model that was scored is the one that the question is about. Otherwise nothing here speaks of that one; the "
    "digest says which it was.",
    "No choice of attack, setting or picture was made after scores of these pictures had been seen. Otherwise p-values "
    "are too small; earlier runs are counted as far as they are known.",
)
ALIKE = (
    "The unseen pictures were not used for training. Otherwise a model that was trained on both looks less trained on "
    "the suspects.",
    "Nothing but training sets suspects and unseen pictures apart. Otherwise a difference may have that other cause, "
    "and no claim of training can be made.",
)


@dataclass(frozen=True)
class AnnexEntry:
    """One heading of the annex, and what stands below it."""

    title: str
    lines: tuple[str, ...]


def annex(run: RunFolder, made: Sequence[Control]) -> list[AnnexEntry]:
    """The entries, in order. made: the controls of the run."""
    document = run.document
    measured = _errors(run, document) if isinstance(document, Evaluation) else _controls_erring(document, made)
    refuted = _refuting(document, made) if isinstance(document, Audit) else REFUTING_ESTIMATES
    return [
        AnnexEntry("Question", (words.QUESTIONS[sections.purpose(run)], _about(run))),
        AnnexEntry("Hypothesis", (_hypothesis(document),)),
        AnnexEntry("Who chose what, and when", _chosen(run)),
        AnnexEntry("Digests (SHA-256)", _digests(run)),
        AnnexEntry("Assumptions, and what each failure would do", (*_assumptions(document), *OF_ANY)),
        AnnexEntry("Error rates, measured on this run’s own controls", measured),
        AnnexEntry("What would have refuted it", refuted),
        AnnexEntry("To do it again", _again(run)),
    ]


REFUTING_ESTIMATES = (
    "That an attack tells training from unseen pictures is not shown where the interval of its AUC holds 0.5, nor is "
    "the opposite; where a control failed, it is in doubt.",
)


def _about(run: RunFolder) -> str:
    counts = [f"{words.count(given)} {name}" for name, given, _, _ in sections.sets(run)]
    return f"Of the model {words.shorten(run.record.model.name or 'not recorded')} and {' and '.join(counts)}."


def _hypothesis(document: Audit | Evaluation) -> str:
    if isinstance(document, Evaluation):
        return "None is tested: membership is taken as given, and rates and areas are estimated with intervals."
    rule = f"Rejected where p < {LEVEL}, one-sided, {_corrected(tests_made(document))}."
    if document.twins is not None:
        return f"That the model is indifferent as to which copy of a picture the coin published. {rule}"
    if document.by_mirror:
        view = document.mirror.view if document.mirror else "mirror"
        odds = words.number(document.mirror.odds, 3) if document.mirror else "2"
        return (
            f"That pictures come out ahead of their {VIEWS[view]} by chance alone, at most {odds} times as often as "
            f"behind. {rule}"
        )
    if document.randomised is not None:
        return f"That the model’s scores do not depend on which pictures the coin chose. {rule}"
    return f"That suspects and unseen pictures are exchangeable: their labels could be dealt anew by chance. {rule}"


def _corrected(tests: int) -> str:
    return f"after Holm’s correction for {tests} tests" if tests > 1 else "of one test"


def _chosen(run: RunFolder) -> tuple[str, ...]:
    record, document = run.record, run.document
    lines = [_when(record), "Who chose the pictures, and by which rule, is not recorded; whoever ran this can say."]
    if record.listed is None:
        lines.append("When the lists of pictures were settled is not recorded.")
    else:
        one = record.listed
        lines.append(f"The lists of pictures were settled {words.moment(one.at)}, before any of them was scored here.")
        lines.append(_asked_before(one))
    if document.randomised is not None:
        lines.append(f"Coins decided who was a member; their commitment is {document.randomised.commitment}.")
    if isinstance(document, Audit) and document.twins is not None:
        lines.append(f"Coins decided which copy was published; their commitment is {document.twins.commitment}.")
    attacks = ", ".join(words.shorten(attack.repr, 300) for attack in document.attacks)
    lines.append(f"Attacks, in the order named: {attacks}.")
    lines += [
        f"Added {words.moment(entry.at)}, when the scores of the others could be seen: "
        f"{', '.join(words.shorten(attack, 300) for attack in entry.attacks)}."
        for entry in record.added
    ]
    if isinstance(document, Audit):
        lines.append(f"The claim rests on {TESTS[record.choices.lead]}{_since_when(record)}.")
    return tuple(lines)


def _asked_before(listed: ListedEntry) -> str:
    """What earlier runs asked about, as far as known."""
    n = words.plural(listed.asked, "earlier run") if listed.asked else "No earlier run"
    asked = f"{n} on this model, as far as known, asked about more than half of these pictures"
    if not listed.kept:
        return f"{asked}; none of them had been scored before without a finding."
    with_others = f", together with {words.count(listed.left_out)} that are not asked about here"
    return (
        f"{asked}; {words.count(listed.kept)} of them had been scored before without a finding"
        f"{with_others if listed.left_out else ''}."
    )


def _when(record: RunRecord) -> str:
    """When scores were made; a table of them does not tell."""
    if record.identity.table:
        return f"Made of a table of scores {words.moment(record.started)}; when these were made is not recorded."
    return f"Begun {words.moment(record.started)}, last score written {words.moment(record.finished)}."


def _since_when(record: RunRecord) -> str:
    """Whether the test was chosen before there were scores, as far as the record can show."""
    if record.identity.table:
        return "; whether that was chosen before scoring is not recorded"
    return ", as chosen before scoring"


def _digests(run: RunFolder) -> tuple[str, ...]:
    record = run.record
    named = [
        ("model", record.model.digest),
        ("control model", record.control_model.digest if record.control_model else None),
        *((f"list of {name} pictures", digest) for name, digest in record.identity.pictures.items()),
        *record.files.items(),
    ]
    told = tuple(f"{name}: {digest.removeprefix('sha256:')}" for name, digest in named if digest)
    return told or ("Not recorded.",)


def _assumptions(document: Audit | Evaluation) -> tuple[str, ...]:
    if isinstance(document, Evaluation):
        return (
            "The training pictures were used for training, and the unseen ones were not, as whoever ran this has "
            "stated. Otherwise every figure is about another question.",
            ALIKE[1].replace("suspects", "training"),
        )
    if document.twins is not None or document.randomised is not None:
        return (
            "The coins were tossed before training and kept secret. Otherwise the split may have been chosen to suit, "
            "and chance no longer sets the two apart; the commitment is to have been public by then.",
            "Nothing that the coins held back was used or published. Otherwise a model that was trained on both looks "
            "less trained on either.",
        )
    if document.by_mirror:
        views = VIEWS[document.mirror.view if document.mirror else "mirror"]
        return (
            f"Such pictures and their {views} are about as likely. Otherwise a model that never saw them may prefer "
            "one way round, and a difference has that other cause.",
            f"The model was not trained on {views} as well. Otherwise a picture that was used does not show.",
        )
    return ALIKE


def _errors(run: RunFolder, document: Evaluation) -> tuple[str, ...]:
    """False alarms of the strongest attack, on the unseen pictures that had no part in its threshold."""
    best = strongest(run)
    lines = []
    for level in LEVELS:
        rate = best.rate(level)
        if rate is None or rate.fpr is None:
            lines.append(f"At a rate of {words.share(float(level))}: too few unseen pictures to measure one.")
            continue
        held = words.count(getattr(best.found, "n_evaluation", None))
        lines.append(
            f"At a threshold for {words.share(float(level))}: {words.share(rate.fpr)} of {held} unseen pictures that "
            f"had no part in setting it were named (95\u00a0% interval: {words.interval(rate.fpr_ci, words.share)})."
        )
    return (f"Of the strongest attack, {best.label}.", *lines)


def _controls_erring(document: Audit, made: Sequence[Control]) -> tuple[str, ...]:
    verdicts = [one.verdict for one in made]
    few, missing = verdicts.count(TOO_FEW), verdicts.count(NOT_RUN)
    lines = [
        f"Controls, in which nothing should be found: {words.count(len(made) - few - missing)} were run, and "
        f"{words.count(verdicts.count(FAILED))} of these found something; too few pictures to say: "
        f"{words.count(few)}; not run: {words.count(missing)}."
    ]
    if noted := verdicts.count(NOTED):
        lines.append(f"Noted in the table of controls, without lowering the claim: {words.count(noted)}.")
    control = document.attacks[0].unseen_control
    if control.p_value is not None and not document.by_mirror:
        lines.append(
            f"Unseen pictures against unseen pictures, under the first attack: p = {words.p_value(control.p_value)}."
        )
    lines.append(
        f"Where its hypothesis is true, the test itself errs in at most {words.share(LEVEL)} of runs by construction; "
        "a single run cannot measure that."
    )
    return tuple(lines)


def _refuting(document: Audit, made: Sequence[Control]) -> tuple[str, ...]:
    lines = [f"A p-value of {LEVEL} or more, after correction, ends at claim level 1, whatever the scores look like."]
    if document.claim.level < 3:
        lines.append(f"This run ended at claim level {document.claim.grade}: {document.claim.because}.")
    if made:
        lines.append(
            f"A control that fails keeps a claim at level 2. Asked were: {' '.join(one.question for one in made)}"
        )
    lines.append("The same pictures scoring as high on a model that cannot have seen them would speak against it.")
    return tuple(lines)


def _again(run: RunFolder) -> tuple[str, ...]:
    command = run.record.command
    return (
        f"Command: {command}" if command else "The command is not recorded.",
        "Statistics and this page from the stored scores: trainedon report RUN, where RUN is this folder.",
        "Whether they still agree: trainedon verify RUN",
    )
