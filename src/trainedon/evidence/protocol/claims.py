"""The claim ladder: what may be said, decided by rule from tests and controls, never by a person's choice of words.

0 not estimable; 1 scores alone, or nothing found; 2 a difference that may have other causes than training; 3 consistent
with training, given exchangeable unseen pictures; 4 randomised evidence: a coin of the auditor's decided which pictures
the model was given.
"""

from __future__ import annotations

from trainedon.evidence.protocol.documents import Blind, Cdi, Claim, ConditioningControl, SetEvidence, UnseenControl
from trainedon.evidence.statistics.pvalues import PERMUTATIONS, smallest_p

LEVEL = 0.01  # a set p-value below this, after Holm's correction, is a finding
FOUND = 3  # the level of claims from which on one speaks of training

NOTHING = "No sign of training was found; this does not show that the pictures were not used."
ALONE = (
    "These are scores alone: without pictures that the model cannot have seen there is nothing to compare them with, "
    "so they do not say whether the pictures were used for training."
)
DIFFERENT = (
    "The suspect pictures score higher than the unseen ones, but the two sets also differ by themselves, without the "
    "model, so the difference cannot be put down to training."
)
UNCHECKED = (
    "The suspect pictures score higher than the unseen ones, but it could not be checked whether the two sets differ "
    "by themselves, so the difference cannot be put down to training."
)
ASKED_DIFFERENTLY = (
    "The suspect pictures score higher than the unseen ones, but the model was not asked alike about the two sets, so "
    "the difference cannot be put down to training."
)
UNSTEADY = (
    "The suspect pictures score higher than the unseen ones, but the unseen ones also differ among themselves where "
    "chance divided them, so something is wrong with the scores and the difference cannot be put down to training."
)
CONSISTENT = (
    "The scores are consistent with training on at least some of the suspect pictures, given that nothing else sets "
    "these apart from the unseen pictures (that the two are exchangeable)."
)
RANDOMISED = (
    "The auditor's coin decided which pictures the model was to be given, and those that it chose score higher than "
    "those that it held out. If the draw was fixed before training, as its published commitment can show, chance alone "
    "set the two apart, and this is randomised evidence of training on them."
)


def is_found(evidence: SetEvidence | Cdi | None) -> bool:
    """Whether the suspects as a set score higher than unseen pictures, after correction for all tests made."""
    return evidence is not None and evidence.p_value_holm is not None and evidence.p_value_holm < LEVEL


def claim(
    evidence: SetEvidence | Cdi | None,
    blind: Blind,
    control: UnseenControl,
    *,
    suspects: int,
    unseen: int,
    given_unseen: bool,
    tests: int = 1,
    randomised: bool = False,
    conditioning: ConditioningControl | None = None,
) -> Claim:
    """The claim that one of `tests` tests carries; `evidence` is None where it could not be made.

    `suspects` and `unseen` count the pictures that count in it; `given_unseen`: whether any unseen pictures were given;
    `randomised`: whether coins, checked, decided which pictures are suspects; `conditioning`: the control of what
    the model was conditioned on, if there is one.
    """
    if suspects == 0:
        return _not_estimable("no suspect picture could be scored")
    if not given_unseen:
        return Claim(level=1, sentence=ALONE, because="no unseen pictures were given")
    if unseen == 0:
        return _not_estimable("no unseen picture could be scored")
    counts = f"suspect pictures: {suspects}, unseen pictures: {unseen}, tests made: {tests}"
    if evidence is None:
        return _not_estimable(f"CDI needs two attacks and 20 pictures a side ({counts})")
    if max(1, tests) * max(smallest_p(suspects, unseen), 1 / (1 + PERMUTATIONS)) >= LEVEL:
        return _not_estimable(f"no outcome could give a p-value below {LEVEL} ({counts})")
    measured = f"the p-value of the set is {evidence.p_value_holm:.2g}"
    if not is_found(evidence):
        return Claim(level=1, sentence=NOTHING, because=f"{measured}, not below {LEVEL}")
    if control.finds:
        because = f"{measured}, but unseen pictures differ from unseen pictures too (p = {control.p_value:.2g})"
        return Claim(level=2, sentence=UNSTEADY, because=because)
    if conditioning is not None and conditioning.differs:
        return Claim(level=2, sentence=ASKED_DIFFERENTLY, because=f"{measured}, but {conditioning.because}")
    failed = {
        "the blind baseline separates the sets": blind.separates,
        "file formats differ": blind.codec_mismatch,
        "sizes differ": blind.resolution_mismatch,
    }
    if any(failed.values()):
        because = f"{measured}, but {', '.join(words for words, failing in failed.items() if failing)}"
        return Claim(level=2, sentence=DIFFERENT, because=because)
    if blind.separates is None:
        because = f"{measured}, but the blind baseline was not run: {blind.reason}"
        return Claim(level=2, sentence=UNCHECKED, because=because)
    # Only after all controls: whoever knows the pictures can search for a secret whose coins deal out sets that differ.
    if randomised:
        return Claim(level=4, sentence=RANDOMISED, because=f"{measured}, and every coin was checked")
    return Claim(level=3, sentence=CONSISTENT, because=f"{measured}, and the blind baseline does not separate the sets")


def _not_estimable(because: str) -> Claim:
    return Claim(level=0, sentence=f"Not estimable: {because}.", because=because)
