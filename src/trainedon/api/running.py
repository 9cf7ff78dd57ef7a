"""From what is asked to a finished run: checks that cost nothing, then the run, in its folder or in one that goes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trainedon import run_files
from trainedon.api.choosing import Means
from trainedon.api.opening import engine_of
from trainedon.api.options import CHOICES, MACHINE, READING, Choices, Machine, Reading, check_call
from trainedon.checks import check_places, check_sources, swapped
from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.api.results import Kept
    from trainedon.attacks import Attack, Progress
    from trainedon.evidence import Audit, Evaluation, Peaks, Sweep
    from trainedon.formats.run_record import Kind, Lead, StudyEntry, SweepEntry
    from trainedon.runs.scoring.engine import Engine
    from trainedon.targets import Target

log = logging.getLogger("trainedon")


@dataclass(frozen=True, kw_only=True)
class Order:
    """Everything that a run is asked, but its attacks. kind: `audit` or `evaluate`. sets: name -> path or URL. out: the
    run folder, a path or a URL; None: nothing is kept. command: how it was called, which the run records."""

    kind: Kind
    model: str | Path | Target
    sets: dict[str, str | Path]
    out: str | Path | None
    choices: Choices = CHOICES
    machine: Machine = MACHINE
    reading: Reading = READING
    progress: Progress | None
    command: str
    drawn: str | Path | None = None
    twins: str | Path | None = None
    shadows: str | Path | None = None
    reference: str | Path | None = None
    control: str | Path | None = None

    def __post_init__(self) -> None:
        places = {
            "out": self.out,
            "drawn": self.drawn,
            "twins": self.twins,
            "shadows": self.shadows,
            "reference": self.reference,
            "control": self.control,
        }
        check_call(self.model, self.sets, places, choices=self.choices, machine=self.machine, reading=self.reading)

    @property
    def means(self) -> Means:
        """What its attacks have to work with."""
        return Means(
            self.kind, self.sets, self.shadows, self.reference, self.choices.seed, self.machine.base, self.control
        )

    @property
    def place(self) -> str | None:
        """The run folder as text."""
        return None if self.out is None else str(self.out)


@dataclass(frozen=True)
class Asked:
    """What a run is asked that not every kind of run can be; each as the field of that name in `runs.Plan`."""

    dataset: str | None = None
    lead: Lead = "first"
    study: Sequence[StudyEntry] = ()
    sweep: SweepEntry | None = None
    truth: dict[str, bool] | None = None
    attribution: str | None = None
    controls: bool = True


@dataclass(frozen=True)
class FinishedRun:
    """The statistics of a run, where it lies, and what it says of the question that it was made for, if there was."""

    document: Audit | Evaluation
    kept: Kept
    peaks: Peaks | None
    sweep: Sweep | None


def check_order(order: Order) -> Engine | None:
    """The engine, after all that can be refused before anything is loaded; what is odd but possible is logged."""
    if order.kind != "audit":
        order.reading.without_sources("an evaluation")
    engine = engine_of(order.model, order.machine, order.place)
    if order.place is None:
        check_sources(order.sets.values())
    else:
        check_places(order.kind, order.sets, order.place)
    if order.twins is not None:
        _check_twins(order)
    if order.drawn is not None:
        from trainedon.evidence import read_draw

        read_draw(Path(order.drawn))
    doubt = swapped(order.sets)
    if doubt:
        log.warning("note: %s", doubt)
    return engine


def note_unused(order: Order, attacks: Sequence[Attack], target: Target) -> None:
    """Log what was given and has no say in a run of these attacks on this model."""
    given = {"reference": order.reference, "shadows": order.shadows}
    for name, place in given.items():
        if place is not None and not any(name in attack.needs for attack in attacks):
            log.warning("note: --%s is not used: none of the attacks takes it", name)
    if order.choices.caption is not None and target.conditioning != "caption":
        log.warning("note: --caption is not used: the model is not conditioned on captions")


def _check_twins(order: Order) -> None:
    """Raises UserError for what has no place beside twins, and for a `twins.json` that is none."""
    from trainedon.evidence import read_twins

    against = {
        "--unseen and --mirror-reference": "unseen" in order.sets,
        "--drawn": order.drawn is not None,
        "--limit": order.choices.limit is not None,
        "--source-from": order.reading.source_from is not None,
    }
    for option, given in against.items():
        if given:
            raise UserError(f"twins are compared with each other, all of them: leave out {option}")
    read_twins(Path(str(order.twins)))


def execute(order: Order, target: Target, attacks: list[Attack], engine: Engine | None, asked: Asked) -> FinishedRun:
    """Run the attacks, or go on. Raises UserError as `runs.run`."""
    from trainedon.attacks.core.answers import silent
    from trainedon.runs import Plan, run
    from trainedon.runs.mirror import Mirror

    choices = order.choices
    plan = Plan(
        kind=order.kind,
        sets=order.sets,
        attacks=attacks,
        seed=choices.seed,
        limit=choices.limit,
        caption=choices.caption,
        labels=choices.labels,
        draw=None if order.drawn is None else Path(order.drawn),
        twins=None if order.twins is None else Path(order.twins),
        rendering=order.reading.rendering,
        follow_links=order.reading.follow_links,
        source_from=order.reading.sources,
        command=order.command,
        dataset=asked.dataset,
        lead=asked.lead,
        study=asked.study,
        sweep=asked.sweep,
        truth=asked.truth,
        attribution=asked.attribution,
        controls=asked.controls,
        control=order.means.control_model(),
    )
    progress = order.progress or silent
    if order.out is not None and not str(order.out):
        raise UserError("out is empty: give the folder of the run, or None to keep nothing")
    if order.out is None:
        with TemporaryDirectory(prefix="trainedon-") as folder:
            document = run(target, plan, Path(folder, "run"), progress, engine)
            return _finished_run(document, Path(folder, "run"), stays=False)
    place = Mirror.of(order.out)
    place.fetch()
    document = run(target, plan, place.path, progress, engine, place.keep)
    place.finish()
    return _finished_run(document, place.path, stays=True)


def _finished_run(document: Audit | Evaluation, folder: Path, *, stays: bool) -> FinishedRun:
    from trainedon.api.results import Kept
    from trainedon.evidence import Peaks, Sweep

    peaks, sweep = folder / run_files.PEAKS, folder / run_files.SWEEP
    return FinishedRun(
        document,
        Kept.of(folder, stays=stays),
        Peaks.model_validate_json(peaks.read_bytes()) if peaks.exists() else None,
        Sweep.model_validate_json(sweep.read_bytes()) if sweep.exists() else None,
    )
