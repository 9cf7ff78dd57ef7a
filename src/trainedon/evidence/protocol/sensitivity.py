"""The attacks of a run on pictures that were changed a little, all of them alike: does what was found survive it?

Memory of a picture outlives a shift by a pixel, a little noise and other contrast. A difference between the sets that
lies in just such things is blurred when all pictures are changed at random in these ways.
"""

from __future__ import annotations

from trainedon.evidence.protocol.cdi import cdi
from trainedon.evidence.protocol.documents import Sensitivity
from trainedon.evidence.protocol.prompts import Controls
from trainedon.evidence.protocol.sides import tested
from trainedon.evidence.statistics.intervals import CONFIDENCE
from trainedon.evidence.table.rows import AttackKey
from trainedon.evidence.table.scores import Scores

LEVEL = 0.01  # below which a difference survives the change


def sensitivity(
    scores: Scores, told: Controls | None, sets: tuple[str, str], level: float = CONFIDENCE
) -> tuple[Sensitivity, ...]:
    """What is left of each attack's difference after each change, and last, where there are several attacks, of all of
    them together as CDI has it.

    scores: all attacks, those on changed pictures among them. told: repr of each of these -> of which attack it is, and
    what was changed. level: of the intervals.
    """
    known = {key.repr: key for key in scores.attacks}
    made = {known[name]: one for name, one in (told or {}).items() if {one.of, name} <= known.keys()}
    single = [_of_attack(scores, known[one.of], key, str(one.change), sets, level) for key, one in made.items()]
    if sets[0] != "suspect":
        return tuple(single)
    changes = dict.fromkeys(str(one.change) for one in made.values())
    alike = ({key.repr for key, one in made.items() if one.change == change} for change in changes)
    return (*single, *(one for pair in zip(changes, alike, strict=True) for one in _of_all(scores, *pair)))


def _of_attack(
    scores: Scores, attack: AttackKey, changed: AttackKey, change: str, sets: tuple[str, str], level: float
) -> Sensitivity:
    first, unseen = (scores.sample(changed, name) for name in sets)
    p_value, area = tested(first, unseen, level)
    holds = None if p_value is None else p_value < LEVEL
    return Sensitivity(
        attack=attack.name,
        of=attack.repr,
        repr=changed.repr,
        change=change,
        effect=area and area.value,
        effect_ci=area and area.interval,
        p_value=p_value,
        level=LEVEL,
        holds=holds,
        caps=holds is False,
        n_pictures=len(first),
        n_unseen=len(unseen),
    )


def _of_all(scores: Scores, change: str, changed: set[str]) -> tuple[Sensitivity, ...]:
    """The same of CDI; nothing where it could not be made. changed: reprs of the attacks after the change."""
    found = cdi(scores.without({key.repr for key in scores.attacks} - changed))
    if found is None:
        return ()
    return (
        Sensitivity(
            attack="cdi",
            of="cdi",
            repr="cdi",
            change=change,
            effect=found.effect,
            effect_ci=found.effect_ci,
            p_value=found.p_value,
            level=LEVEL,
            holds=found.p_value < LEVEL,
            caps=found.p_value >= LEVEL,
            n_pictures=found.n_suspects,
            n_unseen=found.n_unseen,
        ),
    )
