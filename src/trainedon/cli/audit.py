"""Commands that ask a model about pictures: audit, evaluate, peaks, sweep, demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainedon import api
from trainedon.api import Choices, Machine, Reading
from trainedon.cli.limits_met import checked_limits, hold_to
from trainedon.cli.option_groups import (
    Attacks,
    AuditAttacks,
    Control,
    Controls,
    Drawn,
    FailAbove,
    Model,
    Out,
    Reference,
    Seed,
    Shadows,
    Twins,
    Unseen,
    here,
)
from trainedon.cli.printing import print_audit, print_evaluation, print_page, print_passed, print_sweep
from trainedon.cli.terminal import Bars, say, typed
from trainedon.errors import PictureError, UserError
from trainedon.unforeseen import logged_in

if TYPE_CHECKING:
    from trainedon.api.results import FromRun
    from trainedon.runs.mirror import Mirror

Members = Annotated[str, typer.Option(help="Pictures that the model was trained on.")]
Others = Annotated[str, typer.Option("--unseen", help="Pictures that it was not trained on, alike in every other way.")]


def audit(
    *,
    model: Model,
    suspects: Annotated[
        str, typer.Argument(help="The pictures in question: a folder, a parquet, .npz or .tar file, or a URL of these.")
    ],
    out: Out,
    unseen: Unseen = None,
    attacks: AuditAttacks = None,
    drawn: Drawn = None,
    twins: Twins = None,
    shadows: Shadows = None,
    reference: Reference = None,
    control: Control = None,
    null_view: Annotated[
        str,
        typer.Option(
            help="Without --unseen, what each picture is compared with: mirror (which auto is), upside-down, "
            "half-turn or red-blue, whichever such pictures are as likely in; none leaves scores alone."
        ),
    ] = "auto",
    mirror_reference: Annotated[
        str | None,
        typer.Option(
            help="Pictures of the kind that the model cannot have seen, alike or not in other ways: how often chance "
            "puts one ahead of its mirror image."
        ),
    ] = None,
    choices: Choices,
    controls: Controls = True,
    machine: Machine,
    reading: Reading,
) -> None:
    """Were these pictures used to train the model?"""
    with _watched(out) as bars:
        found = api.audit(
            model,
            suspects,
            unseen=unseen or None,
            attacks=attacks,
            out=out,
            drawn=drawn,
            twins=twins,
            shadows=shadows,
            reference=reference,
            control=control,
            null_view=null_view,
            mirror_reference=mirror_reference or None,
            controls=controls,
            choices=choices,
            machine=machine,
            reading=reading,
            progress=bars,
            _command=typed(),
        )
    folder = _print_notes(out, found)
    print_audit(found)
    print_page(folder.path, folder)


def evaluate(
    *,
    model: Model,
    members: Members,
    unseen: Others,
    out: Out,
    attacks: Attacks = "drc",
    drawn: Drawn = None,
    shadows: Shadows = None,
    reference: Reference = None,
    control: Control = None,
    dataset: Annotated[
        str | None, typer.Option(help="What papers call these pictures (cifar10, ...): prints what they report beside.")
    ] = None,
    fail_above: FailAbove = None,
    choices: Choices,
    controls: Controls = True,
    machine: Machine,
    reading: Reading,
) -> None:
    """How much does the model leak? For models whose training pictures are known."""
    limits = checked_limits(fail_above)
    with _watched(out) as bars:
        found = api.evaluate(
            model,
            members,
            unseen,
            attacks=attacks,
            out=out,
            drawn=drawn,
            shadows=shadows,
            reference=reference,
            control=control,
            dataset=dataset,
            controls=controls,
            choices=choices,
            machine=machine,
            reading=reading,
            progress=bars,
            _command=typed(),
        )
    folder = _print_notes(out, found)
    print_evaluation(found, folder.path)
    print_page(folder.path, folder)
    hold_to(limits, found)


def peaks(
    *,
    model: Model,
    members: Members,
    unseen: Others,
    out: Out,
    choices: Choices,
    machine: Machine,
    reading: Reading,
) -> None:
    """Do training pictures sit on sharper peaks of the model's density? Moves each picture, and looks at the error."""
    with _watched(out) as bars:
        found = api.peaks(
            model,
            members,
            unseen,
            out=out,
            choices=choices,
            machine=machine,
            reading=reading,
            progress=bars,
            _command=typed(),
        )
    folder = _print_notes(out, found)
    print_evaluation(found.evaluation, folder.path)
    say(found.sentence)
    print_page(folder.path, folder)


def sweep(
    *,
    model: Model,
    members: Members,
    unseen: Others,
    out: Out,
    attack: Annotated[str, typer.Option(help="The attack that is varied, such as 'drc-hide(roi=face)'.")] = "drc-hide",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=V1,V2,... (or V1;V2 where values hold commas): a parameter of the attack; of drc also "
            "mask-ratio, inverted, region, and those of its restorer, such as scale. Several give all combinations."
        ),
    ] = None,
    question: Annotated[
        list[str] | None,
        typer.Option(help="mask-ratio, inverted, region, encoder, restorer, reference, cost, or all; repeatable."),
    ] = None,
    shadows: Shadows = None,
    reference: Reference = None,
    choices: Choices,
    machine: Machine,
    reading: Reading,
) -> None:
    """Which settings work best? One attack under many settings, as curves: mask ratio, region, encoder, cost, ..."""
    with _watched(out) as bars:
        found = api.sweep(
            model,
            members,
            unseen,
            attack=attack,
            vary=vary or (),
            question=question or (),
            out=out,
            shadows=shadows,
            reference=reference,
            choices=choices,
            machine=machine,
            reading=reading,
            progress=bars,
            _command=typed(),
        )
    folder = _print_notes(out, found)
    print_sweep(found)
    print_page(folder.path, folder)


def demo(
    *,
    out: Annotated[Path, typer.Option(callback=here, help="Where pictures and run are written.")] = Path(
        "trainedon-demo"
    ),
    seed: Seed = 0,
) -> None:
    """Audit the embedded model on designs that it has seen and that it has not. One to two minutes on two cores."""
    run = str(out / "run")
    with _watched(run) as bars:
        found, truth = api.demo(out, seed=seed, progress=bars, _command=typed())
    folder = _print_notes(run, found)
    print_audit(found)
    right = sum(truth[picture] for picture in found.named)
    say(
        f"The truth, which the audit was not told: of {sum(truth.values())} designs that the model was trained on, "
        f"{right} were named; of {len(truth) - sum(truth.values())} that it never saw, {len(found.named) - right}."
    )
    print_page(folder.path, folder)


@contextmanager
def _watched(out: str) -> Iterator[Bars]:
    """Progress is shown; what nobody foresaw is written to the run folder."""
    with Bars() as bars:
        try:
            yield bars
        except (UserError, PictureError):
            raise
        except Exception:
            from trainedon.runs.mirror import Mirror

            with logged_in(Mirror.of(out).path):
                raise


def _print_notes(out: str, found: FromRun) -> Mirror:
    """Print what a run passed over and assumed; its folder, on this disk and as the person calls it."""
    from trainedon.formats import read_record
    from trainedon.runs.mirror import Mirror
    from trainedon.runs.rendering_choice import notes

    place = Mirror.of(out)
    print_passed(found.passed_over)
    for note in notes(read_record(place.path)):
        say(note)
    return place
