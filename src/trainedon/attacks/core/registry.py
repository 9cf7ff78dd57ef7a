"""Which attacks there are, and lists of them as the command line writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from trainedon.attacks.core.attack import GROUPS, HAVE, Attack
from trainedon.errors import UserError
from trainedon.spec import check_spelling, is_required, names, register, split

__all__ = ["attacks", "parse_attacks", "register", "several", "works_alone"]

LEAD = "drc"  # the first of all: the one that an audit's claim speaks of


def attacks() -> dict[str, type[Attack]]:
    """All attacks by name: our own, and those that other packages offer as entry points `trainedon.attacks`."""
    return cast("dict[str, type[Attack]]", Attack.noun.registered())  # none is made by a function


def parse_attacks(text: str, have: Sequence[str] = HAVE, **given: object) -> list[Attack]:
    """`drc, loss(t=100, draws=2), fremia(pia)`: attacks, parameters in parentheses, the others at their defaults.

    `drc@1` is a version of an attack, `drc` alone the recommended one.

    `all` stands for every attack that works as it is, without labels; a name of GROUPS for those of the group. have:
    the needs that are met besides those that are parameters. given: parameters for every attack that has one of that
    name and does not say it itself (`seed`, `shadows`, `reference`); None stands for none.
    Raises UserError for an unknown attack or parameter, for a need that is not met, and when nothing or one attack
    twice is named.
    """
    check_spelling(text, "the attack")
    chosen: list[Attack] = []
    for spec in filter(None, map(str.strip, split(text, ","))):
        if spec == "all" or spec in GROUPS:
            together = _everything(have, given) if spec == "all" else parse_attacks(GROUPS[spec], have, **given)
            chosen += [attack for attack in together if attack not in chosen]
            continue
        attack: Attack = Attack.noun.read(spec, given)
        attack.require(have)
        if attack in chosen:
            among = ", once by a name that stands for several" if several(text) else ""
            raise UserError(f"{attack.spelled()} is named twice{among}: leave one out")
        chosen.append(attack)
    if not chosen:
        raise UserError(f"no attack is named: choose from {', '.join(attacks())}, or all")
    return chosen


def several(text: str) -> bool:
    """Whether a text names attacks that stand together under one name, `all` or one of GROUPS."""
    return not {"all", *GROUPS}.isdisjoint(names(text))


def works_alone(attack: type[Attack]) -> bool:
    """Whether the attack can be made from defaults; a wrapper needs the attack that it wraps."""
    return not is_required(attack)


def superseded(attack: type[Attack]) -> bool:
    """Whether the attack is a version, and another one is recommended."""
    plain, at, _ = attack.name.partition("@")
    return bool(at) and Attack.noun.find(plain) is not attack


def _everything(have: Sequence[str], given: Mapping[str, object]) -> Iterator[Attack]:
    lead = Attack.noun.find(LEAD)
    for kind in sorted(attacks().values(), key=lambda kind: kind is not lead):
        if works_alone(kind) and not superseded(kind):
            attack: Attack = Attack.noun.read(kind.name, given)
            if "labels" not in attack.needs and not attack.missing(have):
                yield attack
