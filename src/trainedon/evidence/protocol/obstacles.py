"""Why a difference between suspects and unseen pictures may be no sign of training: what the controls found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainedon.evidence.protocol.detectable import too_weak
from trainedon.evidence.protocol.documents import (
    Blind,
    Chirality,
    ConditioningControl,
    Counterpart,
    MirrorTest,
    ModelControl,
    Sensitivity,
    SettledLists,
    TwinsTest,
    UnseenControl,
)
from trainedon.evidence.protocol.mirror_test import REMEDY, SURE_REMEDY, answered

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
CHOSEN = (
    "The suspect pictures score higher than the unseen ones, but they were chosen out of pictures that had been scored "
    "before, and that choice alone can explain the difference, so it cannot be put down to training."
)

ON_CONTROL = (
    "The suspect pictures score higher than the unseen ones, but much the same is found on a model that cannot have "
    "seen either, so the difference cannot be put down to training."
)
TWINS_ON_CONTROL = (
    "The published copies score higher than the kept ones, but so they do on a model that cannot have seen any of "
    "them: the coins were not tossed without regard to the copies, so the difference cannot be put down to training."
)
TURNED = (
    "The suspect pictures score higher than the unseen ones, but so do their mirror images, or leave nothing of it: "
    "either the model was trained on mirrored copies too, which a control model would show, or something else sets the "
    "two apart. So the difference cannot be put down to training."
)

UNASKED = (
    "The suspect pictures score higher than the unseen ones, but nobody was asked who cannot remember them, so the "
    "difference cannot be put down to training."
)
TOO_FEW = (
    "The suspect pictures score higher than the unseen ones, but with so few pictures it could hardly be found out "
    "whether the two sets differ by themselves, so the difference cannot be put down to training."
)


HANDED = (
    "The suspect pictures come out ahead of their mirror images, but they can be told from these by themselves, "
    "without the model, as text can. So the difference cannot be put down to training."
)
HANDED_UNCHECKED = (
    "The suspect pictures come out ahead of the view that they are compared with, but it could not be checked whether "
    "such pictures can be told from that by themselves, so the difference cannot be put down to training."
)
HANDED_TOO_FEW = (
    "The suspect pictures come out ahead of their mirror images, but with so few pictures it could hardly be found out "
    "whether they can be told from these by themselves, so the difference cannot be put down to training."
)
HANDED_BY_JPEG = (
    "The suspect pictures come out ahead of their mirror images, but JPEG files like these differ from such images by "
    "where their blocks begin, and no further than that can explain, so the difference cannot be put down to training."
)
# Odds to which a model of other such files came at worst: .69 (standard error .025) of the pictures ahead, so that the
# upper limit of the odds is 2.9 (docs/evidence.md).
JPEG_ODDS = 3.0
ASKED_VIEW = (
    "The suspect pictures come out ahead of their mirror images, but the model was asked about both with the picture's "
    "own class or caption, which can tell which way round it is, so the difference cannot be put down to training."
)
CHOSEN_MIRROR = (
    "The suspect pictures come out ahead of their mirror images, but they were chosen out of pictures that had been "
    "scored before, and that choice alone can explain the difference, so it cannot be put down to training."
)
ALIKE = 0.5  # rank correlation of scores from which a control model takes pictures as the audited one does
FEWEST_HANDED = 40  # pictures from which on text and digits are told from their mirror images, 99 times of 100


@dataclass(frozen=True)
class Obstacle:
    """A control that stands between a finding and a claim of training: what is said then, and what it found, as a
    clause."""

    sentence: str
    because: str


def of_unseen(control: UnseenControl) -> Obstacle | None:
    """Unseen pictures differ from unseen pictures."""
    if not control.finds:
        return None
    return Obstacle(UNSTEADY, f"unseen pictures differ from unseen pictures too (p = {control.p_value:.2g})")


def of_conditioning(control: ConditioningControl | None) -> Obstacle | None:
    """The model is not conditioned alike for both sets."""
    return Obstacle(ASKED_DIFFERENTLY, str(control.because)) if control is not None and control.differs else None


def of_control_model(found: Sequence[ModelControl], lead: str) -> Obstacle | None:
    """A model that cannot have seen the pictures shows the difference too. lead: `of` of what a claim rests on."""
    caps = next((one for one in found if one.of == lead and one.caps), None)
    return None if caps is None else Obstacle(ON_CONTROL, _because(caps, "on the control model"))


def of_twins(test: TwinsTest, level: float) -> Obstacle | None:
    """Published copies are ahead on a model that cannot have seen any."""
    if test.control_p_value is None or test.control_p_value >= level:
        return None
    return Obstacle(TWINS_ON_CONTROL, f"on the control model p = {test.control_p_value:.2g}")


def of_sensitivity(found: Sequence[Sensitivity], lead: str) -> Obstacle | None:
    """The difference is there when memory is lost."""
    caps = next((one for one in found if one.of == lead and one.caps), None)
    return None if caps is None else Obstacle(TURNED, _because(caps, "on mirrored pictures"))


def _because(one: Counterpart, where: str) -> str:
    if one.finds:
        return f"a difference is found {where} too (p = {one.p_value:.2g})"
    return f"what is left of it beyond the one {where} has p = {one.left_p_value:.2g}"


def of_blind(blind: Blind) -> Obstacle | None:
    """The sets differ without the model, or that could not be looked at."""
    failed = {
        "the blind baseline separates the sets": blind.separates,
        "file formats differ": blind.codec_mismatch,
        "sizes differ": blind.resolution_mismatch,
    }
    if any(failed.values()):
        return Obstacle(DIFFERENT, ", ".join(words for words, failing in failed.items() if failing))
    if blind.separates is None:
        return Obstacle(UNCHECKED, f"the blind baseline was not run: {blind.reason}")
    return None


def of_chirality(found: Chirality | None, mirror: MirrorTest | None, like: Chirality | None = None) -> Obstacle | None:
    """The suspects can be told from their mirror images, or that could not be looked at, and no other pictures and no
    other model say how far chance goes. like: what was found of pictures that were given as of the same kind."""
    if mirror is None:
        return None
    known, silent = answered(mirror), mirror.odds_from == "control model"
    if found is not None and found.finds:
        because = f"they can be told from their mirror images (p = {found.p_value:.2g})"
        if mirror.odds_from == "reference" and not (like and like.finds):
            return Obstacle(HANDED, f"{because}, and those that were given as of their kind cannot")
        if silent and not known:
            return Obstacle(
                HANDED, f"{because}, and the control model does not know such pictures well enough to do so"
            )
        return None if known else Obstacle(HANDED, f"{because}; give {REMEDY}")
    if known:
        return None
    remedy = f"the control model does not prefer them, nor would one that knows no such pictures; give {SURE_REMEDY}"
    remedy = remedy if silent else f"give {REMEDY}"
    if mirror.view != "mirror":
        return Obstacle(HANDED_UNCHECKED, f"that is not looked at for this view; {remedy}")
    if found is None:
        return Obstacle(HANDED_UNCHECKED, f"the pictures were not there to be compared with mirror images; {remedy}")
    n = min(found.n, mirror.n)
    if n < FEWEST_HANDED:
        return Obstacle(
            HANDED_TOO_FEW, f"that needs {FEWEST_HANDED} pictures with a score, and there are {n}; {remedy}"
        )
    return None


def of_jpeg(mirror: MirrorTest | None, by_jpeg: int, alike: bool = False) -> Obstacle | None:
    """JPEG's grid may favour the suspects as far as they are ahead, and no other pictures and no other model say how
    far it does. by_jpeg: how many have another grid than their mirror images, and are read so that it shows. alike:
    whether pictures that were given as of their kind are such files, too."""
    if not by_jpeg or mirror is None or mirror.view != "mirror":
        return None
    other = mirror.odds_from == "reference" and not alike
    most = mirror.odds_explaining
    if (answered(mirror) and not other) or most is None or most >= JPEG_ODDS:
        return None
    remedy = "those that were given as of their kind are mostly no such files" if other else f"give {REMEDY}"
    return Obstacle(
        HANDED_BY_JPEG,
        f"JPEG files of a width that 8 does not divide ({by_jpeg} here) may be put ahead {JPEG_ODDS:g} times as often "
        f"as behind by a model of other such files, and {most:.3g} times explain what is found; {remedy}",
    )


def too_few_handed(found: Chirality) -> bool:
    """Whether nothing was found of so few pictures that this says nothing of text and digits in them."""
    return not found.finds and found.n < FEWEST_HANDED


def of_asked_view(mirror: MirrorTest | None, conditioned_on: str | None) -> Obstacle | None:
    """The model was asked with a class or a caption, and no other pictures, asked likewise, and no other model say how
    far that goes."""
    if mirror is None or answered(mirror) or conditioned_on is None:
        return None
    because = (
        f"the model is conditioned on {conditioned_on}; give --mirror-reference, or a --control that knows such too"
    )
    return Obstacle(ASKED_VIEW, because)


def of_listing(listing: SettledLists | None, level: float, sentence: str = CHOSEN) -> Obstacle | None:
    """Suspects are some of those that earlier runs scored without a finding, and this finding does not outlast that."""
    chosen = listing and listing.chosen
    if not chosen or chosen.p_value < level:
        return None
    how = (
        f"without the {chosen.kept} suspects that score highest, which is how many were scored before"
        if chosen.way == "dropped"
        else f"with the {chosen.left_out} that were left out counted below all others"
    )
    return Obstacle(
        sentence,
        f"{chosen.kept} of the suspects were scored by earlier runs that found nothing, with {chosen.left_out} others "
        f"that are not asked about here; {how}, the p-value is {chosen.p_value:.2g}",
    )


def of_power(suspects: int, unseen: int) -> Obstacle | None:
    """The controls could hardly find anything. Counts are of pictures that count."""
    because = too_weak(suspects, unseen)
    return None if because is None else Obstacle(TOO_FEW, because)


def of_memory(
    models: Sequence[ModelControl], mirrored: Sequence[Sensitivity], lead: str, *, due: bool
) -> list[Obstacle]:
    """Nobody was asked who remembers nothing and shows no difference: a control model that takes pictures as the
    audited one does, or else mirrored pictures.

    due: whether a run has made such controls, or could have.
    """
    silent = _silent(models, lead)
    if silent is not None and goes_along(silent):
        return []
    found = of_sensitivity(mirrored, lead)
    if found is not None:
        return [found if silent is None else replace(found, because=f"{found.because}; {_apart(silent)}")]
    if not due or any(one.of == lead and one.finds is not None for one in mirrored):
        return []
    if silent is not None:
        return [Obstacle(UNASKED, f"mirrored pictures could not be asked, and {_apart(silent)}; give one more alike")]
    because = "neither a control model nor mirrored pictures could be asked; give --control"
    return [Obstacle(UNASKED, because)]


def _silent(models: Sequence[ModelControl], lead: str) -> ModelControl | None:
    """The control model, if it was asked about this test and shows no such difference."""
    return next((one for one in models if one.of == lead and one.finds is False and not one.caps), None)


def goes_along(control: ModelControl) -> bool:
    """Whether a control model's silence says something: it finds hard what the audited one finds hard. Older documents
    do not say, and are taken at their word."""
    return control.alike is None or control.alike >= ALIKE


def _apart(control: ModelControl) -> str:
    return (
        "the control model takes unseen pictures otherwise than the audited one (rank correlation of scores "
        f"{control.alike:.2f}, {ALIKE:g} is asked for), so that its silence says little"
    )


def rests_on(blind: Blind, models: Sequence[ModelControl], mirrored: Sequence[Sensitivity], lead: str) -> str:
    """What a claim of level 3 rests on, in sentences: who was asked, and what would have been seen."""
    asked = next((one for one in models if one.of == lead and one.finds is False), None)
    if asked is not None:
        told = "A control model that cannot have seen any of the pictures shows no such difference"
        told += f"{_seen(asked.detectable)}."
        if not goes_along(asked):
            apart = _apart(asked)
            return f"{told} But {apart}. Mirror images of the pictures show none under the audited model either."
        if any(one.of == lead and one.caps for one in mirrored):
            told += " Mirrored pictures show it too, as they do where a model was trained on mirrored copies as well."
        return told
    also = ", nor do their mirror images under the model" if any(one.of == lead for one in mirrored) else ""
    return (
        f"No control model was asked; the pictures themselves show no difference without the model{also}"
        f"{_seen(blind.detectable)}."
    )


def _seen(least: float | None) -> str:
    """How large a difference would have been seen."""
    return "" if least is None else f" (one of AUC {least:.2f} or more would have been seen in four cases of five)"
