"""What is painted for the eye besides the scores: how many pictures, and with how many passes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainedon.attacks import Attack, Cost
from trainedon.attacks.drc.drc_paint_2 import paintable, painted_back
from trainedon.attacks.drc.guesses import guessing
from trainedon.attacks.wrappers.turned import Turned
from trainedon.runs.scoring.exhibit_files import SAMPLED, STRONGEST
from trainedon.targets import TRANSFORMATIONS, Target


def showing(attacks: Sequence[Attack]) -> int | None:
    """Which attack's pictures are shown: the first that has any to show."""
    return next((number for number, attack in enumerate(attacks) if attack.shown_as is not None), None)


def painted(sizes: Sequence[int], shard: int) -> int:
    """About how many pictures are painted, of sets of these sizes: at the end STRONGEST + SAMPLED of each are kept, and
    on the way those that were among them. Of n in any order, which come a shard at a time, about k (1 + ln(n / shard))
    are ever among the first k."""
    kept = STRONGEST + SAMPLED
    return sum(round(min(n, kept) * (1 + math.log(max(1.0, n / shard)))) for n in sizes)


def painting_cost(target: Target, attack: Attack) -> Cost:
    """Passes for one picture that is painted, which are not among those of its score."""
    if attack.shown_as != "noised":
        return Cost(0)
    shown = painted_back(target, getattr(attack, "seed", 0)).cost(target)
    times = 1 + (painted_view(target, attack) is not None)
    guesses = guessing(attack)
    again = Cost(0) if guesses is None else guesses.cost(target)
    return Cost(times * shown.forward + again.forward, times * shown.backward + again.backward)


def painted_view(target: Target, attack: Attack) -> str | None:
    """The view in which the picture is painted, too: that which its score is compared with, or the first of several
    where that is cheap. Views that latents do not know, or that cannot be turned back, are left out."""
    view = attack.null_view or (next(iter(getattr(attack, "symmetries", ())), None) if paintable(target) else None)
    return view if view is not None and TRANSFORMATIONS[view].conjugates(target) else None


def is_spared(attack: Attack) -> bool:
    """Whether what the attack asks was asked before: a control by mirrored pictures of a score that is relative to
    these."""
    return isinstance(attack, Turned) and attack.attack.relative_to is not None
