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
    single = [
        _of_attack(scores, known[one.of], control, str(one.change), sets, level) for control, one in made.items()
    ]
    return (*single, *(_of_all(scores, [*made], change) for change in dict.fromkeys(str(one.change) for one in made.values())))
