"""The claim ladder: what may be said, decided by rule from tests and controls, never by a person's choice of words.

0 not estimable; 1 scores alone, or nothing found; 2 different, perhaps not by training; 3 consistent
with training, given exchangeable unseen pictures; 4 randomised evidence: a coin of the auditor's decided which pictures
the model was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trainedon.evidence.protocol.documents import Cdi, Claim, MirrorTest, SetEvidence, SourceEvidence, TwinsTest
from trainedon.evidence.protocol.mirror_test import smallest_p as smallest_sign_p
from trainedon.evidence.protocol.obstacles import Obstacle
from trainedon.evidence.protocol.rules import Rules
from trainedon.evidence.statistics.pvalues import smallest_p

LEVEL = 0.01  # a set p-value below this, after Holm's correction, is a finding
FOUND = 3  # the level of claims from which on one speaks of training

NOTHING = "No sign of training was found; this does not show that the pictures were not used."
NO_SUSPECT = "no suspect picture counts: none has a score, or others that they look like count in their place"
NO_UNSEEN = "no unseen picture counts: none has a score, or others that they look like count in their place"
ALONE = (
    "These are scores alone: without pictures that the model cannot have seen there is nothing to compare them with, "
    "so they do not say whether the pictures were used for training."
)
OPPOSITE = (
    "The suspect pictures score lower than the unseen ones: the two sets differ, in the direction that speaks against "
    "training. This does not show that the pictures were not used."
)
CONSISTENT = (
    "The scores are consistent with training on at least some of the suspect pictures, given that nothing else sets "
    "these apart from the unseen pictures (that the two are exchangeable)."
)
MIRRORED = (
    "The scores are consistent with training on at least some of the suspect pictures, given that {views} of such "
    "pictures are about as likely as the pictures: to explain it otherwise, pictures that the model never saw would "
    "have to come out ahead of their {views} more than {most} times as often as behind."
)
VIEWS = {
    "mirror": "mirror images",
    "upside-down": "images upside down",
    "half-turn": "images turned by half a circle",
    "red-blue": "images with red and blue exchanged",
}
ODDS = {
    "assumed": "Up to {odds:.3g} times as often was put down to chance, which is assumed.",
    "reference": "Up to {odds:.3g} times as often was put down to chance, since of {n} pictures that the model cannot "
    "have seen {positive} are ahead.",
    "control model": "Up to {odds:.3g} times as often was put down to chance, since under a model that cannot have "
    "seen them {positive} of {n} are ahead.",
}
RANDOMISED = (
    "The auditor's coin decided which pictures the model was to be given, and those that it chose score higher than "
    "those that it held out. If the draw was fixed before training, as its published commitment can show, chance alone "
    "set the two apart, and this is randomised evidence of training on them."
)

TWINNED = (
    "A coin decided which of several copies of each picture was published and which were kept, and the model scores "
    "the published ones higher. If the coins were tossed before training, as their published commitment can show, "
    "chance alone set the copies apart, and this is randomised evidence that the model was trained on published copies."
)


def is_found(evidence: SetEvidence | Cdi | None) -> bool:
    """Whether the suspects as a set score higher than unseen pictures, after correction for all tests made."""
    return evidence is not None and evidence.p_value_holm is not None and evidence.p_value_holm < LEVEL


def is_opposite(evidence: SetEvidence | Cdi) -> bool:
    """Whether the suspects as a set score lower than unseen pictures: by CDI's test of that, or because the interval of
    the effect lies below 0.5."""
    if isinstance(evidence, Cdi) and evidence.opposite is not None:
        return evidence.opposite < LEVEL
    return evidence.effect_ci is not None and evidence.effect_ci[1] < 0.5


def claim(
    evidence: SetEvidence | Cdi | None,
    obstacles: Sequence[Obstacle],
    *,
    suspects: int,
    unseen: int,
    given_unseen: bool,
    rules: Rules,
    rests_on: str = "",
    tests: int = 1,
    randomised: bool = False,
    besides: str = "",
    sources: SourceEvidence | None = None,
) -> Claim:
    """The claim that one of `tests` tests carries; `evidence` is None where it could not be made.

    `obstacles`: why a finding would be no sign of training, if there is such a reason; the first has the sentence.
    `suspects` and `unseen` count the pictures that count in it; `given_unseen`: whether any unseen pictures were given;
    `rests_on`: what level 3 rests on, as sentences; `randomised`: whether coins, checked, decided which pictures are
    suspects; `besides`: what else was known before, as a clause;
    `sources`: by which labels were dealt, where they were.
    """
    if suspects == 0:
        return _not_estimable(NO_SUSPECT)
    if not given_unseen:
        return Claim(level=1, sentence=ALONE, because="no unseen pictures were given")
    if unseen == 0:
        return _not_estimable(NO_UNSEEN)
    counts = f"suspect pictures: {suspects}, unseen pictures: {unseen}, tests made: {tests}"
    smallest = max(smallest_p(suspects, unseen), 1 / (1 + rules.deals.permutations))
    if sources is not None:
        smallest = sources.smallest_p or 1.0
        counts += f", sources of suspects: {sources.n_suspect_sources}, of unseen pictures: {sources.n_unseen_sources}"
    if evidence is None:
        needs = "two attacks and 20 pictures a side" if sources is None else "pictures whose sources do not matter"
        return _not_estimable(f"CDI needs {needs} ({counts})")
    if max(1, tests) * smallest >= LEVEL:
        return _not_estimable(f"no outcome could give a p-value below {LEVEL} ({counts})")
    measured = f"the p-value of the set is {_told(evidence.p_value_holm)}{besides and f' ({besides})'}"
    if not is_found(evidence):
        if rules.tells_opposite and is_opposite(evidence):
            return Claim(level=1, sentence=OPPOSITE, because=f"{measured}, not below {LEVEL}")
        return Claim(level=1, sentence=NOTHING, because=f"{measured}, not below {LEVEL}")
    if obstacles:
        told = obstacles if rules.tells_every_obstacle else obstacles[:1]
        reasons = "; and ".join(obstacle.because for obstacle in told)
        return Claim(level=2, sentence=obstacles[0].sentence, because=f"{measured}, but {reasons}")
    # Only after all controls: whoever knows the pictures can search for a secret whose coins deal out sets that differ.
    if randomised:
        return Claim(level=4, sentence=RANDOMISED, because=f"{measured}, and every coin was checked")
    sentence = f"{CONSISTENT} {rests_on}".strip()
    assumption: Literal["exchangeable"] | None = "exchangeable" if rules.tells_assumption else None
    return Claim(level=3, sentence=sentence, because=f"{measured}, and {rules.unrefuted}", assumption=assumption)


def claim_by_mirror(
    test: MirrorTest | None, obstacles: Sequence[Obstacle], *, suspects: int, tests: int = 1, besides: str = ""
) -> Claim:
    """The claim that one of `tests` mirror tests carries; `test` is None where no suspect has a sign. `obstacles`,
    `besides`: see `claim`."""
    if suspects == 0:
        return _not_estimable(NO_SUSPECT)
    if test is None:
        return _not_estimable("no suspect picture differs from its mirror image under this attack")
    views, least = VIEWS[test.view], tests * smallest_sign_p(test)
    what = "pictures" if test.n_flipped == test.n else "signs that are independent"
    if least >= LEVEL:
        said = f"{what} that count: {test.n_flipped}; if all of them were ahead of their {views}, p would be "
        return _not_estimable(f"{said}{min(1, least):.2g}")
    measured = (
        f"{test.n_positive} of {test.n} pictures are ahead of their {views}, which has p = {_told(test.p_value_holm)} "
        f"where chance favours that {test.odds:.3g} to 1{besides and f' ({besides})'}"
    )
    if not test.finds:
        return Claim(level=1, sentence=NOTHING, because=f"{measured}, not below {LEVEL}")
    if obstacles:
        reasons = "; and ".join(obstacle.because for obstacle in obstacles)
        return Claim(level=2, sentence=obstacles[0].sentence, because=f"{measured}, but {reasons}")
    learnt = ODDS[test.odds_from].format(odds=test.odds, n=test.n_reference, positive=test.n_reference_positive)
    sentence = f"{MIRRORED.format(views=views, most=_times(test.odds_explaining))} {learnt}"
    return Claim(level=3, sentence=sentence, because=measured, assumption="mirror")


def claim_by_twins(test: TwinsTest, obstacles: Sequence[Obstacle], *, asked: int = 0, besides: str = "") -> Claim:
    """The claim that published against kept copies carry. `obstacles`, `besides`: see `claim`. `asked`: how many
    earlier runs asked about them; each is one more try, and the p-value is multiplied by the number of tries."""
    if not test.n_whole:
        return _not_estimable("of no picture all copies could be scored")
    tries = 1 + asked
    p_value, least = (min(1.0, tries * p) for p in (test.p_value, (test.n_kept + 1.0) ** -test.n_whole))
    corrected = f", corrected for {tries} tries{besides and f' ({besides})'}" if asked else ""
    if least >= LEVEL:
        return _not_estimable(
            f"{test.n_whole} published copies all ahead of the kept ones would give p = {least:.2g}{corrected}"
        )
    measured = (
        f"the published copy is ahead of all kept ones for {test.n_first} of {test.n} pictures, "
        f"{test.expected_first:.3g} by chance; p = {p_value:.2g}{corrected}"
    )
    if p_value >= LEVEL:
        return Claim(level=1, sentence=NOTHING, because=f"{measured}, not below {LEVEL}")
    if obstacles:
        reasons = "; and ".join(obstacle.because for obstacle in obstacles)
        return Claim(level=2, sentence=obstacles[0].sentence, because=f"{measured}, but {reasons}")
    return Claim(level=4, sentence=TWINNED, because=f"{measured}, and every coin was checked")


def _times(odds: float | None) -> str:
    assert odds is not None  # a finding has some
    return f"{odds:.0f}" if odds >= 100 else f"{odds:.3g}"


def _told(p: float | None) -> str:
    """To two digits, never as a power of ten."""
    return "none" if p is None else np.format_float_positional(float(f"{p:.2g}"), trim="-")


def _not_estimable(because: str) -> Claim:
    return Claim(level=0, sentence=f"Not estimable: {because}.", because=because)
