"""Which attacks a run is made of: those named, with what they need, of `all` those that the model allows."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.attacks import Attack
    from trainedon.formats.run_record import Lead
    from trainedon.targets import Target

log = logging.getLogger("trainedon")


@dataclass(frozen=True)
class Means:
    """What attacks have to work with. kind: `audit` or `evaluate`. sets: names of the sets. shadows, reference: models
    beside the audited one. seed: of their noise. base: as `Machine.base`, for the reference."""

    kind: str
    sets: Collection[str]
    shadows: str | Path | None = None
    reference: str | Path | None = None
    seed: int = 0
    base: Path | None = None

    def needs_met(self) -> list[str]:
        """The needs of attacks that are met besides those that are parameters."""
        unseen, labels = "unseen" in self.sets, self.kind == "evaluate"
        return ["gradients", "captions", *["unseen"] * unseen, *["labels"] * labels]

    def parameters(self) -> dict[str, Any]:
        """What attacks that take it are given. Raises UserError where shadow or reference models cannot be opened."""
        from trainedon.targets import Reference, Shadows

        shadows = None if self.shadows is None else Shadows.open(self.shadows)
        reference = None if self.reference is None else Reference.open(self.reference, self.base)
        return {"seed": self.seed, "shadows": shadows, "reference": reference}


def chosen(asked: str | Attack | Sequence[Attack], means: Means) -> list[Attack]:
    """The attacks of a text such as `drc, loss(t=100)`, or as they are given.

    Raises UserError when there are none, one stands there twice, or one lacks what it needs.
    """
    from trainedon.attacks import Attack, parse_attacks
    from trainedon.attacks.core.attack import REMEDIES

    if isinstance(asked, str):
        return parse_attacks(asked, means.needs_met(), **means.parameters())
    attacks = [asked] if isinstance(asked, Attack) else list(asked)
    if not attacks:
        raise UserError("no attack is given: name one, such as 'drc'")
    for number, attack in enumerate(attacks):
        if attack in attacks[:number]:
            raise UserError(f"{attack!r} is given twice")
        if missing := attack.missing(means.needs_met()):
            raise UserError(f"{attack.name} needs {REMEDIES[missing[0]]}")
    return attacks


def possible(attacks: list[Attack], asked: str | Attack | Sequence[Attack], target: Target) -> list[Attack]:
    """Of `all`, those that the target allows; what is left out is logged."""
    everything = isinstance(asked, str) and "all" in map(str.strip, asked.split(","))
    return [attack for attack in attacks if _allowed(attack, target)] if everything else attacks


def lead_of(asked: str | Attack | Sequence[Attack], unseen: bool) -> Lead:
    """The test that an audit's claim speaks of: CDI where it is named first. Raises UserError without unseen pictures
    for it."""
    if not (isinstance(asked, str) and asked.strip().startswith("cdi")):
        return "first"
    if not unseen:
        raise UserError("cdi compares with unseen pictures: give --unseen DIR")
    return "cdi"


def _allowed(attack: Attack, target: Target) -> bool:
    try:
        attack.check(target)
    except UserError as error:
        log.warning("left out: %s", error)
        return False
    return True
