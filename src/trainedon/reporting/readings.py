"""The answer in the words of those who ask: whoever made the pictures, whoever argues about them, whoever checks."""

from __future__ import annotations

import math
import re

from markupsafe import Markup

from trainedon.evidence import Audit
from trainedon.evidence.protocol.claims import LEVEL, VIEWS
from trainedon.evidence.protocol.documents import PowerAnalysis
from trainedon.reporting import mirror_words, words
from trainedon.reporting.run_folder import RunFolder
from trainedon.reporting.twins_section import twins_readings

OTHERWISE = ": to explain it otherwise, "
END = re.compile(r"(?<=\.) (?=[A-Z])")
FOUND = 2  # the claim level from which a difference was found
TRAINING = 3  # the claim level from which on one speaks of training
CONDITIONS = {
    0: "Nothing follows from it.",
    1: "It neither accuses the model nor clears it.",
    2: f"The pictures are {words.PERHAPS}, so it must not be read as a sign of training.",
    3: "It rests on one condition that no statistic can check in full: that nothing but training sets the unseen "
    "pictures apart from the others. It does not say of any one picture that it was used.",
    4: "It rests on the draw having been fixed before training (its commitment, printed below, must have been made "
    "public by then), on its coins having been kept secret, and on the model having been given what they chose and "
    "nothing that they held out. It does not say of any one picture that it was used.",
}


def readings(run: RunFolder) -> list[tuple[str, str]]:
    """(reader, sentence) for an audit; nothing for an evaluation, whose numbers stand at the top."""
    document = run.document
    if not isinstance(document, Audit):
        return []
    if document.twins is not None:
        return twins_readings(document, document.twins)
    return [
        ("For whoever made the pictures", _maker(document)),
        ("For a lawyer", _lawyer(document)),
        ("For a statistician", _statistician(document)),
    ]


def _maker(document: Audit) -> str:
    """What follows from the claim for whoever made the pictures; single pictures are told of in its light."""
    level, named = document.claim.level, document.n_named
    n = sum(1 for one in document.pictures if one.score is not None and not one.near)
    if document.n_not_listed:
        n = document.attacks[0].n_suspects
    if not n:
        return "None of your pictures could be scored, so nothing can be said about them."
    if document.by_mirror and document.mirror is not None and named is None:
        return "Pictures of one source hang together, so nothing is said about single ones."
    if named is None:
        return "There is nothing to compare your pictures with, so nothing can be said about them."
    if level < FOUND:
        return _without_finding(document, n, named)
    if not named:
        return _together_only(document, n)
    what_follows = _part(document) if level >= TRAINING else _perhaps(n)
    return Markup("{} {}").format(_which(document, n, named), what_follows).rstrip()


def _without_finding(document: Audit, n: int, named: int) -> str:
    """Of a claim below a difference: nothing follows from single pictures either."""
    if document.claim.level == 0:
        nothing = f"Nothing follows for your {'pictures' if n > 1 else 'picture'}, because {document.claim.because}."
    else:
        nothing = "Your pictures together show no sign of training; that does not show that they were not used."
    if not named:
        return f"{nothing} None of them stands out by itself either." if n > 1 else nothing
    if n == 1:
        return f"{nothing} It scores higher than {_others(document, 1)}, which by itself is no sign of training."
    return f"{nothing} {words.count(named)} of the {words.count(n)} score higher than {_others(document, named)}, " + (
        "which by itself is no sign of training."
    )


def _together_only(document: Audit, n: int) -> str:
    """Of a difference between the sets without a picture that can be named."""
    together = f"Together your pictures stand out from {_others(document, n)}."
    if document.claim.level < TRAINING:
        return f"{together} {_perhaps(n)} None of them can be named by itself, {_why_none(document)}."
    return f"{together} {_part(document)}".rstrip() + f" Which ones cannot be said, {_why_none(document)}."


def _perhaps(n: int) -> str:
    return f"{'They are' if n > 1 else 'It is'} {words.PERHAPS}."


def _why_none(document: Audit) -> str:
    """Why no picture can be named although the pictures as a set stand out."""
    n, level = document.attacks[0].n_unseen, document.false_discovery_rate
    if document.by_mirror and document.mirror is not None:
        takes = math.ceil(document.mirror.odds / level)  # of the knockoff filter
        if document.mirror.n_positive < takes:
            return f"because that takes {words.plural(takes, 'picture')} that are ahead"
    if not document.by_mirror and 1 / (n + 1) > level:
        return f"because {words.plural(n, 'unseen picture')} are too few to name any"
    return "because no single score is far enough out for that"


