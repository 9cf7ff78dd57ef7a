"""What a run is to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainedon.attacks import Attack
from trainedon.formats.run_record import BY_MIRROR, Kind, Lead, StudyEntry, SweepEntry
from trainedon.pictures import Rendering
from trainedon.pictures.works import SourceFrom
from trainedon.runs.labels import check_choice
from trainedon.targets import ControlModel


@dataclass(frozen=True)
class Plan:
    """What is asked. kind: `audit` or `evaluate`. sets: set name (`suspect`, `member`, `unseen`) -> path or URL.

    dataset: the name of the pictures as papers call them, so that what papers report on them is printed beside.
    draw: the `draw.json` whose coins decided which pictures the model was given. twins: the `twins.json` whose coins
    decided which copies were published. lead: the test that an audit's claim speaks of, as of `evidence.audit_table`.
    study: the attacks that are measurements of one question, each with its parameters.
    sweep: the questions whose settings the attacks are, as `sweeps.grid.SweepPlan.entry` tells them.
    truth: suspect -> whether the model was trained on it, told to the page alone, never to the audit.
    caption: of all pictures, whatever their sources say. labels: where the classes of a class-conditional model come
    from, one of `labels.CHOICES`. controls: whether attacks on a model that is conditioned on captions are made with
    other captions too. control: a model that cannot have seen any picture, on which every attack is made too.
    rendering: how pictures become pixels. follow_links: whether links that lead out of a set's folder are followed.
    source_from: what says whose work each picture is, as of `pictures.works`.
    """

    kind: Kind
    sets: dict[str, str | Path]
    attacks: Sequence[Attack]
    seed: int = 0
    limit: int | None = None
    command: str = ""
    attribution: str | None = None
    dataset: str | None = None
    draw: Path | None = None
    twins: Path | None = None
    lead: Lead = "first"
    study: Sequence[StudyEntry] = ()
    sweep: SweepEntry | None = None
    truth: dict[str, bool] | None = None
    caption: str | None = None
    controls: bool = True
    control: ControlModel | None = None
    labels: str = "auto"
    rendering: Rendering = field(default_factory=Rendering)
    follow_links: bool = False
    source_from: SourceFrom | None = None

    def __post_init__(self) -> None:
        check_choice(self.labels)

    @property
    def by_mirror(self) -> bool:
        """Whether pictures are compared with views of themselves."""
        return self.lead in BY_MIRROR
