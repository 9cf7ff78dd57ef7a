"""Published against kept copies, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from trainedon.evidence import Audit, Evaluation
from trainedon.evidence.protocol.documents import TwinsTest
from trainedon.reporting import words

RESTS_ON = (
    "It rests on the coins having been tossed before training (their commitment, printed below, must have been made "
    "public by then), on their having been kept secret, and on no kept copy having been published."
)


@dataclass(frozen=True)
class TwinsSection:
    """What the section says, and (label, value) of its numbers."""

    text: str
    numbers: list[tuple[str, str]]


def twins_section(document: Audit | Evaluation) -> TwinsSection | None:
    """The section of an audit of twins; None for any other document."""
    test = document.twins if isinstance(document, Audit) else None
    if test is None:
        return None
    text = (
        f"Before it was published, {words.plural(test.n_kept + 1, 'copy', 'copies')} of each picture were made that "
        "serve equally well, and a secret coin chose the one to be published. A model that learnt from none of them "
        "cannot know how the coins fell, so it prefers a published copy as often as chance does. A model that was "
        "trained on the published copies prefers these."
    )
    numbers = [
        ("Pictures with twins", words.count(test.n)),
        ("of which all copies have a score", words.count(test.n_whole)),
        ("Published copy ahead of all kept ones", words.count(test.n_first)),
        ("as many by chance", words.number(test.expected_first)),
        ("p-value, over all ways that the coins could have fallen", words.p_value(test.p_value)),
    ]
    if test.control_p_value is not None:
        numbers.append(("p-value of the same on the control model", words.p_value(test.control_p_value)))
    if test.one_run is not None:
        numbers.append((f"Epsilon at least (delta {test.one_run.delta:g}, 95 %)", words.number(test.one_run.epsilon)))
    return TwinsSection(text, [*numbers, ("Commitment", test.commitment)])


def twins_standing(test: TwinsTest, p_value: float | None) -> str:
    """One published copy beside its kept ones. p_value: that of the picture."""
    if p_value is None:
        return "Not all of its copies have a score."
    if p_value * (test.n_kept + 1) < 1.5:
        return f"The published copy scores higher than its {words.plural(test.n_kept, 'kept copy', 'kept copies')}."
    return "A kept copy scores as high as the published one, or higher."


def twins_readings(document: Audit, test: TwinsTest) -> list[tuple[str, str]]:
    """(reader, sentence), as of any audit."""
    named, claim = document.n_named, document.claim
    first = f"{words.count(test.n_first)} of your {words.count(test.n)} pictures"
    ahead = f"The model prefers the published copy of {first} to all kept ones"
    ahead += f"; {words.number(test.expected_first)} are to be expected by chance."
    if claim.level > 1 and named:
        ahead += f" {words.count(named)} of them can be named, of which at most one in twenty is expected to be wrong."
    reason = f", because {claim.because}" if claim.because else ""
    exact = (
        f"Exact randomisation test (Quade's statistic, {words.plural(test.n_kept, 'kept copy', 'kept copies')} of each "
        f"picture, one-sided): p = {words.p_value(test.p_value)}, whatever the model, the score and the pictures are."
    )
    return [
        ("For whoever made the pictures", ahead),
        ("For a lawyer", f"Claim level {claim.level} of 4{reason}.{f' {RESTS_ON}' if claim.level == 4 else ''}"),
        ("For a statistician", exact),
    ]
