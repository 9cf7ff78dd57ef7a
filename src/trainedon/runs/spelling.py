"""The texts by which runs know their attacks: `repr`, and for runs of schema version 1 what was written then."""

from __future__ import annotations

from dataclasses import fields

from trainedon.attacks import DRC, Attack

# Parameters of DRC that version 1 left out where they had the default of the class.
LEFT_OUT = ("share", "settle", "pivot")


def in_full(attack: Attack, version: int) -> str:
    """The text of an attack with every parameter, as it stands in the files of a run of this schema version."""
    return repr(attack) if version > 1 else _of_version_1(attack)


def _of_version_1(value: object) -> str:
    if isinstance(value, tuple):
        parts = [_of_version_1(one) for one in value]
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    if not isinstance(value, Attack):
        return repr(value)
    said = {field.name: getattr(value, field.name) for field in fields(value) if field.repr}
    if isinstance(value, DRC):
        said = {name: one for name, one in said.items() if name not in LEFT_OUT or one != getattr(type(value), name)}
    return f"{type(value).__qualname__}({', '.join(f'{name}={_of_version_1(one)}' for name, one in said.items())})"
