"""Which restorers there are, and how the command line writes one with its parameters."""

from __future__ import annotations

from dataclasses import fields

from trainedon.errors import UserError, meant
from trainedon.restore.guided import DPS, Guided, PiGDM
from trainedon.restore.inpaint import Inpaint
from trainedon.restore.joined import DDNM, Join, Naive
from trainedon.restore.particles import Twisted
from trainedon.restore.restorer import Restorer

MOST = 10_000  # repetitions, jumps, particles
RESTORERS: dict[str, type[Restorer]] = {
    "naive": Naive,
    "join": Join,
    "guided": Guided,
    "dps": DPS,
    "pigdm": PiGDM,
    "ddnm": DDNM,
    "twisted": Twisted,
    "inpaint": Inpaint,
}


def parse_restorer(text: str) -> Restorer:
    """A name of RESTORERS, with parameters after a colon: `guided:scale=3,until=0.5`, `twisted:particles=4`."""
    name, _, rest = text.partition(":")
    if name not in RESTORERS:
        raise UserError(f"unknown restorer {name!r}: choose one of {', '.join(RESTORERS)}")
    kinds = {field.name: field.type for field in fields(RESTORERS[name])}
    arguments: dict[str, float | int] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in kinds:
            raise UserError(f"restorer {name} has no parameter {key!r}{meant(key, kinds)}: it has {', '.join(kinds)}")
        number, called, most = (int, "whole number", f" of at most {MOST:,}")
        if kinds[key] != "int":
            number, called, most = (float, "number", "")
        try:
            arguments[key] = number(value)
            if number is int and abs(arguments[key]) > MOST:  # numbers with a point are checked by the restorer itself
                raise ValueError
        except ValueError:
            raise UserError(f"restorer {name}: {key}={value!r} is not a {called}{most}") from None
    return RESTORERS[name](**arguments)
