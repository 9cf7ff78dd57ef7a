"""Was a model trained on these pictures, and how much does it leak?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainedon.api.choosing import (
    DEFAULT,
    TWIN_ATTACK,
    against_view,
    chosen,
    lead_of,
    null_view_of,
    possible,
    sets_of_twins,
)
from trainedon.api.opening import opened
from trainedon.api.options import CHOICES, MACHINE, READING, Choices, Machine, Reading
from trainedon.api.running import Asked, FinishedRun, Order, check_order, execute, note_unused
from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.api.choosing import Attacks
    from trainedon.api.results import AuditRun, EvaluationRun
    from trainedon.attacks import Progress
    from trainedon.formats.null_view import NullView
    from trainedon.formats.run_record import Lead
    from trainedon.targets import Target


def audit(
    model: str | Path | Target,
    suspects: str | Path,
    *,
    unseen: str | Path | None = None,
    attacks: Attacks | None = None,
    out: str | Path | None = None,
    drawn: str | Path | None = None,
    twins: str | Path | None = None,
    shadows: str | Path | None = None,
    reference: str | Path | None = None,
    control: str | Path | None = None,
    null_view: str = "auto",
    mirror_reference: str | Path | None = None,
    controls: bool = True,
    choices: Choices = CHOICES,
    machine: Machine = MACHINE,
    reading: Reading = READING,
    progress: Progress | None = None,
    _command: str = "trainedon.audit(...)",
) -> AuditRun:
    """Were these pictures used to train the model?

    model: a diffusers folder, a checkpoint, a hub id `owner/name[@revision]`, or one from `load_target`. suspects,
    unseen: a folder, a parquet, .npz or .tar file, or a URL of these; unseen pictures are such as the model cannot have
    seen, alike in every other way. Without them each picture is compared with its own mirror image, and the claim rests
    on that. attacks: as on the command line (`"drc, loss(t=100)"`), an attack, or several of both; `cdi` or `drc-set`
    as the first has the claim speak of all attacks together; None: `drc`, without unseen pictures minus its score of
    the mirror image, and with twins the one that is best for these. out: the run folder, a path or a URL, new or that
    of the same call, which goes on; None keeps nothing.

    drawn: the `draw.json` whose coins decided which pictures the model was given. twins: the `twins.json` whose coins
    decided which copies of the pictures were published; suspects is its folder or its folder `publish`, and the kept
    copies lie beside it in `kept`. shadows: a folder of shadow models; reference: a model that never saw the pictures;
    both for attacks that need them. control: a model that cannot have seen any of the pictures, on which every attack
    is run too: what it finds there is no memory.

    null_view: of audits without unseen pictures, the view that a picture is compared with: `mirror` (which `auto` is),
    `upside-down`, `half-turn`, `red-blue`, or `none`, which leaves scores alone. mirror_reference: pictures of the
    kind that the model cannot have seen; they need not be alike in other ways, and say how often chance puts such a
    picture ahead of that view of it. controls: whether the attacks that the claim rests on are run on mirrored pictures
    too, and those on a model that is conditioned on captions with other captions. progress: called with (what, done,
    total).

    Raises UserError, in one line that says what to do, for anything that cannot be used or does not go together.
    """
    view = None
    if twins is None:
        view = null_view_of(null_view, unseen=unseen is not None, reference=mirror_reference is not None)
    elif null_view not in ("auto", "none"):
        raise UserError("twins are compared with each other: leave out --null-view")
    others = unseen if mirror_reference is None else mirror_reference
    sets = {"suspect": suspects} | ({} if others is None else {"unseen": others})
    if twins is not None:
        sets |= sets_of_twins(suspects, twins)
        attacks = TWIN_ATTACK if attacks is None else attacks
    order = Order(
        kind="audit",
        model=model,
        sets=sets,
        out=out,
        drawn=drawn,
        twins=twins,
        shadows=shadows,
        reference=reference,
        control=control,
        choices=choices,
        machine=machine,
        reading=reading,
        progress=progress,
        command=_command,
    )
    lead: Lead = "twins"
    if twins is None:
        lead = "first" if attacks is None else lead_of(attacks, unseen is not None, view)
    return _audited(_executed(order, attacks, Asked(controls=controls, lead=lead), view=view))


def evaluate(
    model: str | Path | Target,
    members: str | Path,
    unseen: str | Path,
    *,
    attacks: Attacks = "drc",
    out: str | Path | None = None,
    drawn: str | Path | None = None,
    shadows: str | Path | None = None,
    reference: str | Path | None = None,
    control: str | Path | None = None,
    dataset: str | None = None,
    controls: bool = True,
    choices: Choices = CHOICES,
    machine: Machine = MACHINE,
    reading: Reading = READING,
    progress: Progress | None = None,
    _command: str = "trainedon.evaluate(...)",
) -> EvaluationRun:
    """How much does the model leak? For models whose training pictures are known.

    members: pictures that it was trained on. dataset: what papers call these pictures (`cifar10`, ...), so that the
    page prints beside what they report. All else as of `audit`.
    """
    from trainedon.api.results import EvaluationRun, of_run

    sets = {"member": members, "unseen": unseen}
    order = Order(
        kind="evaluate",
        model=model,
        sets=sets,
        out=out,
        drawn=drawn,
        shadows=shadows,
        reference=reference,
        control=control,
        choices=choices,
        machine=machine,
        reading=reading,
        progress=progress,
        command=_command,
    )
    done = _executed(order, attacks, Asked(controls=controls, dataset=dataset))
    return of_run(EvaluationRun, done.document, done.kept)


def demo(
    out: str | Path,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    _command: str = "trainedon.demo(...)",
) -> tuple[AuditRun, dict[str, bool]]:
    """Audit the embedded model on designs that it has seen and that it has not: one to two minutes on two cores.

    Pictures and run are written below `out`. The audit, and what it was not told: suspect -> trained on.
    """
    from trainedon.embedded import demo as scene
    from trainedon.embedded import model_folder

    pictures = Path(out) / f"pictures-{seed}"
    truth = scene.prepare(pictures, seed)
    sets: dict[str, str | Path] = {"suspect": pictures / "suspects", "unseen": pictures / "unseen"}
    order = Order(
        kind="audit",
        model=model_folder(),
        sets=sets,
        out=Path(out) / "run",
        choices=Choices(seed=seed),
        progress=progress,
        command=_command,
    )
    done = _executed(order, scene.ATTACK, Asked(truth=truth, attribution=scene.ATTRIBUTION), name="OpenMoji demo")
    return _audited(done), truth


def _executed(
    order: Order, attacks: Attacks | None, asked: Asked, *, name: str | None = None, view: NullView | None = None
) -> FinishedRun:
    """name: of the model, on the page. view: what pictures are compared with, where there are no unseen ones."""
    engine = check_order(order)
    wanted = DEFAULT if attacks is None else attacks
    named = chosen(wanted, order.means)
    target = opened(order.model, order.machine, order.place)
    if name is not None:
        target.identity = replace(target.identity, name=name)
    named = possible(named, wanted, target)
    note_unused(order, named, target)
    if view is not None:
        named, leads = against_view(None if attacks is None else named, target, view, order.choices.seed)
        if not leads and "unseen" in order.sets:  # else the reference would pass for pictures that are alike
            raise UserError(
                f"{named[0].name} cannot be compared with itself: leave out --mirror-reference, or name it later"
            )
        asked = replace(asked, lead="mirror") if leads and asked.lead == "first" else asked
    return execute(order, target, named, engine, asked)


def _audited(done: FinishedRun) -> AuditRun:
    from trainedon.api.results import AuditRun, of_run

    return of_run(AuditRun, done.document, done.kept)
