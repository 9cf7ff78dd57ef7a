"""What a page says of an audit whose pictures are compared with views of themselves, such as their mirror images."""

from __future__ import annotations

from trainedon.evidence.protocol.claims import VIEWS
from trainedon.evidence.protocol.documents import MirrorTest
from trainedon.evidence.protocol.mirror_test import ASSUMED
from trainedon.evidence.statistics.sign_flip import MOST_ODDS
from trainedon.reporting import words

VIEW = {
    "mirror": "mirror image",
    "upside-down": "image upside down",
    "half-turn": "image turned by half a circle",
    "red-blue": "image with red and blue exchanged",
}
CONDITION = (
    "It rests on one condition that no statistic can check in full: that {views} of such pictures are about as likely "
    "as the pictures. It does not say of any one picture that it was used."
)


def ladder(usual: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The steps of claims, (name, meaning), where pictures are compared with views of themselves."""
    means = {
        1: "The comparison shows no sign of training.",
        2: "Such pictures may be likelier one way round, without the model.",
        3: "The pictures are ahead of views of themselves, and nothing else was found that puts them there.",
    }
    return tuple((name, means.get(level, meaning)) for level, (name, meaning) in enumerate(usual))


def together(test: MirrorTest, attacks: int) -> str:
    """What the signs of all suspects say."""
    corrected = f" (corrected for {attacks} tests)" if attacks > 1 else ""
    return (
        f"Of {words.plural(test.n, 'picture')} the model knows {words.count(test.n_positive)} better than the "
        f"{VIEWS[test.view]} of them; a coin would put about half there. {_least(test)} "
        f"p = {words.p_value(test.p_value_holm)}{corrected}, where chance may put a picture ahead "
        f"{words.number(test.odds, 3)} times as often as behind."
    )


def _least(test: MirrorTest) -> str:
    """How far chance would have to favour pictures, to explain it."""
    most = test.odds_explaining
    if most is None:
        return "That is no more than coins explain."
    if most >= MOST_ODDS:
        return "No chance explains it that puts such pictures ahead now and then only."
    return (
        f"To explain that without training, pictures that the model never saw would have to come out ahead more than "
        f"{words.number(most, 3)} times as often as behind."
    )


def standing(restores: str | None, view: str, score: float) -> str:
    """One picture beside its view."""
    image = VIEW[view]
    if score == 0:
        return f"The picture and its {image} have the same score."
    closer = "closer" if score > 0 else "less close"
    if restores == "hidden":
        return f"The model painted the hidden part back {closer} to the original than that of its {image}."
    if restores == "noised":
        return f"The model brought this picture back from noise {closer} to the original than its {image}."
    return f"The score is {'higher' if score > 0 else 'lower'} than that of its {image}."


def odds(test: MirrorTest) -> str:
    """What is put down to chance, and why."""
    said = {
        "assumed": "which is assumed, since no pictures of the kind were given that the model cannot have seen",
        "reference": f"the upper limit from {words.plural(test.n_reference, 'picture')} of the kind that the model "
        f"cannot have seen, {words.count(test.n_reference_positive)} of them ahead",
        "control model": f"the upper limit from these pictures under a model that cannot have seen them, "
        f"{words.count(test.n_reference_positive)} of {words.count(test.n_reference)} ahead",
    }
    if test.odds_from == "control model" and test.odds == ASSUMED:
        said["control model"] = (
            "which is assumed at least; under a model that cannot have seen these pictures "
            f"{words.count(test.n_reference_positive)} of {words.count(test.n_reference)} are ahead, which allows less"
        )
    return f"up to {words.number(test.odds, 3)} to 1, {said[test.odds_from]}"


def statistician(test: MirrorTest, attacks: int, corrected: bool) -> str:
    """The test in a statistician's words."""
    holm = f" ({words.p_value(test.p_value_holm)} after Holm's correction for {attacks} tests)" if corrected else ""
    most = test.odds_explaining
    bound = (
        ""
        if most is None
        else f" Rosenbaum's bound: p stays at or below {test.level:g} up to {words.number(most, 3)} to 1."
    )
    text = (
        f"Exact one-sided sign-flip test of signed ranks, {words.count(test.n)} differences to the "
        f"{VIEW[test.view]}, near-duplicates counted once: p = {words.p_value(test.p_value)}{holm} with odds "
        f"{odds(test)}; p = {words.p_value(test.p_value_alike)} at even odds. Positive: {words.share(test.share)} "
        f"({words.interval(test.share_ci, words.share)}).{bound}"
    )
    if test.n_flipped != test.n:
        text += (
            " Works of one source and mirrored copies are flipped together, "
            f"{words.count(test.n_flipped)} signs in all, and each by itself; the larger p counts."
        )
    if test.n_reference_flipped is not None:
        text += (
            " The odds are learnt in both ways too, and the larger ones count; of what is flipped together "
            f"{words.count(test.n_reference_flipped_positive or 0)} of {words.count(test.n_reference_flipped)} are "
            "ahead there."
        )
    if test.needed is not None:
        text += (
            f" At this effect {words.plural(test.needed, 'suspect')} would reach p < {test.level:g} in 80 % of cases."
        )
    return text