def _which(document: Audit, n: int, named: int) -> str:
    """How many pictures stand out, and which of them most."""
    if n == 1:
        return f"Your picture stands out from {_others(document, 1)}."
    first = next(one for one in document.pictures if one.score is not None and not one.near)
    stand = "stand" if named > 1 else "stands"
    which = f"{words.count(named)} of your {words.count(n)} pictures {stand} out from {_others(document, named)}"
    return Markup("{}, {} most of all.").format(which, words.named(first.picture))


def _others(document: Audit, named: int) -> str:
    """What so many pictures are compared with."""
    if not document.by_mirror or document.mirror is None:
        return "those that the model never saw"
    view = document.mirror.view
    return f"their {VIEWS[view]}" if named > 1 else f"its {mirror_words.VIEW[view]}"


def claimed(document: Audit) -> tuple[str, str]:
    """The claim as its first sentence, which is printed large, and the rest. What would have to be so to explain the
    scores of pictures and their mirror images otherwise is told with their test."""
    first, otherwise, rest = document.claim.sentence.partition(OTHERWISE)
    if otherwise:
        return f"{first}.", rest.partition(". ")[2]
    first, *others = END.split(document.claim.sentence, maxsplit=1)
    return first, "".join(others)


def _part(document: Audit) -> str:
    part = document.set.part
    if part is None or part.ci[0] <= 0:
        return ""
    low, estimate = words.share(part.ci[0]), words.share(part.estimate)
    return (
        f"By estimate {estimate} of all score higher than if the model treated them like those. What is certain to "
        f"95\u00a0% is at least {low}: a lower limit, which is far lower where pictures are few, and no count."
    )


def _lawyer(document: Audit) -> str:
    claim = document.claim
    reason = f", because {claim.because}" if claim.because else ""
    condition = CONDITIONS[claim.level]
    if claim.assumption == "mirror" and document.mirror is not None:
        condition = mirror_words.CONDITION.format(views=VIEWS[document.mirror.view])
    return f"Claim level {claim.grade} of 4{reason}. {condition}"


def _statistician(document: Audit) -> str:
    test, cdi = document.set, document.cdi
    if document.by_mirror:
        if document.mirror is None:
            return "No test was possible: no picture has a score that differs from that of its mirror image."
        made = tests_made(document)
        text = mirror_words.statistician(document.mirror, made, corrected=made > 1)
        together = document.mirror_together
        if together is not None and together != document.mirror:
            text += f" All attacks together (mean signed ranks): p = {words.p_value(together.p_value_holm)}."
        return text
    if test.p_value is None:
        return "No test of the set was possible: it takes scored pictures on both sides."
    corrected, first = tests_made(document), document.attacks[0]
    holm = f"; {words.p_value(test.p_value_holm)} after Holm's correction for {corrected} tests"
    permutations = f"{words.count(test.n_permutations)} permutations{holm if corrected > 1 else ''}"
    text = (
        f"One-sided permutation test of mean ranks, {words.count(first.n_suspects)} suspects against "
        f"{words.count(first.n_unseen)} unseen pictures, near-duplicates counted once: "
        f"p = {words.p_value(test.p_value)} ({permutations}). "
        f"AUC {words.number(test.effect)} ({words.interval(test.effect_ci)})."
    )
    if cdi is not None:
        text += f" All attacks together (CDI): AUC {words.number(cdi.effect)}, p = {words.p_value(cdi.p_value_holm)}."
        if cdi.opposite is not None and cdi.opposite < LEVEL:
            text += f" By all attacks together the suspects score lower: p = {words.p_value(cdi.opposite)}, two-sided."
    return f"{text} {_needed(test.needed)}".rstrip()


def tests_made(document: Audit) -> int:
    """How many tests of the set were made, and corrected for."""
    if document.by_mirror:
        every = [*(attack.mirror for attack in document.attacks), document.mirror_together]
        return sum(test is not None for test in every)
    tests = [attack.set.p_value for attack in document.attacks] + [document.cdi and document.cdi.p_value]
    return sum(p_value is not None for p_value in tests)


def _needed(needed: PowerAnalysis | None) -> str:
    if needed is None or needed.each is None:
        return ""
    power = f"in {words.share(needed.power)} of cases"
    if needed.suspects is not None:
        return f"At this effect {words.plural(needed.suspects, 'suspect')} would reach p < {needed.p:g} {power}."
    return f"At this effect it takes {words.count(needed.each)} pictures a side to reach p < {needed.p:g} {power}."
