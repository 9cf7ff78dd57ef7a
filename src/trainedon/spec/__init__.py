"""How attacks and their parts are written as text, registered, and built: one small grammar, typed.

`drc(roi=inverted(face(0.25)), restorer=guided(scale=3))`: a name, and in parentheses its parameters. `face:0.25` is
short for `face(0.25)`, and what a class takes several of is joined by `+`. Text is read here, once; what lies behind
knows objects.
"""

from trainedon.spec.call import Call, names, split
from trainedon.spec.fitting import check_fields, described, fits, shown
from trainedon.spec.limits import check_spelling, cut
from trainedon.spec.meanings import meanings
from trainedon.spec.nouns import LeftOut, Noun, left_out, offered_by, register
from trainedon.spec.parameters import Parameter, is_required, parameters
from trainedon.spec.parts import Part
from trainedon.spec.texts import spelled
from trainedon.spec.values import read

__all__ = [
    "Call",
    "LeftOut",
    "Noun",
    "Parameter",
    "Part",
    "check_fields",
    "check_spelling",
    "cut",
    "described",
    "fits",
    "is_required",
    "left_out",
    "meanings",
    "names",
    "offered_by",
    "parameters",
    "read",
    "register",
    "shown",
    "spelled",
    "split",
]
