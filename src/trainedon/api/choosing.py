"""Which attacks a run is made of: those named, with what they need, of `all` those that the model allows."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args

from trainedon.errors import UserError
from trainedon.formats.null_view import NullView
from trainedon.spec import check_spelling, names

if TYPE_CHECKING:
    from trainedon.attacks import Attack
    from trainedon.formats.run_record import Lead
    from trainedon.targets import ControlModel, Target

    Attacks: TypeAlias = str | Attack | Sequence[str | Attack]  # `drc, loss(t=100)`, an attack, or several of both

log = logging.getLogger("trainedon")
TWIN_ATTACK = "same-noise(loss(t=100, draws=8))"


@dataclass(frozen=True)
class Means:
    """What attacks have to work with. kind: `audit` or `evaluate`. sets: names of the sets. shadows, reference,
    control: models beside the audited one; a control model is also the reference where no other is given. seed: of
    their noise. base: as `Machine.base`, for the models beside it."""

    kind: str
    sets: Collection[str]
    shadows: str | Path | None = None
    reference: str | Path | None = None
    seed: int = 0
    base: Path | None = None
    control: str | Path | None = None

    def needs_met(self) -> list[str]:
        """The needs of attacks that are met besides those that are parameters."""
        unseen, labels = "unseen" in self.sets, self.kind == "evaluate"
        return ["gradients", "captions", "classes", *["unseen"] * unseen, *["labels"] * labels]

    def parameters(self) -> dict[str, Any]:
        """What attacks that take it are given. Raises UserError where a model beside the audited one cannot be
        opened."""
        from trainedon.targets import Reference, Shadows

        shadows = None if self.shadows is None else Shadows.open(self.shadows)
        beside = self.control if self.reference is None else self.reference
        reference = None if beside is None else Reference.open(beside, self.base)
        return {"seed": self.seed, "shadows": shadows, "reference": reference, "control": self.control_model()}

    def control_model(self) -> ControlModel | None:
        """The control model. Raises UserError where it cannot be opened."""
        from trainedon.targets import ControlModel

        return None if self.control is None else ControlModel.open(self.control, self.base)


def chosen(asked: Attacks, means: Means) -> list[Attack]:
    """The attacks of texts such as `drc, loss(t=100)`, and those that are given as they are.

    Raises UserError when there are none, one stands there twice, or one lacks what it needs.
    """
    from trainedon.attacks import Attack, parse_attacks
    from trainedon.attacks.core.registry import several

    parameters = means.parameters() if _texts(asked) else {}
    attacks: list[Attack] = []
    for one in _listed(asked):
        if not isinstance(one, str | Attack):
            raise UserError(f"{one!r} is no attack: give texts such as 'drc', or attacks")
        found = parse_attacks(one, means.needs_met(), **parameters) if isinstance(one, str) else [one]
        if isinstance(one, str) and several(one):
            found = [attack for attack in found if attack not in attacks]
        for attack in found:
            if attack in attacks:
                raise UserError(f"{attack!r} is given twice")
            attack.require(means.needs_met())
        attacks += found
    if not attacks:
        raise UserError("no attack is given: name one, such as 'drc'")
    return attacks


def possible(attacks: list[Attack], asked: Attacks, target: Target) -> list[Attack]:
    """The attacks as they are made of this target (`for_model`); of `all`, those that it allows. What is another one
    here, or left out, is logged."""
    found = _for_model(attacks, target)
    everything = any("all" in names(text) for text in _texts(asked))
    return [attack for attack in found if _allowed(attack, target)] if everything else found


def _for_model(attacks: list[Attack], target: Target) -> list[Attack]:
    from trainedon.attacks.drc.by_family import for_model

    found = for_model(attacks, target)
    for attack in attacks:
        if attack not in found:
            (instead,) = for_model([attack], target)
            where = "in latents" if target.latent else "on few pixels"
            log.warning("note: on this model, which works %s, %s is %s", where, attack.spelled(), instead.spelled())
    return found


DEFAULT = "drc"
NULL_VIEWS = ("auto", "none", *get_args(NullView))


def null_view_of(asked: str, *, unseen: bool, reference: bool) -> NullView | None:
    """The view of each picture that it is compared with, where no unseen pictures are given. asked: `auto`, `none` or a
    view. Raises UserError for another one, and where it does not go together."""
    if asked not in NULL_VIEWS:
        raise UserError(f"--null-view {asked}: use one of {', '.join(NULL_VIEWS)}")
    if unseen and reference:
        raise UserError("--mirror-reference is for audits without --unseen: leave out one of the two")
    if reference and asked == "none":
        raise UserError(
            "--mirror-reference says how often pictures are ahead of their mirror images: leave out --null-view none"
        )
    if unseen and asked not in ("auto", "none"):
        raise UserError(
            "--null-view compares each picture with itself: leave out --unseen, or give these pictures as "
            "--mirror-reference"
        )
    if unseen or asked == "none":
        return None
    return "mirror" if asked == "auto" else cast(NullView, asked)


def against_view(
    attacks: Sequence[Attack] | None, target: Target, view: NullView, seed: int = 0
) -> tuple[list[Attack], bool]:
    """The attacks, each with its score of the view taken off; and whether the first is such a one. Those for which that
    cannot be done stay as they are, and are named in the log. None: those of DEFAULT."""
    from trainedon.attacks import parse_attacks
    from trainedon.attacks.wrappers.symmetric import against

    if attacks is None:
        attacks = _for_model(parse_attacks(DEFAULT, [], seed=seed), target)
    found: list[Attack] = []
    for attack in attacks:
        try:
            one = against(attack, view)
        except UserError as error:
            log.warning("note: %s; without unseen pictures its scores stand alone", error)
            one = attack
        if one not in found:
            found.append(one)
    return found, found[0].null_view == view


def lead_of(asked: Attacks, unseen: bool, view: NullView | None = None) -> Lead:
    """The test that an audit's claim speaks of: that of all attacks together (CDI) where a group of them, `cdi` or
    `drc-set`, is named first, against unseen pictures or, `cdi` alone, against a view of each. Raises UserError where
    there are neither."""
    from trainedon.attacks.core.attack import GROUPS

    first = next(iter(_listed(asked)), None)
    if not isinstance(first, str):
        return "first"
    check_spelling(first, "the attack")
    group = names(first)[0] if names(first) else ""
    if group not in GROUPS:
        return "first"
    if unseen and view is None:
        return "cdi"
    if group == "drc-set":  # of its two views one at most can be the null, and that is what `drc` alone compares with
        raise UserError(
            "drc-set weighs two views against unseen pictures: give --unseen DIR, or name drc, which compares each "
            "picture with its mirror image"
        )
    if view is not None:
        return "mirror-cdi"
    raise UserError("cdi compares with unseen pictures, or with a view of each: give --unseen DIR")


def sets_of_twins(suspects: str | Path, twins: str | Path) -> dict[str, str | Path]:
    """The sets of an audit of twins: the published copies, in the folder of `twins.json` where that is what is given,
    and the kept ones. Raises UserError where there is no folder of kept ones."""
    from trainedon.twinning import KEEP, PUBLISH

    folder = Path(twins).absolute().parent
    kept = folder / KEEP
    if not kept.is_dir():
        raise UserError(f"{kept} is no folder: the kept copies must lie beside {Path(twins).name}")
    given = folder / PUBLISH if Path(suspects).absolute() == folder else suspects
    return {"suspect": given, "kept": kept}


def _listed(asked: Attacks) -> list[str | Attack]:
    return list(asked) if isinstance(asked, Iterable) and not isinstance(asked, str) else [asked]


def _texts(asked: Attacks) -> list[str]:
    return [one for one in _listed(asked) if isinstance(one, str)]


def _allowed(attack: Attack, target: Target) -> bool:
    try:
        attack.check(target)
    except UserError as error:
        log.warning("left out: %s: %s", attack.spelled(), error)
        return False
    return True
