"""Questions about attacks themselves: which settings work best, and do training pictures sit on sharper peaks?"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainedon.api.choosing import chosen
from trainedon.api.opening import opened
from trainedon.api.options import CHOICES, MACHINE, READING, Choices, Machine, Reading
from trainedon.api.running import Asked, Order, check_order, execute

if TYPE_CHECKING:
    from trainedon.api.results import PeaksRun, SweepRun
    from trainedon.attacks import Attack, Progress
    from trainedon.evidence import Evaluation
    from trainedon.formats.run_record import StudyEntry
    from trainedon.targets import Target

log = logging.getLogger("trainedon")


def peaks(
    model: str | Path | Target,
    members: str | Path,
    unseen: str | Path,
    *,
    out: str | Path | None = None,
    choices: Choices = CHOICES,
    machine: Machine = MACHINE,
    reading: Reading = READING,
    progress: Progress | None = None,
    _command: str = "trainedon.peaks(...)",
) -> PeaksRun:
    """Do training pictures sit on sharper peaks of the model's density? Moves each picture, and looks at the error.

    Arguments and errors as of `evaluate`.
    """
    from trainedon.api.results import PeaksRun, of_study
    from trainedon.evidence import STUDY

    sets = {"member": members, "unseen": unseen}
    order = Order(
        kind="evaluate",
        model=model,
        sets=sets,
        out=out,
        choices=choices,
        machine=machine,
        reading=reading,
        progress=progress,
        command=_command,
    )
    engine = check_order(order)
    attacks = chosen(", ".join(STUDY), order.means)
    target = opened(model, machine, order.place)
    done = execute(order, target, attacks, engine, Asked(study=[_measurement(attack) for attack in attacks]))
    assert done.peaks is not None
    return of_study(PeaksRun, done.peaks, done.kept, _evaluation(done.document))


def sweep(
    model: str | Path | Target,
    members: str | Path,
    unseen: str | Path,
    *,
    attack: str | Attack = "drc-hide",
    vary: Sequence[str] | Mapping[str, Sequence[object]] = (),
    question: Sequence[str] = (),
    out: str | Path | None = None,
    shadows: str | Path | None = None,
    reference: str | Path | None = None,
    choices: Choices = CHOICES,
    machine: Machine = MACHINE,
    reading: Reading = READING,
    progress: Progress | None = None,
    _command: str = "trainedon.sweep(...)",
) -> SweepRun:
    """Which settings work best? One attack under many settings.

    attack: as the command line writes it, or an attack. vary: `{"steps": [5, 10], "roi": [Center(0.25), "full"]}`, or
    texts `"steps=5,10"`; several give all combinations. question: names of prepared grids, such as `"mask-ratio"`, or
    `"all"`. All else as of `evaluate`. Raises UserError when nothing is varied too.
    """
    from trainedon.api.results import SweepRun, of_study
    from trainedon.attacks.drc.drc_2 import DRC2
    from trainedon.sweeps.grid import plan

    sets = {"member": members, "unseen": unseen}
    order = Order(
        kind="evaluate",
        model=model,
        sets=sets,
        out=out,
        shadows=shadows,
        reference=reference,
        choices=choices,
        machine=machine,
        reading=reading,
        progress=progress,
        command=_command,
    )
    engine = check_order(order)
    settings = plan(attack, vary, question, order.means.needs_met(), **order.means.parameters())
    target = opened(model, machine, order.place)
    settings = settings.possible(target)
    if target.latent and any(isinstance(one, DRC2) for one in settings.attacks):
        log.warning(
            "note: on a model in latents drc means drc-latent, and this sweep varies drc@2: --attack drc-latent"
        )
    done = execute(order, target, settings.attacks, engine, Asked(sweep=settings.entry()))
    assert done.sweep is not None
    return of_study(SweepRun, done.sweep, done.kept, _evaluation(done.document))


def _measurement(attack: Attack) -> StudyEntry:
    """What a study records of one of its attacks, a rise or a curvature."""
    from trainedon.formats.run_record import StudyEntry

    move, radius = getattr(attack, "move", None), getattr(attack, "radius", None)
    return StudyEntry(repr=repr(attack), kind=attack.name, move=move, radius=radius, t=vars(attack)["t"])


def _evaluation(document: object) -> Evaluation:
    from trainedon.evidence import Evaluation

    assert isinstance(document, Evaluation)
    return document
