"""The texts by which runs know their attacks: `repr`, and for runs of schema version 1 what was written then."""

from __future__ import annotations

from dataclasses import fields

from trainedon.attacks import DRC, Attack, attacks

# Parameters of DRC that version 1 left out where they had the default of the class.
LEFT_OUT = ("share", "settle", "pivot")


def in_full(attack: Attack, version: int) -> str:
    """The text of an attack with every parameter, as it stands in the files of a run of this schema version."""
    return repr(attack) if version > 1 else _of_version_1(attack)


def named_before(before: object, now: object) -> str:
    """A remark for someone whose command names an attack that has a newer version than the run has: how to name that.
    Empty where this is not so. before, now: the texts of the run's attacks and of the command's."""
    of_run, of_command = repr(before), repr(now)
    for plain, name in Attack.noun.recommended.items():
        for version, kind in attacks().items():
            is_other = version.startswith(f"{plain}@") and version != name
            if is_other and f"{kind.__name__}(" in of_run and f"{kind.__name__}(" not in of_command:
                return f"; {plain} is {name} now, and the run has {version}: name that"
    return ""


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
